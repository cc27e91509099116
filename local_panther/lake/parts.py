"""Splits the databases of a lake into parts, so that new records need no copy of the old ones.

The last part of `panther_logs` is `panther_logs.duckdb`. The earlier parts, which never change, are
`panther_logs-1.duckdb` and so on. Readers see all parts as one database. If a signal in an earlier
part gets its alert later, the alert is stored in a later part.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb

from local_panther.lake.findings import ALERT, LATE_NAMES, SIGNALS, SIGNALS_VIEW
from local_panther.lake.session import quoted
from local_panther.processes import link


def add_earlier_part(file: Path, databases: Path, name: str, number: int) -> None:
    """Make a file an earlier part of a database.

    Args:
        file: The file, which must not change any more.
        databases: The folder of the database.
        name: The name of the database.
        number: The number of the part, from 1.
    """
    link(file, _part(databases, name, number))


def _part(databases: Path, name: str, number: int) -> Path:
    return databases / f"{name}-{number}.duckdb"


def attach(connection: duckdb.DuckDBPyConnection, databases: Path, name: str) -> None:
    """Attach a database for reading; each table has the rows of all parts, in their order.

    Args:
        connection: The connection.
        databases: The folder of the database.
        name: The name of the database.

    Raises:
        duckdb.Error: A part cannot be read.
    """
    last = databases / f"{name}.duckdb"
    earlier = list(_earlier(databases, name))
    if not earlier:
        connection.execute(f"ATTACH {quoted(last)} AS {name} (READ_ONLY)")
        return
    parts = []
    for number, path in enumerate([*earlier, last], 1):
        parts.append(f"{name}_part_{number}")
        connection.execute(f"ATTACH {quoted(path)} AS {parts[-1]} (READ_ONLY)")
    connection.execute(f"ATTACH ':memory:' AS {name}")
    connection.execute(f"CREATE SCHEMA {name}.public")
    tables = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = ? AND schema_name = 'public'",
        [parts[-1]],
    ).fetchall()
    late = _late_names(connection, parts) if name == SIGNALS else ""
    for (table,) in tables:
        rows = " UNION ALL ".join(_rows(f"{part}.public.{table}", late) for part in parts)
        connection.execute(f"CREATE VIEW {name}.public.{table} AS {rows}")
    if name == SIGNALS:
        connection.execute(SIGNALS_VIEW)


def _late_names(connection: duckdb.DuckDBPyConnection, parts: Sequence[str]) -> str:
    """Return a query for later alerts of signals in earlier parts; "" if there are none."""
    late = " UNION ALL ".join(f"SELECT * FROM {part}.{LATE_NAMES}" for part in parts)
    return late if connection.execute(f"SELECT 1 FROM ({late}) LIMIT 1").fetchall() else ""


def _rows(table: str, late: str) -> str:
    if not late:
        return f"SELECT * FROM {table}"
    names = ", ".join(f"coalesce(signal.{name}, late.{name}) AS {name}" for name in ALERT)
    return (
        f"SELECT signal.* REPLACE ({names}) FROM {table} AS signal LEFT JOIN ({late}) AS late"
        " ON signal.p_rule_id = late.p_rule_id AND signal.p_row_id = late.p_row_id"
    )


def _earlier(databases: Path, name: str) -> Iterator[Path]:
    number = 1
    while (path := _part(databases, name, number)).exists():
        yield path
        number += 1
