"""CloudTrail in DuckDB, under the lake's table names and column shapes."""

from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

import duckdb

from local_panther.lake.dialect import VARIANT
from local_panther.processes import TemporaryFolder
from local_panther.records.model import Record
from local_panther.times import sql_timestamp

TEXT = (
    "eventVersion eventSource eventName awsRegion sourceIPAddress userAgent errorCode errorMessage"
)
TEXT += " requestID eventID eventType recipientAccountId sharedEventID vpcEndpointId eventCategory"
TEXT += " apiVersion"
BOOLEAN = "readOnly managementEvent"
PANTHER_TEXT = "p_log_type p_row_id"
PANTHER_LISTS = "p_any_aws_arns p_any_aws_account_ids p_any_ip_addresses p_any_usernames"

BATCH_RECORDS = 2000  # that wait for one insert
LINE_BYTES = 16 * 1024 * 1024  # that DuckDB reserves for a line, unless one is longer
MEMORY_LIMIT = "1GB"  # beyond it DuckDB uses the disk


class Lake:
    """The table `panther_logs.public.aws_cloudtrail`; a context manager that drops it.

    Attributes:
        refused: Number of records that DuckDB does not accept as JSON.
    """

    def __init__(self) -> None:
        """Start with an empty table; the database itself is made when it is first needed."""
        self._waiting: list[bytes] = []
        self._folder = TemporaryFolder("local-panther-lake-")
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
        connection.execute("ATTACH ':memory:' AS panther_logs")
        connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        connection.execute(f"SET temp_directory = '{self._folder.path}'")
        # Queries come with the content: they read the lake and nothing else.
        connection.execute(f"SET allowed_directories = ['{self._folder.path}']")
        connection.execute("SET enable_external_access = false")
        connection.execute("CREATE SCHEMA panther_logs.public")
        connection.execute(_create_table())
        return connection

    def add(self, record: Record) -> None:
        """Store a record."""
        self._waiting.append(b'{"p":%b,"r":%b}' % (record.added, record.raw))
        if len(self._waiting) >= BATCH_RECORDS:
            self._flush()

    def query(self, sql: str, now: float = 0) -> list[dict[str, Any]]:
        """Run a query and return its rows by column name, as the JSON that an instance returns.

        Args:
            sql: As `transpile_sql` writes it.
            now: What `$now` stands for, in seconds since 1970.

        Raises:
            duckdb.Error: The query cannot be run.
        """
        self._flush()
        values = {"now": sql_timestamp(now)} if "$now" in sql else None
        cursor = self._connection.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [
            {name: _plain(value) for name, value in zip(names, row, strict=True)}
            for row in cursor.fetchall()
        ]

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
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


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(" ", "milliseconds")
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value if isinstance(value, (str, int, float, type(None))) else str(value)


def _columns() -> list[tuple[str, str, str]]:
    """Return the columns: name, type, and how the value is taken from a line."""
    text = [(name, "VARCHAR", f"r.{name}") for name in TEXT.split()]
    variant = [(name, "JSON", f"NULLIF(r.{name}, 'null'::JSON)") for name in VARIANT]
    boolean = [(name, "BOOLEAN", f"TRY_CAST(r.{name} AS BOOLEAN)") for name in BOOLEAN.split()]
    times = [
        (name, "TIMESTAMP", "p.p_event_time")
        for name in ("eventTime", "p_event_time", "p_parse_time")
    ]
    panther = [(name, "VARCHAR", f"p.{name}") for name in PANTHER_TEXT.split()]
    lists = [(name, "VARCHAR[]", f"p.{name}") for name in PANTHER_LISTS.split()]
    return [*text, *variant, *boolean, *times, *panther, *lists]


def _create_table() -> str:
    columns = ", ".join(f'"{name}" {kind}' for name, kind, _ in _columns())
    return f"CREATE TABLE panther_logs.public.aws_cloudtrail ({columns})"


def _insert() -> str:
    """Return the statement that inserts a file: on each line a record `r` and its p_ fields `p`."""
    record = [f'"{name}" VARCHAR' for name in (TEXT + " " + BOOLEAN).split()]
    record += [f'"{name}" JSON' for name in VARIANT]
    added = [f'"{name}" VARCHAR' for name in PANTHER_TEXT.split()]
    added += [f'"{name}" VARCHAR[]' for name in PANTHER_LISTS.split()]
    added += ['"p_event_time" TIMESTAMP']
    columns = f"{{p: 'STRUCT({', '.join(added)})', r: 'STRUCT({', '.join(record)})'}}"
    values = ", ".join(value for _, _, value in _columns())
    read = (
        f"read_json(?, format = 'newline_delimited', columns = {columns}, maximum_object_size = ?)"
    )
    return f"INSERT INTO panther_logs.public.aws_cloudtrail SELECT {values} FROM {read}"


INSERT = _insert()
