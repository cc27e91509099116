"""Prepares queries against the empty lake, so that a wrong one fails before it is needed.

That takes longer than loading the rest of a repository. So the queries that were right are
remembered, by what their text and this package are.
"""

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterator
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path

import duckdb
from sqlglot import exp

from local_panther.content.queries import QueryCheck
from local_panther.errors import FieldError
from local_panther.lake.columns import CREATE
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.session import begin

MAX_REMEMBERED = 5000
NOW = "2026-01-05 10:00:00"  # any time


@contextlib.contextmanager
def empty_lake() -> Iterator[QueryCheck]:
    """Yield a check that prepares a query as if it were to run: it raises an error otherwise."""
    preparer = _Preparer()
    try:
        yield preparer
    finally:
        preparer.close()


class _Preparer:
    """The empty lake, which is made when the first query needs it."""

    def __init__(self) -> None:
        self._known = _remembered()
        self._new: list[str] = []

    def knows(self, text: str) -> bool:
        """Return whether a query with this text was right before."""
        return _key(text) in self._known

    def check(self, query: exp.Query, text: str) -> None:
        """Prepare a query.

        Raises:
            FieldError: It cannot be run.
        """
        key = _key(text)
        if key in self._known:
            return
        sql = transpile_sql(query)
        try:
            self._connection.execute(
                f"EXPLAIN {sql}", {"now": "2026-01-05"} if "$now" in sql else None
            )
        except duckdb.Error as error:
            raise FieldError(str(error).strip().splitlines()[0]) from error
        self._known.add(key)
        self._new.append(key)

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        # No further threads: workers may be forked after this.
        connection = duckdb.connect(config={"threads": 1})
        begin(connection)
        connection.execute("ATTACH ':memory:' AS panther_logs")
        connection.execute("CREATE SCHEMA panther_logs.public")
        connection.execute(CREATE)
        connection.execute("SET enable_external_access = false")
        return connection

    def close(self) -> None:
        """Close the lake, and remember what was right."""
        if "_connection" in vars(self):
            self._connection.close()
        if self._new:
            _remember(self._new)


def _key(text: str) -> str:
    return hashlib.sha256(f"{_package()}\n{text}".encode(errors="replace")).hexdigest()[:32]


@lru_cache
def _package() -> str:
    """Return what the outcome depends on beside the query."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.py"), *folder.glob("*.sql")]):
        digest.update(path.read_bytes())
    return f"{digest.hexdigest()} {version('sqlglot')} {version('duckdb')}"


def _file() -> Path:
    """Return the file of what is remembered: https://specifications.freedesktop.org/basedir-spec."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "local-panther" / "prepared-queries"


def _remembered() -> set[str]:
    try:
        return set(_file().read_text(encoding="ascii").split())
    except (OSError, RuntimeError, UnicodeDecodeError):
        return set()


def _remember(keys: list[str]) -> None:
    try:
        path = _file()
        path.parent.mkdir(parents=True, exist_ok=True)
        known = len(_remembered())
        with path.open("w" if known > MAX_REMEMBERED else "a", encoding="ascii") as file:
            file.write("".join(f"{key}\n" for key in keys))
    except (OSError, RuntimeError) as error:  # as on a machine without a home
        logging.debug("queries are not remembered: %s", error)
