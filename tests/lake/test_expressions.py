"""Tests of the table of expressions in scheduled, saved and served queries, in two time zones."""

import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
import yaml

from local_panther.content.load import loaded_content
from local_panther.content.saved_queries import saved_queries
from local_panther.content.sql import parse_sql
from local_panther.errors import FieldError, RunErrors
from local_panther.lake.ad_hoc import prepare
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.lake import Lake
from local_panther.lake.preparing import empty_lake
from local_panther.lake.reading import LakeReader, fetch
from local_panther.lake.saved import run_saved
from local_panther.lake.scheduled import ScheduledQueries
from local_panther.records.trail import Trail
from local_panther.times import sql_timestamp
from tests.builders.content import write_lines, write_rules
from tests.builders.events import START, read_record
from tests.lake.expressions import AGGREGATES, QUERIES, RECORDS, REFUSED, SCALARS, TABLE

ZONES = ("America/New_York", "Asia/Kolkata")
END = START + 3600
Rows = list[dict]
Runner = Callable[[str], Rows]


def scheduled(folder: Path) -> Runner:
    """Return a function that runs a scheduled query and returns the rows that its rule gets."""

    def run(sql: str) -> Rows:
        content = write_rules(folder / "content", own="def rule(event):\n    return True\n")
        (content / "queries").mkdir(exist_ok=True)
        query = {
            "AnalysisType": "scheduled_query",
            "QueryName": "Own",
            "Enabled": True,
            "Query": sql,
            "Schedule": {"RateMinutes": 30, "TimeoutMinutes": 5},
        }
        rule = {
            "AnalysisType": "scheduled_rule",
            "RuleID": "Own.Scheduled",
            "Enabled": True,
            "Filename": "scheduled.py",
            "ScheduledQueries": ["Own"],
            "Severity": "Low",
        }
        (content / "queries" / "own.yml").write_text(yaml.safe_dump(query))
        (content / "rules" / "scheduled.yml").write_text(yaml.safe_dump(rule))
        (content / "rules" / "scheduled.py").write_text("def rule(event):\n    return True\n")
        errors = RunErrors()
        with loaded_content(content, checks=empty_lake) as loaded, Lake() as lake:
            runs = ScheduledQueries(loaded, lake, errors)
            list(runs.advance(START + 1))
            for record in RECORDS:
                lake.add(read_record(record))
                runs.note(record["eventName"], START + 900)
            signals = list(runs.finish(START + 1700))
        assert not errors.counts, errors.examples
        last = max((signal.time for signal in signals), default=0)
        return [dict(signal.event) for signal in signals if signal.time == last]

    return run


def saved(folder: Path) -> Runner:
    """Return a function that runs a query as `local-panther query` does."""
    trail = write_lines(folder / "trail.jsonl", RECORDS)

    def run(sql: str) -> Rows:
        queries = folder / "saved" / "queries"
        queries.mkdir(parents=True, exist_ok=True)
        spec = {"AnalysisType": "saved_query", "QueryName": "Own", "Query": sql}
        (queries / "own.yml").write_text(yaml.safe_dump(spec))
        query = saved_queries(folder / "saved")["Own"]
        return run_saved(query, Trail([str(trail)]), {}).rows

    return run


def served(folder: Path) -> Runner:
    """Return a function that runs a query as the server's data lake does."""
    databases = folder / "databases"
    databases.mkdir()
    with Lake(databases) as lake:
        for record in RECORDS:
            lake.add(read_record(record))
        lake.query("SELECT 1")
    for name in ("panther_signals", "panther_rule_matches"):
        duckdb.connect(str(databases / f"{name}.duckdb")).close()
    reader = LakeReader(databases)

    def run(sql: str) -> Rows:
        written = prepare(sql, "panther_logs.public", reader.tables)
        values = {"now": sql_timestamp(END)} if "$now" in written else None
        with reader.cursor() as cursor:
            return fetch(cursor, written, values).rows

    return run


@pytest.fixture(scope="module", params=ZONES)
def zone(request):
    """Set the time zone of the machine to one other than UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


@pytest.fixture(scope="module", params=[scheduled, saved, served], ids=lambda way: way.__name__)
def run(request, zone, tmp_path_factory) -> Runner:
    """Return a function that runs a query, for each way of running one."""
    return request.param(tmp_path_factory.mktemp("lake"))


def are_equal(found, expected) -> bool:
    if isinstance(expected, float) and isinstance(found, float):
        return found == pytest.approx(expected, abs=1e-6)
    return found == expected and isinstance(found, bool) == isinstance(expected, bool)


def assert_values(run: Runner, table: list, source: str) -> None:
    columns = ", ".join(f"{sql} AS c{number}" for number, (sql, _, _) in enumerate(table))
    (row,) = run(f"SELECT {columns} FROM {source}")
    wrong = {
        sql: (row.get(f"c{number}"), expected, page)
        for number, (sql, expected, page) in enumerate(table)
        if not are_equal(row.get(f"c{number}"), expected)
    }
    assert not wrong


def test_expressions_have_the_documented_values(run):
    assert_values(run, SCALARS, f"{TABLE} WHERE eventID = '1'")


def test_aggregates_have_the_documented_values(run):
    assert_values(run, AGGREGATES, f"{TABLE} WHERE eventID >= '10'")


@pytest.mark.long
def test_queries_have_the_documented_rows(run):
    wrong = {}
    for sql, expected, page in QUERIES:
        rows = [row.get("v") for row in run(sql)]
        if "ORDER BY" not in sql.rpartition(")")[2]:
            rows.sort(key=str)
        if rows != expected:
            wrong[sql] = rows, expected, page
    assert not wrong


def test_the_table_has_enough_expressions_each_with_its_page():
    expressions = {sql for sql, _, _ in [*SCALARS, *AGGREGATES, *QUERIES]}
    assert len(expressions) == len([*SCALARS, *AGGREGATES, *QUERIES]) >= 250
    assert all(page for _, _, page in [*SCALARS, *AGGREGATES, *QUERIES])


@pytest.mark.parametrize(("sql", "message"), REFUSED)
def test_unsupported_sql_is_refused_with_its_line(sql, message):
    with pytest.raises(FieldError) as caught:
        transpile_sql(parse_sql(f"SELECT eventID,\n  {sql} AS v\nFROM {TABLE}"))
    assert message in str(caught.value) and str(caught.value).startswith("line ")
