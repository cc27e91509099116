"""CloudTrail in DuckDB, under the lake's table names and column shapes."""

import json
import logging
import math
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
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
from local_panther.lake.lines import line_of, repaired
from local_panther.lake.reach import Reach
from local_panther.lake.session import NOW, begin, check_path, quoted
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
BATCH_RECORDS = 5000  # that wait for one insert, which has a cost of its own
BATCH_BYTES = 8 * 1024 * 1024
LINE_BYTES = 256 * 1024  # that DuckDB reserves for a line, unless one is longer
MEMORY_LIMIT = "600MB"  # beyond it DuckDB uses the disk
THREADS = 2  # each needs memory of its own
QUERY_SECONDS = 60.0
MAX_ROWS = 100_000  # of one query, that Python takes in
MAX_REASONS = 3
MAX_REASON = 200  # characters
EVENT_ID = re.compile(rb'"eventID" ?: ?"([^"\\]{1,100})"')
FORGET_BYTES = 32 * 1024 * 1024  # stored at least between two looks at what can go
TIDY_BYTES = 1024 * 1024


@dataclass(frozen=True)
class QueryFailed:
    """What a query ended with in place of rows.

    Attributes:
        message: Why.
        timed_out: True if it took too long.
    """

    message: str
    timed_out: bool


class TooManyRowsError(Exception):
    """A query returned more rows than are taken in."""


class Lake:
    """The table `panther_logs.public.aws_cloudtrail`; a context manager that drops it.

    Attributes:
        added_bytes: Of all records that were ever stored, as JSON.
        refused: Number of records that could not be stored.
        reasons: Why, with the eventID of a record, for the first MAX_REASONS times.
    """

    def __init__(
        self, databases: Path | None = None, columns: Collection[str] | None = None
    ) -> None:
        """Start with an empty table; the database itself is made when it is first needed.

        Args:
            databases: A folder for the database, which stays; by default it goes with the lake.
            columns: The only ones that the table has, beside p_event_time; None for all.
        """
        self._columns = None if columns is None else {*columns, TIME}
        self._insertion = insert_lines(self._columns)
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._stored_bytes = 0  # since the last look at what can go
        self._kept_bytes = 0  # of what was kept then
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
        self._failed: list[bytes] = []  # that wait for a gate
        self._failed_bytes = 0  # since the last look at which can go
        self._has_failed = False  # once one was added
        self._queries = Queries()
        self._lacks_failed = False  # of those that a gate has to see
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
        """Close the database and remove its files, but for one that stays."""
        if "_connection" in vars(self):
            self._queries.close(self._connection)
        self._folder.cleanup()

    def rest(self) -> None:
        """Store what waits to be read and close the database until it is needed again.

        Then this process has no threads of DuckDB, and can be forked.
        """
        self._flush_waiting()
        if "_connection" in vars(self):
            self._connection.execute("CHECKPOINT panther_logs")
            self._connection.close()
            del self.__dict__["_connection"]

    def move(self, databases: Path) -> None:
        """Go on in a copy of the database, as a forked process has to.

        Args:
            databases: A folder for the copy, which stays.
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
        # In a file, as what is in memory only counts towards the limit for good.
        is_new = not (self._databases / DATABASE).exists()
        connection.execute(f"ATTACH {quoted(self._databases / DATABASE)} AS panther_logs")
        begin(connection)
        if self._databases == self._folder.path:  # it goes: closing need not write it out
            connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute(f"SET threads = {THREADS}")
        connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        connection.execute(f"SET temp_directory = {quoted(self._folder.path)}")
        # Queries come with the content: they read the lake and nothing else.
        allowed = f"[{quoted(self._folder.path)}, {quoted(self._databases)}]"
        connection.execute(f"SET allowed_directories = {allowed}")
        connection.execute("SET enable_external_access = false")
        if is_new:
            connection.execute("CREATE SCHEMA panther_logs.public")
            create = create_table(self._columns)
            connection.execute(create)
            if not self._is_kept:  # for people to read, who ask no gates
                connection.execute(create.replace(LAKE_TABLE, FAILED_TABLE))
        return connection

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
            needed: Called now and then for what must stay; everything else can go.
            unread: Leave it unread until a query other than a gate is run. All records before the
                first query must be added alike.
        """
        line = line_of(record, arrival)
        if unread:
            self._add_unread(line, record, needed)
            return
        self._waiting.append(line)
        self._waiting_bytes += len(line)
        self.added_bytes += len(line)
        if len(self._waiting) >= BATCH_RECORDS or self._waiting_bytes > BATCH_BYTES:
            self._flush()
        # Copying what stays costs as much as storing it: not before there is as much that is new.
        if self._can_forget(FORGET_BYTES):
            self._forget(needed())

    def _add_unread(self, line: bytes, record: Record, needed: Callable[[], Reach]) -> None:
        self.added_bytes += len(line)
        if record.has_failed:
            self._has_failed = True
            self._failed.append(line)
            self._failed_bytes += len(line)
            if len(self._failed) >= BATCH_RECORDS:
                self._flush_failed()
        if self._unread.add(line, record.time):
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
        """Forget sooner what is not needed, as each query from now on would look at it."""
        self._flush_waiting()
        if self._can_forget(TIDY_BYTES):
            self._forget(needed())

    def _can_forget(self, least: int) -> bool:
        return self._stored_bytes >= max(least, self._kept_bytes)

    def _forget(self, reach: Reach) -> None:
        """Copy what can still be asked for into a new table, and drop the old one."""
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
        except duckdb.Error as error:  # as on a full disk: then everything stays
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
            times: What `$now` stands for, in seconds since 1970.
        """
        if not gate.of_failures:
            self._flush()
        elif gate.needs_calls and not self._has_failed and self.has_unread:
            return set()
        self._flush_failed()
        if gate.of_failures and self._lacks_failed:
            return set(times)
        return {time for time, rows in self._runs(gate.sql, times).items() if rows}

    def try_out(self, sql: str, time: float) -> list[dict[str, Any]] | QueryFailed:
        """Run a query over what is read so far, for what is wrong with it."""
        return self._runs(sql, [time])[time]

    def runs(
        self, sql: str, times: Sequence[float]
    ) -> dict[float, list[dict[str, Any]] | QueryFailed]:
        """Run a query as of several times; DuckDB takes little longer for many than for one.

        Args:
            sql: As `transpile_sql` writes it.
            times: What `$now` stands for, in seconds since 1970.

        Returns:
            The rows of each run, or what it failed with.
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
                logging.debug("one by one: %s", error)  # not every query can be a lateral join
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
            sql: As `transpile_sql` writes it.
            now: What `$now` stands for, in seconds since 1970.
            values: What other names after `$` stand for.

        Raises:
            duckdb.Error: The query cannot be run.
            TooManyRowsError: It has more rows than are taken.
        """
        self._flush()
        return self._query(sql, now, values)

    def _query(
        self, sql: str, now: float, values: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        moment = {"now": sql_timestamp(now)} if "$now" in sql else {}
        return self._rows(sql, {**moment, **(values or {})} or None)

    def _rows(self, sql: str, values: dict[str, Any] | None) -> list[dict[str, Any]]:
        found = self._queries.fetch(
            self._connection, sql, values, seconds=QUERY_SECONDS, most=MAX_ROWS + 1
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
        for lines in self._unread.take():
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
        """Store lines, and note what cannot be stored."""
        try:
            self._insert(lines, table)
        except (duckdb.ProgrammingError, duckdb.DataError):  # not of the disk or memory
            self._insert_halves([repaired(line) for line in lines], table)
        except (duckdb.Error, OSError) as error:
            self._refuse(lines, error, table)

    def _insert_halves(self, lines: list[bytes], table: str) -> None:
        """Insert what can be inserted: one bad record costs a few inserts, and only itself."""
        try:
            self._insert(lines, table)
        except (duckdb.Error, OSError) as error:
            # A full disk refuses what it would refuse in halves, too.
            is_of_records = isinstance(error, (duckdb.ProgrammingError, duckdb.DataError))
            if len(lines) == 1 or not is_of_records:
                self._refuse(lines, error, table)
                return
            middle = len(lines) // 2
            self._insert_halves(lines[:middle], table)
            self._insert_halves(lines[middle:], table)

    def _refuse(self, lines: list[bytes], error: Exception, table: str) -> None:
        if table == FAILED_TABLE:  # the log gets the same lines, and counts them
            self._lacks_failed = True
            return
        self.refused += len(lines)
        if len(self.reasons) < MAX_REASONS:
            found = EVENT_ID.search(lines[0])
            name = found[1].decode() if found else "no eventID"
            place = name if len(lines) == 1 else f"{name} and {len(lines) - 1:,} after it"
            self.reasons.append(f"{place}: {one_line(error)[:MAX_REASON]}")

    def _insert(self, lines: list[bytes], table: str) -> None:
        # By way of a file, which DuckDB reads faster than a parameter.
        self._batch.write_bytes(b"\n".join(lines))
        room = max(LINE_BYTES, *map(len, lines)) + 1
        statement = self._insertion.replace(LAKE_TABLE, table)
        self._connection.execute(statement, [str(self._batch), room])


def json_value(value: Any) -> Any:
    """Return a VARIANT of DuckDB, which is text, as what it holds."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def plain(value: Any) -> Any:
    """Return a value of DuckDB as the JSON that an instance returns."""
    if isinstance(value, datetime):
        return value.isoformat(" ", "milliseconds")
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value if isinstance(value, (str, int, float, type(None))) else str(value)
