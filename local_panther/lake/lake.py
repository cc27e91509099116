"""CloudTrail in DuckDB, under the lake's table names and column shapes."""

import logging
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from local_panther.errors import one_line
from local_panther.lake.dialect import LAKE_TABLE, NOW, VARIANT
from local_panther.processes import TemporaryFolder
from local_panther.records.model import Record
from local_panther.records.panther_fields import normalised_time
from local_panther.times import sql_timestamp

TEXT = (
    "eventVersion eventSource eventName awsRegion sourceIPAddress userAgent errorCode errorMessage"
)
TEXT += " requestID eventID eventType recipientAccountId sharedEventID vpcEndpointId eventCategory"
TEXT += " apiVersion"
BOOLEAN = "readOnly managementEvent"
PANTHER_TEXT = "p_log_type p_row_id p_source_id p_source_label"
PANTHER_LISTS = "p_any_aws_arns p_any_aws_account_ids p_any_ip_addresses p_any_usernames"
PANTHER_LISTS += " p_any_domain_names p_any_trace_ids p_any_aws_instance_ids p_any_aws_tags"
PANTHER_LISTS += " p_any_actor_ids p_any_emails"

BATCH_RECORDS = 2000  # that wait for one insert
BATCH_BYTES = 8 * 1024 * 1024
LINE_BYTES = 256 * 1024  # that DuckDB reserves for a line, unless one is longer
MEMORY_LIMIT = "1GB"  # beyond it DuckDB uses the disk
THREADS = 2  # each needs memory of its own
QUERY_SECONDS = 60.0
MAX_ROWS = 100_000  # of one query, that Python takes in
FORGET_EVERY = 20_000  # records that are stored between two looks at what can go


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
        refused: Number of records that DuckDB does not accept as JSON.
    """

    def __init__(self, databases: Path | None = None) -> None:
        """Start with an empty table; the database itself is made when it is first needed.

        Args:
            databases: A folder for the database, which stays; by default it goes with the lake.
        """
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._stored = 0
        self._folder = TemporaryFolder("local-panther-lake-")
        self._databases = databases or self._folder.path
        self._batch = self._folder.path / "batch.ndjson"
        self.refused = 0

    def __enter__(self) -> "Lake":
        """Return the lake itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close the database and remove its files."""
        if "_connection" in vars(self):
            self._connection.close()
        self._folder.cleanup()

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        """The database: its threads must start after all workers have been forked."""
        connection = duckdb.connect()
        # In a file, as what is in memory only counts towards the limit for good.
        connection.execute(f"ATTACH '{self._databases}/panther_logs.duckdb' AS panther_logs")
        connection.execute("SET enable_progress_bar = false")  # it writes to standard output
        connection.execute(f"SET threads = {THREADS}")
        connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        connection.execute(f"SET temp_directory = '{self._folder.path}'")
        # Queries come with the content: they read the lake and nothing else.
        allowed = f"['{self._folder.path}', '{self._databases}']"
        connection.execute(f"SET allowed_directories = {allowed}")
        connection.execute("SET enable_external_access = false")
        connection.execute("CREATE SCHEMA panther_logs.public")
        connection.execute(_create_table())
        return connection

    def add(self, record: Record, arrival: float | None = None, horizon: float = -math.inf) -> None:
        """Store a record.

        Args:
            record: The record.
            arrival: When it arrived, in seconds since 1970; when it happened if omitted.
            horizon: Records that happened before this time can go.
        """
        parsed = normalised_time(record.time if arrival is None else arrival).encode()
        line = b'{"a":"%b","p":%b,"r":%b}' % (parsed, record.added, record.raw)
        self._waiting.append(line)
        self._waiting_bytes += len(line)
        if len(self._waiting) >= BATCH_RECORDS or self._waiting_bytes > BATCH_BYTES:
            self._flush()
        if self._stored >= FORGET_EVERY and horizon > -math.inf:
            self._forget(horizon)

    def _forget(self, horizon: float) -> None:
        """Copy what is still within reach into a new table, and drop the old one."""
        self._stored = 0
        kept = f"SELECT * FROM {LAKE_TABLE} WHERE p_event_time >= TIMESTAMP '{{}}'"
        self._connection.execute(
            f"CREATE TABLE {LAKE_TABLE}_kept AS {kept.format(sql_timestamp(horizon))}"
        )
        self._connection.execute(f"DROP TABLE {LAKE_TABLE}")
        self._connection.execute(f"ALTER TABLE {LAKE_TABLE}_kept RENAME TO aws_cloudtrail")
        self._connection.execute("CHECKPOINT panther_logs")

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
            return self.query(sql, time)
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
        moment = {"now": sql_timestamp(now)} if "$now" in sql else {}
        return self._rows(sql, {**moment, **(values or {})} or None)

    def _rows(self, sql: str, values: dict[str, Any] | None) -> list[dict[str, Any]]:
        self._flush()
        limit = threading.Timer(QUERY_SECONDS, self._connection.interrupt)
        limit.start()
        try:
            cursor = self._connection.execute(sql, values)
            found = cursor.fetchmany(MAX_ROWS + 1)
        finally:
            limit.cancel()
        if len(found) > MAX_ROWS:
            raise TooManyRowsError(f"more than {MAX_ROWS:,} rows")
        names = [column[0] for column in cursor.description]
        return [
            {name: plain(value) for name, value in zip(names, row, strict=True)} for row in found
        ]

    def _flush(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if not waiting:
            return
        self._stored += len(waiting)
        try:
            self._insert(waiting)
        except duckdb.Error:
            for line in waiting:
                try:
                    self._insert([line])
                except duckdb.Error:
                    self.refused += 1

    def _insert(self, lines: list[bytes]) -> None:
        # By way of a file, which DuckDB reads faster than a parameter.
        self._batch.write_bytes(b"\n".join(lines))
        room = max(LINE_BYTES, *map(len, lines)) + 1
        self._connection.execute(INSERT, [str(self._batch), room])


def plain(value: Any) -> Any:
    """Return a value of DuckDB as the JSON that an instance returns."""
    if isinstance(value, datetime):
        return value.isoformat(" ", "milliseconds")
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value if isinstance(value, (str, int, float, type(None))) else str(value)


def columns() -> list[tuple[str, str, str]]:
    """Return the columns of the log: name, type, and how the value is taken from a line.

    A line has the record `r`, the fields `p` that Panther adds to it, and its arrival `a`.
    """
    text = [(name, "VARCHAR", f"r.{name}") for name in TEXT.split()]
    variant = [(name, "JSON", f"NULLIF(r.{name}, 'null'::JSON)") for name in VARIANT]
    boolean = [(name, "BOOLEAN", f"TRY_CAST(r.{name} AS BOOLEAN)") for name in BOOLEAN.split()]
    times = [(name, "TIMESTAMP", "p.p_event_time") for name in ("eventTime", "p_event_time")]
    times.append(("p_parse_time", "TIMESTAMP", "a"))
    panther = [(name, "VARCHAR", f"p.{name}") for name in PANTHER_TEXT.split()]
    lists = [(name, "VARCHAR[]", f"p.{name}") for name in PANTHER_LISTS.split()]
    return [*text, *variant, *boolean, *times, *panther, *lists]


def _create_table() -> str:
    types = ", ".join(f'"{name}" {kind}' for name, kind, _ in columns())
    return f"CREATE TABLE {LAKE_TABLE} ({types})"


def record_types() -> str:
    """Return the types of a record's fields, as DuckDB writes those of a STRUCT."""
    types = [f'"{name}" VARCHAR' for name in (TEXT + " " + BOOLEAN).split()]
    return ", ".join([*types, *(f'"{name}" JSON' for name in VARIANT)])


def added_types() -> str:
    """Return the types of the fields that Panther adds, as DuckDB writes those of a STRUCT."""
    types = [f'"{name}" VARCHAR' for name in PANTHER_TEXT.split()]
    types += [f'"{name}" VARCHAR[]' for name in PANTHER_LISTS.split()]
    return ", ".join([*types, '"p_event_time" TIMESTAMP'])


def _insert() -> str:
    """Return the statement that inserts a file of such lines."""
    forms = f"{{a: 'TIMESTAMP', p: 'STRUCT({added_types()})', r: 'STRUCT({record_types()})'}}"
    values = ", ".join(value for _, _, value in columns())
    read = f"read_json(?, format = 'newline_delimited', columns = {forms}, maximum_object_size = ?)"
    return f"INSERT INTO {LAKE_TABLE} SELECT {values} FROM {read}"


INSERT = _insert()
