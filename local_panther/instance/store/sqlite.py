"""An SQLite database that threads share, with durable changes.

Reads use a connection of their own, so that no request waits while a replay is stored; until the
replay is stored, they return the earlier data.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from local_panther.errors import ContentError, Problem
from local_panther.instance.check.files import PRIVATE_FILE
from local_panther.instance.store.index import newer

NO_STEPS: Mapping[int, str] = MappingProxyType({})


class SqliteDatabase:
    """A database that only its owner can read. Each change is on disk when its context ends."""

    def __init__(
        self, path: Path, schema: str, version: int, steps: Mapping[int, str] = NO_STEPS
    ) -> None:
        """Open a database, or create one.

        Args:
            path: File of the database.
            schema: The statements that create it.
            version: Version of the schema.
            steps: The statements that upgrade an earlier version to the next one, by the earlier
                version.

        Raises:
            ContentError: The file is not a database, or has an unknown version.
            OSError: The file cannot be created or read.
        """
        if path.is_symlink():
            raise _refused(path, "is a symbolic link")
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, PRIVATE_FILE))
        path.chmod(PRIVATE_FILE)  # SQLite gives its other files the same mode
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            self._open(path, schema, version, steps)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            is_intact = isinstance(error, sqlite3.OperationalError)  # on a full disk, for example
            what = "cannot be read and written" if is_intact else "is not a database of alerts"
            raise _refused(path, f"{what} ({error})") from error
        except ContentError:
            self._connection.close()
            raise
        self._reader = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._reader.execute("PRAGMA query_only = ON")

    def _open(self, path: Path, schema: str, version: int, steps: Mapping[int, str]) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        (found,) = self._connection.execute("PRAGMA user_version").fetchone()
        if found == 0:
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {schema}; PRAGMA user_version = {version}; COMMIT;"
            )
        elif found > version or any(step not in steps for step in range(found, version)):
            raise _refused(path, newer(found))
        for step in range(found or version, version):  # each step in a transaction
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {steps[step]}; PRAGMA user_version = {step + 1}; COMMIT;"
            )

    def close(self) -> None:
        """Close the database."""
        with self._reading, self._lock:
            self._reader.close()
            self._connection.close()

    @contextlib.contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection for a change, which is one transaction."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query, after the latest completed change."""
        with self._reading:
            return self._reader.execute(sql, values).fetchall()


def _refused(path: Path, message: str) -> ContentError:
    return ContentError([Problem(str(path), message)])
