"""Caches results about content on disk, keyed by its text and the versions they depend on.

Translating a repository's queries, or checking its items against panther_analysis_tool's schemas,
takes longer than loading the rest of it. If the cache cannot be read or written, everything is
computed again.
"""

import atexit
import contextlib
import hashlib
import json
import logging
import os
import sqlite3
import stat
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

MAX_REMEMBERED = 5000
MAX_VERDICTS = 50_000  # enough for all files of a large repository and many changes to it
MAX_FOLDERS = 40  # results for whole repositories; 5 MB for a large one
MAX_COPIED_FOLDERS = 4  # in memory; the latest is that of the content that is checked
MAX_WAITING = 2000  # verdicts not yet written
ROOMS = ("content", "lake")  # whose code decides results about queries
JUDGING_ROOMS = ("content", "tool_runs")  # whose code decides results about files and items
PACKAGES = ("duckdb", "jinja2", "sqlglot")
# Packages that decide verdicts on items
JUDGES = (
    *("panther_analysis_tool", "panther_core", "schema", "jsonschema", "sqlfluff", "PyYAML"),
    "botocore",  # knows the partitions of ARNs
)
AT_ONCE = 500  # keys in one query; SQLite takes 999 in any version
BUSY_SECONDS = 1.0  # wait for another process that is writing
OTHERS = stat.S_IRWXG | stat.S_IRWXO
# The digest guards against a damaged file, as SQLite does not check values.
CREATE = """CREATE TABLE IF NOT EXISTS remembered (
    key TEXT PRIMARY KEY, value TEXT NOT NULL, digest TEXT NOT NULL
)"""


class _Opened(NamedTuple):
    """A connection, with the process and the state of the file that it was opened for."""

    state: tuple[object, ...]
    connection: sqlite3.Connection


class Store:
    """A database in the user's cache.

    Args:
        name: The name of its file.
        limit: Returns the largest number of values; the oldest are dropped beyond it.
        versions: Returns the versions that all values depend on, in addition to their texts.
    """

    def __init__(self, name: str, limit: Callable[[], int], versions: Callable[[], str]) -> None:
        self._name = name
        self._limit = limit
        self._versions = versions
        self._local = threading.local()
        self._copy: sqlite3.Connection | None = None

    def get(self, kind: str, text: str) -> str | None:
        """Return the value kept for a text; None if there is none by the present versions."""
        key = self._key(kind, text)
        with self._connection() as connection:
            row = connection.execute("SELECT value, digest FROM remembered WHERE key = ?", [key])
            found: tuple[str, str] | None = row.fetchone()
            if found and _digest(key, found[0]) == found[1]:
                return found[0]
        return None

    def get_all(self, kind: str, texts: Iterable[str]) -> dict[str, str]:
        """Return the values kept for some texts, by text; texts without a value are left out."""
        keys = {self._key(kind, text): text for text in texts}
        found: dict[str, str] = {}
        waiting = list(keys)
        with self._connection() as connection:
            for start in range(0, len(waiting), AT_ONCE):
                part = waiting[start : start + AT_ONCE]
                places = ", ".join("?" * len(part))
                query = f"SELECT key, value, digest FROM remembered WHERE key IN ({places})"
                for key, value, digest in connection.execute(query, part):
                    if _digest(key, value) == digest:
                        found[keys[key]] = value
        return found

    def keep(self, kind: str, values: dict[str, str]) -> None:
        """Keep values by their texts."""
        self._write({self._key(kind, text): value for text, value in values.items()})

    def detach(self, most: int) -> None:
        """Copy the latest values into memory, and use the copy alone from now on.

        Args:
            most: Number of values to copy at most.
        """
        copy = sqlite3.connect(":memory:", check_same_thread=False)
        copy.execute(CREATE)
        latest = "SELECT key, value, digest FROM remembered ORDER BY rowid DESC LIMIT ?"
        with self._connection() as connection:
            rows = connection.execute(latest, [most]).fetchall()
            connection.close()
            # In the order of the file, as a full store drops its first rows.
            copy.executemany("INSERT INTO remembered VALUES (?, ?, ?)", reversed(rows))
        self._local.opened, self._copy = None, copy

    def _write(self, values: dict[str, str]) -> None:
        if not values:
            return
        rows = [(key, value, _digest(key, value)) for key, value in values.items()]
        with self._connection() as connection, connection:
            connection.executemany("INSERT OR REPLACE INTO remembered VALUES (?, ?, ?)", rows)
            connection.execute(
                "DELETE FROM remembered WHERE rowid <= (SELECT MAX(rowid) FROM remembered) - ?",
                [self._limit()],
            )

    def _key(self, kind: str, text: str) -> str:
        return _digest(self._versions(), kind, text)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Yield the database, or an empty one in memory if it cannot be opened.

        An error of the database inside the context ends the block and is not raised.
        """
        try:
            connection = self._opened()
        except (OSError, RuntimeError, sqlite3.Error) as error:  # e.g. the user has no home folder
            self._give_up(error)
            connection = sqlite3.connect(":memory:")
            connection.execute(CREATE)
        try:
            yield connection
        except sqlite3.Error as error:
            self._local.opened = None
            connection.close()
            self._give_up(error)

    def _opened(self) -> sqlite3.Connection:
        """Return this thread's connection to the file.

        Opening takes longer than a query, so the connection is kept. It is opened again once the
        file has changed, and in a forked process.
        """
        if self._copy:
            return self._copy
        path = self._file()
        opened: _Opened | None = getattr(self._local, "opened", None)
        with contextlib.suppress(OSError):
            if opened and opened.state == _state(path):
                return opened.connection
        _make_private(Path(path))
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS)
        try:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(CREATE)
            self._local.opened = _Opened(_state(path), connection)
        except (OSError, sqlite3.Error):
            connection.close()
            raise
        return connection

    def _give_up(self, error: Exception) -> None:
        logging.debug("%s is not used: %s", self._name, error)
        if type(error) is sqlite3.DatabaseError:  # damaged; a subclass means, for example, locked
            with contextlib.suppress(OSError):
                Path(self._file()).unlink()

    def _file(self) -> str:
        return f"{cache_folder()}/{self._name}"


def cache_folder() -> str:
    """Return the folder of the databases: https://specifications.freedesktop.org/basedir-spec.

    Raises:
        RuntimeError: The user has no home folder.
    """
    folder = os.environ.get("XDG_CACHE_HOME") or f"{Path.home()}/.cache"
    return f"{folder}/local-panther"


def cache_folders() -> list[Path]:
    """Return the folder of the databases, created if it is missing; none if it cannot be made."""
    with contextlib.suppress(OSError, RuntimeError):  # everything is then computed again
        folder = Path(cache_folder())
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return [folder]
    return []


class WaitingStore(Store):
    """A store for very many small values, which are written together, at exit at the latest."""

    def __init__(self, name: str, limit: Callable[[], int], versions: Callable[[], str]) -> None:
        super().__init__(name, limit, versions)
        self._waiting: dict[str, str] = {}
        self._process = os.getpid()
        atexit.register(self.flush)

    def get(self, kind: str, text: str) -> str | None:
        """Return the value kept for a text; None if there is none by the present versions."""
        waiting = self._waiting.get(self._key(kind, text))
        return super().get(kind, text) if waiting is None else waiting

    def keep(self, kind: str, values: dict[str, str]) -> None:
        """Keep values by their texts."""
        self._waiting |= {self._key(kind, text): value for text, value in values.items()}
        if len(self._waiting) >= MAX_WAITING:
            self.flush()

    def take_over(self) -> None:
        """Let this forked process write the values it keeps; by default only its parent does."""
        self._process = os.getpid()

    def flush(self) -> None:
        """Write the waiting values, unless this is a fork and they are its parent's to write."""
        if os.getpid() == self._process:
            values, self._waiting = self._waiting, {}
            self._write(values)


def _make_private(path: Path) -> None:
    """Make a file and its folder readable and writable by this user alone; create missing ones.

    Raises:
        OSError: They cannot be created, or belong to another user, whose values are not trusted.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        for each in (path.parent, file):
            found = os.stat(each)  # noqa: PTH116 - accepts a descriptor too
            if found.st_uid != os.geteuid():
                raise PermissionError(f"{path} belongs to another user")
            if found.st_mode & OTHERS:
                os.chmod(each, stat.S_IMODE(found.st_mode) & ~OTHERS)  # noqa: PTH101
    finally:
        os.close(file)


def _state(path: str) -> tuple[object, ...]:
    found = os.stat(path)  # noqa: PTH116 - fast
    return os.getpid(), path, found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode(errors="replace")).hexdigest()


@cache
def code_digest(*rooms: str) -> str:
    """Return a digest of the code in some modules and folders of this package."""
    digest = hashlib.sha256()
    for name in rooms:
        place = Path(__file__).parent / name
        files = [*place.glob("*.py"), *place.glob("*.sql")] if place.is_dir() else [place]
        for path in sorted(files):
            digest.update(path.read_bytes())
    return digest.hexdigest()


@lru_cache
def _versions() -> str:
    """Return the versions that results about queries depend on: our own code and packages."""
    return " ".join([code_digest(*ROOMS), *map(version, PACKAGES)])


@lru_cache
def _judges() -> str:
    """Return the versions that verdicts on items depend on: our own code and packages."""
    found = (f"{name} {_version(name)}" for name in JUDGES)
    return " ".join([code_digest(*JUDGING_ROOMS), sys.version, *found])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # not a dependency of an older tool
        return ""


_queries = Store("queries.sqlite", lambda: MAX_REMEMBERED, _versions)
verdicts = WaitingStore("verdicts.sqlite", lambda: MAX_VERDICTS, _judges)
folders = Store("folders.sqlite", lambda: MAX_FOLDERS, _judges)


def detach() -> None:
    """Use copies of all caches in memory from now on, before this process runs untrusted code.

    The code can read the copies, and change them only for this process.
    """
    verdicts.flush()
    _queries.detach(MAX_REMEMBERED)
    verdicts.detach(MAX_VERDICTS)
    folders.detach(MAX_COPIED_FOLDERS)
    os.environ.pop("XDG_CACHE_HOME", None)


def remembered(kind: str, text: str) -> str | None:
    """Return the value kept for a query; None if there is none by the present versions.

    Args:
        kind: The kind of value, such as "prepared".
        text: The query.
    """
    return _queries.get(kind, text)


def remember(kind: str, values: dict[str, str]) -> None:
    """Keep values by their queries; beyond MAX_REMEMBERED the oldest are dropped."""
    _queries.keep(kind, values)


def found_before(kind: str, text: str, find: Callable[[], Any]) -> Any:
    """Return the value of a query, from the cache or else by computing and keeping it.

    Args:
        kind: The kind of value.
        text: The query.
        find: Computes the value, which is of JSON's types.

    Raises:
        Exception: Whatever `find` raises; errors are not kept.
    """
    kept = remembered(kind, text)
    if kept is None:
        kept = json.dumps(find())
        remember(kind, {text: kept})
    return json.loads(kept)
