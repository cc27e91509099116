"""Stores signals and rule matches in databases of their own, as in the lake of an instance.

`panther_signals` has every match of a rule, `panther_rule_matches` only matches that are part of an
alert. Both have a table for matches of events, `aws_cloudtrail`, and one for matches of rows of
scheduled queries, `scheduled_rules`. The signals also have a view of both tables,
`correlation_signals`. https://docs.panther.com/search/panther-fields
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from local_panther.lake.columns import added_types, columns, record_types
from local_panther.lake.session import MEMORY_LIMIT, quoted

DATABASES = SIGNALS, RULE_MATCHES = "panther_signals", "panther_rule_matches"
MATCH = {  # columns that a match adds to its event or row
    "p_rule_id": "VARCHAR",
    "p_rule_severity": "VARCHAR",
    "p_rule_tags": "VARCHAR[]",
    "p_rule_reports": "JSON",
    "p_rule_error": "VARCHAR",
    "p_alert_id": "VARCHAR",
    "p_alert_title": "VARCHAR",
    "p_alert_severity": "VARCHAR",
    "p_alert_context": "JSON",
    "p_alert_creation_time": "TIMESTAMP",
    "p_alert_update_time": "TIMESTAMP",
}
ROW = {"p_event_time": "TIMESTAMP", "p_row_id": "VARCHAR", "p_log_type": "VARCHAR", "row": "JSON"}
ALERT = tuple(name for name in MATCH if name.startswith("p_alert_"))
NAMED = ("p_rule_id", "p_row_id", *ALERT)
TABLES = ("aws_cloudtrail", "scheduled_rules")
LATE_NAMES = "parts.late_names"  # the alerts of signals in earlier parts (see `lake.parts`)
MAX_LINE_BYTES = 32 * 1024 * 1024


def store_findings(
    signals: Sequence[Path], matches: Sequence[Path], names: Sequence[Path], databases: Path
) -> int:
    """Create the databases of signals and rule matches.

    Args:
        signals: Files with a line of JSON for each match: the time of arrival `a`, the event `e`
            (or None, and the row of a query as `q`) and the match `m`.
        matches: Files of the same form with the matches that are part of an alert.
        names: Files with a line, with the fields NAMED, for each signal whose alert was created
            after the signal.
        databases: The folder for the databases.

    Returns:
        The number of lines that DuckDB does not accept.

    Raises:
        duckdb.Error: The databases cannot be created.
    """
    refused = 0
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        connection.execute("SET enable_progress_bar = false")
        for name, lines in zip(DATABASES, (signals, matches), strict=True):
            connection.execute(f"ATTACH {quoted(databases / f'{name}.duckdb')} AS {name}")
            connection.execute(f"CREATE SCHEMA {name}.public")
            refused += _store(connection, name, lines)
        refused += _name_alerts(connection, names)
        connection.execute(SIGNALS_VIEW)
        for name in DATABASES:
            connection.execute(f"CHECKPOINT {name}")
    return refused


def _store(connection: duckdb.DuckDBPyConnection, name: str, files: Sequence[Path]) -> int:
    match = _types(MATCH)
    forms = f"a: 'TIMESTAMP', e: 'STRUCT({record_types()}, {added_types()})', m: 'STRUCT({match})'"
    forms = f"{{{forms}, q: 'STRUCT({_types(ROW)})'}}"
    read = f"""read_json([{_paths(files)}], format = 'newline_delimited', ignore_errors = true,
        maximum_object_size = {MAX_LINE_BYTES}, columns = {forms})"""
    event = ", ".join(f'{value} AS "{column}"' for column, _, value in columns())
    stored = 0
    for table, source, values in (
        ("aws_cloudtrail", "e", event),
        ("scheduled_rules", "q", "unnest(q)"),
    ):
        connection.execute(
            f"""CREATE TABLE {name}.public.{table} AS SELECT {values}, unnest(m) FROM
            (SELECT a, e AS r, e AS p, q, m FROM {read} WHERE {source} IS NOT NULL)"""
        )
        stored += _count(connection, f"{name}.public.{table}")
    return _lines(files) - stored


def _name_alerts(connection: duckdb.DuckDBPyConnection, names: Sequence[Path]) -> int:
    """Add alerts to signals that are older than their alert; return how many lines are invalid."""
    forms = ", ".join(f"{name}: '{MATCH.get(name, 'VARCHAR')}'" for name in NAMED)
    connection.execute(
        f"""CREATE TEMP TABLE names AS SELECT * FROM read_json([{_paths(names)}],
        format = 'newline_delimited', ignore_errors = true, maximum_object_size = {MAX_LINE_BYTES},
        columns = {{{forms}}})"""
    )
    values = ", ".join(f"{name} = found.{name}" for name in ALERT)
    for table in TABLES:
        connection.execute(
            f"""UPDATE panther_signals.public.{table} AS signal SET {values}
            FROM names AS found
            WHERE signal.p_rule_id = found.p_rule_id AND signal.p_row_id = found.p_row_id"""
        )
    connection.execute(f"CREATE SCHEMA panther_signals.{LATE_NAMES.partition('.')[0]}")
    here = " UNION ALL ".join(
        f"SELECT p_rule_id, p_row_id FROM panther_signals.public.{table}" for table in TABLES
    )
    connection.execute(
        f"""CREATE TABLE panther_signals.{LATE_NAMES} AS SELECT * FROM names
        WHERE NOT EXISTS (SELECT 1 FROM ({here}) AS signal WHERE
        signal.p_rule_id = names.p_rule_id AND signal.p_row_id = names.p_row_id)"""
    )
    return _lines(names) - _count(connection, "names")


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return found[0] if found else 0


def _lines(files: Sequence[Path]) -> int:
    count = 0
    for path in files:
        with path.open("rb") as file:
            count += sum(1 for _ in file)
    return count


def _paths(files: Sequence[Path]) -> str:
    return ", ".join(map(quoted, files))


def _view(database: str, name: str) -> str:
    """Return the statement for a view of all matches, with their common columns."""
    shared = {column: kind for column, kind, _ in columns() if column.startswith("p_")} | MATCH
    of_rows = [c if c in ROW or c in MATCH else f"NULL::{k} AS {c}" for c, k in shared.items()]
    return f"""CREATE VIEW {database}.public.{name} AS
        SELECT {", ".join(shared)} FROM {database}.public.aws_cloudtrail UNION ALL
        SELECT {", ".join(of_rows)} FROM {database}.public.scheduled_rules"""


def _types(fields: dict[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in fields.items())


SIGNALS_VIEW = _view(SIGNALS, "correlation_signals")
