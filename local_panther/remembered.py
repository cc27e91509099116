"""Remembers on disk what queries were found to be, by their text and by what it depends on.

To translate a repository's queries takes longer than to load the rest of it. A cache that cannot be
read or written is none: everything is then found out again.
"""

import contextlib
import hashlib
import json
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

MAX_REMEMBERED = 5000
ROOMS = ("content", "lake")  # that find out something about queries
PACKAGES = ("duckdb", "jinja2", "sqlglot")
BUSY_SECONDS = 1.0  # for another process that writes
# The digest guards against a damaged file, in which SQLite checks no values.
CREATE = """CREATE TABLE IF NOT EXISTS remembered (
    key TEXT PRIMARY KEY, value TEXT NOT NULL, digest TEXT NOT NULL
)"""


def remembered(kind: str, text: str) -> str | None:
    """Return what was kept for a text; None if nothing was, or not by this version.

    Args:
        kind: What was found out about it, such as "prepared".
        text: A query.
    """
    key = _key(kind, text)
    with _connection() as connection:
        row = connection.execute("SELECT value, digest FROM remembered WHERE key = ?", [key])
        found: tuple[str, str] | None = row.fetchone()
        if found and _digest(key, found[0]) == found[1]:
            return found[0]
    return None


def remember(kind: str, values: dict[str, str]) -> None:
    """Keep values by the texts that they were found for; the oldest of many are forgotten."""
    if not values:
        return
    keys = {_key(kind, text): value for text, value in values.items()}
    rows = [(key, value, _digest(key, value)) for key, value in keys.items()]
    with _connection() as connection, connection:
        connection.executemany("INSERT OR REPLACE INTO remembered VALUES (?, ?, ?)", rows)
        connection.execute(
            "DELETE FROM remembered WHERE rowid <= (SELECT MAX(rowid) FROM remembered) - ?",
            [MAX_REMEMBERED],
        )


def found_before(kind: str, text: str, find: Callable[[], Any]) -> Any:
    """Return what is found out about a text, as it was found before if it was.

    Args:
        kind: What is found out.
        text: A query.
        find: Finds it, a value of JSON's types.

    Raises:
        Whatever `find` raises: an error is not kept.
    """
    kept = remembered(kind, text)
    if kept is None:
        kept = json.dumps(find())
        remember(kind, {text: kept})
    return json.loads(kept)


@contextlib.contextmanager
def _connection() -> Iterator[sqlite3.Connection]:
    """Yield the database, an empty one in memory if there is none; errors in it end the block."""
    try:
        connection = _opened()
    except (OSError, RuntimeError, sqlite3.Error) as error:  # as on a machine without a home
        _give_up(error)
        connection = sqlite3.connect(":memory:")
        connection.execute(CREATE)
    with contextlib.closing(connection):
        try:
            yield connection
        except sqlite3.Error as error:
            _give_up(error)


def _give_up(error: Exception) -> None:
    logging.debug("queries are not remembered: %s", error)
    if type(error) is sqlite3.DatabaseError:  # damaged, and not such as one that is locked
        with contextlib.suppress(OSError):
            _file().unlink()


def _opened() -> sqlite3.Connection:
    path = _file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(CREATE)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _file() -> Path:
    """Return the database: https://specifications.freedesktop.org/basedir-spec."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "local-panther" / "queries.sqlite"


def _key(kind: str, text: str) -> str:
    return _digest(_versions(), kind, text)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode(errors="replace")).hexdigest()


@lru_cache
def _versions() -> str:
    """Return what the outcome depends on beside the query: the code that finds it."""
    digest = hashlib.sha256()
    for name in ROOMS:
        folder = Path(__file__).with_name(name)
        for path in sorted([*folder.glob("*.py"), *folder.glob("*.sql")]):
            digest.update(path.read_bytes())
    return " ".join([digest.hexdigest(), *map(version, PACKAGES)])
