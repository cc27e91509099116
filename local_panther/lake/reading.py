"""Reads the databases of the lake, for queries that can do nothing else."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from local_panther.lake.findings import RULE_MATCHES, SIGNALS
from local_panther.lake.lake import json_value, plain
from local_panther.lake.names import DEFAULT_DATABASE
from local_panther.lake.parts import attach
from local_panther.lake.session import MEMORY_LIMIT, THREADS, begin, quoted
from local_panther.processes import TemporaryFolder

DATABASES = {
    DEFAULT_DATABASE: "the records that were replayed",
    SIGNALS: "matches of rules, whether they alert or not",
    RULE_MATCHES: "matches of rules that are part of an alert",
}
DISK_LIMIT = "2GB"
MAX_ROWS = 10_000  # rows of one query
MAX_BYTES = 32 * 1024 * 1024  # JSON bytes of these rows
BATCH_ROWS = 500


@dataclass
class Rows:
    """The result of a query.

    Attributes:
        columns: Names and types of the columns, in order.
        rows: The rows, each by column name.
        size: JSON bytes of the rows.
        cut: True if there were more rows than MAX_ROWS or MAX_BYTES allow.
    """

    columns: list[tuple[str, str]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    size: int = 0
    cut: bool = False


class LakeReader:
    """A connection to the databases in a folder; queries cannot access files or the network.

    Attributes:
        tables: Names and types of columns, by database and table.
    """

    def __init__(self, databases: Path) -> None:
        """Open the databases.

        Raises:
            duckdb.Error: They cannot be opened.
        """
        self._folder = TemporaryFolder("local-panther-query-")
        self._connection = connection = duckdb.connect()
        begin(connection)
        for name in DATABASES:
            attach(connection, databases, name)
        for setting, value in (
            ("python_enable_replacements", "false"),  # do not expose Python variables as tables
            ("threads", str(THREADS)),
            ("memory_limit", f"'{MEMORY_LIMIT}'"),
            ("temp_directory", quoted(self._folder.path)),
            ("max_temp_directory_size", f"'{DISK_LIMIT}'"),
            ("enable_external_access", "false"),
            ("lock_configuration", "true"),
        ):
            connection.execute(f"SET {setting} = {value}")
        self.tables: dict[str, dict[str, list[tuple[str, str]]]] = {name: {} for name in DATABASES}
        for database, table, column, kind in connection.execute(
            "SELECT database_name, table_name, column_name, data_type FROM duckdb_columns() "
            "WHERE schema_name = 'public' ORDER BY column_index"
        ).fetchall():
            if database in self.tables:  # skip the parts that a database consists of
                self.tables[database].setdefault(table, []).append((column, kind))

    def close(self) -> None:
        """Close the databases."""
        self._connection.close()
        self._folder.cleanup()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection for one query, which can be interrupted separately."""
        return self._connection.cursor()


def fetch(cursor: duckdb.DuckDBPyConnection, sql: str, values: dict[str, Any] | None) -> Rows:
    """Run a query and return its rows, up to MAX_ROWS and MAX_BYTES.

    Raises:
        duckdb.Error: The query cannot be run, or was interrupted.
    """
    cursor.execute(sql, values)
    found = Rows([(column[0], str(column[1])) for column in cursor.description or ()])
    while batch := cursor.fetchmany(BATCH_ROWS):
        for row in batch:
            if len(found.rows) == MAX_ROWS or found.size > MAX_BYTES:
                found.cut = True
                return found
            shown = _shown(row, found.columns)
            found.size += len(json.dumps(shown))
            found.rows.append(shown)
    return found


def _shown(row: Sequence[Any], columns: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        name: json_value(value) if kind == "JSON" else _finite(plain(value))
        for (name, kind), value in zip(columns, row, strict=True)
    }


def _finite(value: Any) -> Any:
    """Return a value; infinities and NaN, which JSON does not have, become text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
