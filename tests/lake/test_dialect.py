"""Tests of Panther's SQL (Snowflake with macros) as DuckDB runs it."""

import duckdb
import pytest

from local_panther.content.sql import parse_sql, reads_only_cloudtrail, scanned_event_names
from local_panther.errors import FieldError
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.lake import Lake
from local_panther.lake.session import NeededFunctions, _macros, begin
from local_panther.times import sql_timestamp
from tests.builders.events import START, call, read_record

TABLE = "panther_logs.public.aws_cloudtrail"


def value(sql, now=START, **options):
    return run(f"SELECT {sql}", now, **options)[0]


def run(sql, now=START, **options):
    translated = transpile_sql(parse_sql(sql), **options)
    values = {"now": sql_timestamp(now)} if "$now" in translated else None
    with duckdb.connect() as connection:
        begin(connection)
        (row,) = connection.execute(translated, values).fetchall()
    return row


def holds(macro, minutes):
    """Return whether a macro includes an event at a distance from now, in minutes."""
    time = sql_timestamp(START + minutes * 60)
    return value(f"{macro} FROM (SELECT '{time}'::timestamp AS p_event_time) AS t")


@pytest.mark.parametrize(
    "macro, inside, outside",
    [
        ("p_occurs_since('3 h')", [-180, -1, 0], [-181, 1]),
        ("p_occurs_since('30 m')", [-30], [-31]),
        ("p_occurs_since('30 minutes', t)", [-30], [-31]),
        ("p_occurs_since('1 d')", [-1440], [-1441]),
        ("p_occurs_since('1 week')", [-10080], [-10081]),
        ("p_occurs_since(3600)", [-60], [-61]),
        ("P_OCCURS_SINCE('1 hour')", [-60], [-61]),
        ("p_occurs_around('2026-01-05 10:00:00', '10 m')", [-10, 10], [-11, 11]),
        ("p_occurs_between('2026-01-05 09:00:00', '2026-01-05 10:00:00')", [-60, 0], [-61, 1]),
        ("p_occurs_after('2026-01-05 10:00:00')", [0, 9], [-1]),
        ("p_occurs_before('2026-01-05 10:00:00')", [-1], [0]),
        ("p_event_time > DATEADD('minute', -5, CURRENT_TIMESTAMP())", [-4, 9], [-5]),
    ],
)
def test_a_time_condition_includes_the_documented_times(macro, inside, outside):
    assert all(holds(macro, minutes) for minutes in inside)
    assert not any(holds(macro, minutes) for minutes in outside)


def test_an_invalid_length_of_time_is_refused():
    with pytest.raises(FieldError, match="soon"):
        value("p_occurs_since('soon')")


def test_the_length_of_every_p_occurs_since_can_be_replaced():
    sql = "p_occurs_since('1 m') FROM (SELECT '2026-01-05 08:00:00'::timestamp AS p_event_time)"
    assert not value(sql)
    assert value(sql, reach="3 h")


def test_a_path_into_an_object_gives_text_without_quotes():
    document = """PARSE_JSON('{"a": {"b": "x"}, "c": 7}')"""
    assert value(f"d:a.b::string || '/' || d:c::string FROM (SELECT {document} d)") == "x/7"


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("COUNT(*)", "COUNT(*)"),
        ("max(p_event_time)", "MAX(P_EVENT_TIME)"),
        ("ANY_VALUE(userIdentity:arn)", "ANY_VALUE(USERIDENTITY:ARN)"),
        ("'abc'", "'ABC'"),
    ],
)
def test_an_unnamed_result_column_is_named_by_its_text(sql, name):
    with Lake() as lake:
        lake.add(read_record(call("GetUser")))
        (row,) = lake.query(transpile_sql(parse_sql(f"SELECT {sql} FROM {TABLE}")))
    assert list(row) == [name]


def test_parameters_are_set_by_name_and_quoted():
    sql = "WITH parameters AS (SELECT 'a' AS who, '2026-01-01'::timestamp AS at, 1 AS n) "
    given = {"who": "it's; DROP TABLE x --", "at": "2026-01-05 10:00:00", "other": "x"}
    row = run(sql + "SELECT who, at, n FROM parameters", parameters=given)
    assert row[0] == given["who"] and str(row[1]) == given["at"] and row[2] == 1


@pytest.mark.parametrize(
    "sql, names",
    [
        (f"SELECT 1 FROM {TABLE} WHERE eventName = 'A'", {"A"}),
        (f"SELECT 1 FROM {TABLE} WHERE x > 1 AND eventName IN ('A', 'B') AND y", {"A", "B"}),
        (f"SELECT 1 FROM {TABLE} t WHERE t.eventName = 'A'", {"A"}),
        (f"SELECT 1 FROM {TABLE} WHERE eventName = 'A' OR x", None),
        (f"SELECT 1 FROM {TABLE} WHERE eventName LIKE 'A%'", None),
        (f"SELECT 1 FROM {TABLE}", None),
        (
            f"WITH a AS (SELECT 1 FROM {TABLE} WHERE eventName = 'A') "
            f"SELECT 1 FROM a JOIN (SELECT 2 FROM {TABLE} WHERE eventName = 'B') ON true",
            {"A", "B"},
        ),
        (f"WITH a AS (SELECT 1 FROM {TABLE} WHERE eventName = 'A') SELECT * FROM {TABLE}", None),
        (
            f"SELECT 1 FROM {TABLE} WHERE eventName = 'A' "
            f"UNION ALL SELECT 1 FROM {TABLE} WHERE eventName = 'B'",
            {"A", "B"},
        ),
        (f"SELECT 1 FROM x JOIN {TABLE} c ON true WHERE c.eventName = 'A'", {"A"}),
        (f"SELECT 1 FROM x JOIN {TABLE} c ON true WHERE eventName = 'A'", None),
        (f"SELECT 1 FROM x JOIN {TABLE} c ON true WHERE x.eventName = 'A'", None),
        (
            f"SELECT 1 FROM {TABLE} a JOIN {TABLE} b ON true "
            "WHERE A.eventName = 'A' AND b.eventName = 'B'",
            {"A", "B"},
        ),
        (f"SELECT 1 FROM {TABLE} a JOIN {TABLE} b ON true WHERE a.eventName = 'A'", None),
        (f"SELECT 1 FROM {TABLE} a LEFT JOIN {TABLE} b ON true WHERE b.eventName = 'B'", None),
        (
            f"WITH l AS (SELECT * FROM {TABLE} WHERE eventName = 'A') "
            f"SELECT 1 FROM l JOIN {TABLE} c ON true WHERE l.eventName = 'A'",
            None,
        ),
        (f"SELECT 1 FROM ({TABLE} a JOIN {TABLE} b ON true) WHERE a.eventName = 'A'", None),
        (
            f"SELECT 1 FROM {TABLE}, LATERAL FLATTEN(input => resources) r WHERE eventName = 'A'",
            {"A"},
        ),
        (f"SELECT 1 FROM {TABLE}, TABLE(FLATTEN(resources)) r WHERE eventName = 'A'", {"A"}),
    ],
)
def test_the_event_names_that_a_query_can_see_are_found(sql, names):
    assert scanned_event_names(parse_sql(sql)) == names


@pytest.mark.parametrize(
    "sql, expected",
    [
        (f"SELECT 1 FROM {TABLE}", True),
        (f"WITH a AS (SELECT 1 FROM {TABLE}) SELECT * FROM a", True),
        (f"SELECT 1 FROM {TABLE}, panther_logs.public.okta_systemlog", False),
        ("SELECT 1 FROM panther_logs.public.okta_systemlog", False),
        ("SELECT 1 FROM panther_signals.public.aws_cloudtrail", False),
        ("SELECT 1 FROM panther_logs.AWS_CLOUDTRAIL", True),
        (f"SELECT 1 FROM {TABLE}, TABLE(FLATTEN(resources)) r", True),
        (f"WITH aws_cloudtrail AS (SELECT 1 FROM {TABLE}) SELECT 1 FROM aws_cloudtrail", True),
        ("SELECT 1", False),
    ],
)
def test_queries_over_other_tables_are_recognised(sql, expected):
    assert reads_only_cloudtrail(parse_sql(sql)) == expected


@pytest.mark.parametrize(
    "sql, message",
    [
        ("SELECT FROM WHERE", "not a query in the Snowflake dialect"),
        ("SELECT 1; SELECT 2", "must be one SELECT"),
        ("DROP TABLE x", "must be one SELECT"),
        ("", "must be one SELECT"),
    ],
)
def test_anything_but_one_query_is_refused(sql, message):
    with pytest.raises(FieldError) as caught:
        parse_sql(sql)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", list(_macros()))
def test_a_function_of_snowflake_is_added_with_all_that_it_calls(name):
    with duckdb.connect() as alone, duckdb.connect() as complete:
        begin(alone, functions=False)
        functions = NeededFunctions()
        functions.add(alone, f"SELECT {name.upper()}(x)")
        functions.add(alone, f"SELECT {name}(x), {name}(y)")  # is there already
        begin(complete)
        body = "SELECT macro_definition FROM duckdb_functions() WHERE function_name = ?"
        assert alone.execute(body, [name]).fetchall() == complete.execute(body, [name]).fetchall()
        for called in _macros()[name].calls:
            assert alone.execute(body, [called]).fetchall()
