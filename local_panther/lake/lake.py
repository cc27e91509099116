"""Stores CloudTrail in DuckDB, with the lake's table names and column types, and queries it."""

import json
import logging
import math
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_panther.errors import ContentError, one_line
from local_panther.imports import LazyModule
from local_panther.lake.columns import (
    FAILED_TABLE,
    LAKE_TABLE,
    TIME,
    create_table,
    insert_lines,
)
from local_panther.lake.lines import line_of, packed, repaired
from local_panther.lake.reach import Reach
from local_panther.lake.session import NOW, THREADS, NeededFunctions, begin, check_path, quoted
from local_panther.lake.unread import UnreadLines
from local_panther.lake.waiting import Queries
from local_panther.lake.windows import Gate
from local_panther.processes import TemporaryFolder
from local_panther.records.model import Record
from local_panther.times import sql_timestamp

if TYPE_CHECKING:
    import duckdb
else:
    duckdb = LazyModule("duckdb")

DATABASE = "panther_logs.duckdb"
BATCH_RECORDS = 5000  # records per insert, as each insert has a fixed cost
BATCH_BYTES = 8 * 1024 * 1024
LINE_BYTES = 256 * 1024  # bytes that DuckDB reserves for a line, unless one is longer
STORE_MEMORY_LIMIT = "600MB"  # more than `session.MEMORY_LIMIT`: it stores and queries
QUERY_SECONDS = 60.0
MAX_ROWS = 100_000  # most rows that Python accepts from a query
MAX_REASONS = 3
MAX_REASON = 200  # characters
EVENT_ID = re.compile(rb'"eventID" ?: ?"([^"\\]{1,100})"')
FORGET_BYTES = 32 * 1024 * 1024  # least bytes stored before old records are dropped again
TIDY_BYTES = 1024 * 1024  # the same for `tidy`


@dataclass(frozen=True)
class QueryFailed:
    """The error of a query.

    Attributes:
        message: The reason.
        timed_out: True if the query took too long.
    """

    message: str
    timed_out: bool


class TooManyRowsError(Exception):
    """A query returned more than MAX_ROWS rows."""


class Lake:
    """The table `panther_logs.public.aws_cloudtrail`; a context manager that closes its database.

    Attributes:
        added_bytes: JSON bytes of all records ever added.
        refused: Number of records that could not be stored.
        reasons: The first MAX_REASONS reasons for that, each with the eventID of a record.
    """

    def __init__(
        self, databases: Path | None = None, columns: Collection[str] | None = None
    ) -> None:
        """Start with an empty table; the database itself is created when it is first needed.

        Args:
            databases: A folder for the database, which is kept; by default the database is in a
                temporary folder and is deleted when the lake is closed.
            columns: The columns of the table besides p_event_time; None for all.
        """
        self._columns = None if columns is None else {*columns, TIME}
        self._insertion = insert_lines(self._columns)
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._stored_bytes = 0  # bytes stored since old records were last dropped
        self._kept_bytes = 0  # bytes that were kept then
        self._folder = TemporaryFolder("local-panther-lake-")
        self._databases = databases or self._folder.path
        self._is_kept = databases is not None
        try:
            check_path(self._databases)
            check_path(self._folder.path)
        except ContentError:
            self._folder.cleanup()
            raise
        self._batch = self._folder.path / "batch.ndjson"
        self._unread = UnreadLines(self._folder.path)
        self._failed: list[bytes] = []  # failed calls that are not stored for gates yet
        self._failed_bytes = 0  # bytes of failed calls since old ones were last dropped
        self._has_failed = False  # True once a failed call was added unread
        self._has_read = False  # True once a call was added that the table of failed calls lacks
        self._queries = Queries()
        self._lacks_failed = False  # True if a failed call could not be stored for gates
        self.added_bytes = 0
        self.refused = 0
        self.reasons: list[str] = []

    def __enter__(self) -> "Lake":
        """Return the lake itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close the database and remove its files."""
        self.close()

    def close(self) -> None:
        """Close the database and remove its files, except those in a folder that is kept."""
        if "_connection" in vars(self):
            self._queries.close(self._connection)
        self._folder.cleanup()

    def rest(self) -> None:
        """Store the waiting records and close the database until it is needed again.

        After that, this process has no threads of DuckDB and can be forked.
        """
        self._flush_waiting()
        if "_connection" in vars(self):
            self._connection.execute("CHECKPOINT panther_logs")
            self._connection.close()
            del self.__dict__["_connection"]

    def move(self, databases: Path) -> None:
        """Continue with a copy of the database, as a forked process must.

        Args:
            databases: A folder for the copy, which is kept.
        """
        file = self._databases / DATABASE
        if file.exists():
            shutil.copyfile(file, databases / DATABASE)
        self._databases = databases
        self._unread.move(databases)

    @cached_property
    def _connection(self) -> "duckdb.DuckDBPyConnection":
        """The database: its threads must start after all workers have been forked."""
        connection = duckdb.connect()
        # Use a file: memory of an in-memory database is never released from the limit.
        is_new = not (self._databases / DATABASE).exists()
        connection.execute(f"ATTACH {quoted(self._databases / DATABASE)} AS panther_logs")
        begin(connection, functions=False)
        self._functions = NeededFunctions()
        if self._databases == self._folder.path:  # deleted anyway, so do not write it on closing
            connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute(f"SET threads = {THREADS}")
        connection.execute(f"SET memory_limit = '{STORE_MEMORY_LIMIT}'")
        connection.execute(f"SET temp_directory = {quoted(self._folder.path)}")
        # Queries come from content, so they may read the lake and nothing else.
        allowed = f"[{quoted(self._folder.path)}, {quoted(self._databases)}]"
        connection.execute(f"SET allowed_directories = {allowed}")
        connection.execute("SET enable_external_access = false")
        if is_new:
            connection.execute("CREATE SCHEMA panther_logs.public")
            create = create_table(self._columns)
            connection.execute(create)
            if not self._is_kept:  # a kept database is for people, who use no gates
                connection.execute(create.replace(LAKE_TABLE, FAILED_TABLE))
        return connection

    def open(self) -> None:
        """Open the database, which takes 0.1 s, before it is needed; its errors come up then."""
        with suppress(duckdb.Error, OSError):
            _ = self._connection

    @property
    def has_unread(self) -> bool:
        """True if records wait unread."""
        return bool(self._unread)

    def add(
        self,
        record: Record,
        arrival: float | None = None,
        needed: Callable[[], Reach] = Reach,
        *,
        unread: bool = False,
    ) -> None:
        """Store a record.

        Args:
            record: The record.
            arrival: When it arrived, in seconds since 1970; when it happened if omitted.
            needed: Called from time to time for the records that must stay; others may be dropped.
            unread: Leave the record unread until a query needs it; a gate of failed calls does not.
                The argument must be the same for all records before the first query.
        """
        kept = packed(record, arrival)
        if unread:
            self._add_unread(kept, record, needed)
            return
        line = line_of(kept)
        self._has_read = True
        self._waiting.append(line)
        self._waiting_bytes += len(line)
        self.added_bytes += len(line)
        if len(self._waiting) >= BATCH_RECORDS or self._waiting_bytes > BATCH_BYTES:
            self._flush()
        # Copying what stays costs as much as storing it, so wait until as much has been added.
        if self._can_forget(FORGET_BYTES):
            self._forget(needed())

    def _add_unread(self, kept: bytes, record: Record, needed: Callable[[], Reach]) -> None:
        self.added_bytes += len(kept)
        if record.has_failed:
            self._has_failed = True
            self._failed.append(line_of(kept))
            self._failed_bytes += len(kept)
            if len(self._failed) >= BATCH_RECORDS:
                self._flush_failed()
        if self._unread.add(kept, record.time):
            reach = needed()
            self._unread.forget(reach)
            if self._can_forget(FORGET_BYTES):
                self._forget(reach)
            if self._failed_bytes >= FORGET_BYTES and reach.horizon > -math.inf:
                self._flush_failed()
                moment = sql_timestamp(reach.horizon)
                old = f"p_event_time < TIMESTAMP '{moment}'"
                self._connection.execute(f"DELETE FROM {FAILED_TABLE} WHERE {old}")
                self._connection.execute("CHECKPOINT panther_logs")
                self._failed_bytes = 0

    def tidy(self, needed: Callable[[], Reach]) -> None:
        """Drop unneeded records with a lower threshold, because queries would scan them."""
        self._flush_waiting()
        if self._can_forget(TIDY_BYTES):
            self._forget(needed())

    def _can_forget(self, least: int) -> bool:
        return self._stored_bytes >= max(least, self._kept_bytes)

    def _forget(self, reach: Reach) -> None:
        """Copy the records that queries can still see into a new table, and drop the old one."""
        stored, self._stored_bytes = self._kept_bytes + self._stored_bytes, 0
        self._kept_bytes = stored
        if reach.horizon == -math.inf:
            return
        before = self._count()
        condition = f"p_event_time >= TIMESTAMP '{sql_timestamp(reach.horizon)}'"
        if reach.spans:
            values = ", ".join(
                f"(TIMESTAMP '{sql_timestamp(first)}', TIMESTAMP '{sql_timestamp(last)}')"
                for first, last in reach.spans
            )
            condition += (
                f" OR EXISTS (SELECT 1 FROM (VALUES {values}) AS p_span(p_first, p_last)"
                " WHERE p_event_time BETWEEN p_first AND p_last)"
            )
        try:
            self._connection.execute(
                f"CREATE OR REPLACE TABLE {LAKE_TABLE}_kept AS "
                f"SELECT * FROM {LAKE_TABLE} WHERE {condition}"
            )
        except duckdb.Error as error:  # for example a full disk; then all records stay
            logging.debug("nothing forgotten: %s", error)
            return
        self._connection.execute(f"DROP TABLE {LAKE_TABLE}")
        self._connection.execute(f"ALTER TABLE {LAKE_TABLE}_kept RENAME TO aws_cloudtrail")
        self._connection.execute("CHECKPOINT panther_logs")
        self._kept_bytes = stored * self._count() // max(before, 1)

    def _count(self) -> int:
        (count,) = self._connection.execute(f"SELECT COUNT(*) FROM {LAKE_TABLE}").fetchall()[0]
        return int(count)

    def passed(self, gate: Gate, times: Sequence[float]) -> set[float]:
        """Return the times at which a gate has a row, or fails.

        Args:
            gate: The gate.
            times: Times of the runs (`$now`), in seconds since 1970.
        """
        if self._has_read or not gate.of_failures:
            self._flush()
            return self._times_with_rows(gate.sql, times)
        if gate.needs_calls and not self._has_failed and self.has_unread:
            return set()
        self._flush_failed()
        if self._lacks_failed:
            return set(times)
        return self._times_with_rows(gate.of_failures, times)

    def _times_with_rows(self, sql: str, times: Sequence[float]) -> set[float]:
        return {time for time, rows in self._runs(sql, times).items() if rows}

    def try_out(self, sql: str, time: float) -> list[dict[str, Any]] | QueryFailed:
        """Run a query over the records stored so far, to find its errors."""
        return self._runs(sql, [time])[time]

    def runs(
        self, sql: str, times: Sequence[float]
    ) -> dict[float, list[dict[str, Any]] | QueryFailed]:
        """Run a query as of several times at once, which takes little longer than for one.

        Args:
            sql: A result of `transpile_sql`.
            times: Times of the runs (`$now`), in seconds since 1970.

        Returns:
            The rows, or the error, of each run.
        """
        if times:
            self._flush()
        return self._runs(sql, times)

    def _runs(
        self, sql: str, times: Sequence[float]
    ) -> dict[float, list[dict[str, Any]] | QueryFailed]:
        if len(times) > 1 and NOW in sql:
            try:
                return self._together(sql, times)
            except (duckdb.Error, TooManyRowsError) as error:
                logging.debug("one by one: %s", error)  # some queries cannot be a lateral join
        return {time: self._alone(sql, time) for time in times}

    def _together(
        self, sql: str, times: Sequence[float]
    ) -> dict[float, list[dict[str, Any]] | QueryFailed]:
        moments = {sql_timestamp(time): time for time in times}
        values = ", ".join(f"(TIMESTAMP '{moment}')" for moment in moments)
        inner = sql.replace(NOW, "p_run.p_run_at")
        found: dict[float, list[dict[str, Any]] | QueryFailed] = {time: [] for time in times}
        for row in self._rows(
            f"SELECT strftime(p_run.p_run_at, '%Y-%m-%d %H:%M:%S.%f') AS p_run_at, p_found.* "
            f"FROM (VALUES {values}) AS p_run(p_run_at), LATERAL ({inner}) AS p_found",
            None,
        ):
            rows = found[moments[row.pop("p_run_at")]]
            if isinstance(rows, list):
                rows.append(row)
        return found

    def _alone(self, sql: str, time: float) -> list[dict[str, Any]] | QueryFailed:
        try:
            return self._query(sql, time)
        except duckdb.InterruptException:
            return QueryFailed(f"took more than {QUERY_SECONDS:.0f} s", timed_out=True)
        except (duckdb.Error, TooManyRowsError) as error:
            return QueryFailed(one_line(error), timed_out=False)

    def query(
        self, sql: str, now: float = 0, values: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Run a query and return its rows by column name, as the JSON that an instance returns.

        Args:
            sql: A result of `transpile_sql`.
            now: The time of the run (`$now`), in seconds since 1970.
            values: Values of its other parameters (`$name`), by name.

        Raises:
            duckdb.Error: The query cannot be run.
            TooManyRowsError: It has more than MAX_ROWS rows.
        """
        self._flush()
        return self._query(sql, now, values)

    def _query(
        self, sql: str, now: float, values: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        moment = {"now": sql_timestamp(now)} if "$now" in sql else {}
        return self._rows(sql, {**moment, **(values or {})} or None)

    def _rows(self, sql: str, values: dict[str, Any] | None) -> list[dict[str, Any]]:
        connection = self._connection
        self._functions.add(connection, sql)
        found = self._queries.fetch(
            connection, sql, values, seconds=QUERY_SECONDS, most=MAX_ROWS + 1
        )
        if len(found.rows) > MAX_ROWS:
            raise TooManyRowsError(f"more than {MAX_ROWS:,} rows")
        return [
            {
                name: json_value(value) if kind == "JSON" else plain(value)
                for (name, kind), value in zip(found.columns, row, strict=True)
            }
            for row in found.rows
        ]

    def _flush(self) -> None:
        for unread in self._unread.take():
            lines = list(map(line_of, unread))
            self._store(lines)
            self._stored_bytes += sum(map(len, lines))
        self._flush_waiting()

    def _flush_waiting(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if waiting:
            self._stored_bytes += sum(map(len, waiting))
            self._store(waiting)

    def _flush_failed(self) -> None:
        failed, self._failed = self._failed, []
        if failed:
            self._store(failed, FAILED_TABLE)

    def _store(self, lines: list[bytes], table: str = LAKE_TABLE) -> None:
        """Store lines, and note those that cannot be stored."""
        try:
            self._insert(lines, table)
        except (duckdb.ProgrammingError, duckdb.DataError):  # caused by records, not disk or memory
            self._insert_halves([repaired(line) for line in lines], table)
        except (duckdb.Error, OSError) as error:
            self._refuse(lines, error, table)

    def _insert_halves(self, lines: list[bytes], table: str) -> None:
        """Insert lines; halve a batch that fails, so that only the bad records are refused."""
        try:
            self._insert(lines, table)
        except (duckdb.Error, OSError) as error:
            # A full disk would also refuse the halves.
            is_of_records = isinstance(error, (duckdb.ProgrammingError, duckdb.DataError))
            if len(lines) == 1 or not is_of_records:
                self._refuse(lines, error, table)
                return
            middle = len(lines) // 2
            self._insert_halves(lines[:middle], table)
            self._insert_halves(lines[middle:], table)

    def _refuse(self, lines: list[bytes], error: Exception, table: str) -> None:
        if table == FAILED_TABLE:  # the lines are counted when LAKE_TABLE gets them
            self._lacks_failed = True
            return
        self.refused += len(lines)
        if len(self.reasons) < MAX_REASONS:
            found = EVENT_ID.search(lines[0])
            name = found[1].decode() if found else "no eventID"
            place = name if len(lines) == 1 else f"{name} and {len(lines) - 1:,} after it"
            self.reasons.append(f"{place}: {one_line(error)[:MAX_REASON]}")

    def _insert(self, lines: list[bytes], table: str) -> None:
        # DuckDB reads a file faster than a parameter.
        self._batch.write_bytes(b"\n".join(lines))
        room = max(LINE_BYTES, *map(len, lines)) + 1
        statement = self._insertion.replace(LAKE_TABLE, table)
        self._connection.execute(statement, [str(self._batch), room])


def json_value(value: Any) -> Any:
    """Return the value of a VARIANT, which DuckDB returns as JSON text."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def plain(value: Any) -> Any:
    """Return a value of DuckDB as JSON data, in the form that an instance returns."""
    if isinstance(value, datetime):
        return value.isoformat(" ", "milliseconds")
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value if isinstance(value, (str, int, float, type(None))) else str(value)
