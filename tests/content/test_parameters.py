"""Tests of values for the parameters of saved queries."""

import pytest

from local_panther.content.filled_sql import fill
from local_panther.content.parameters import parameter_value
from local_panther.content.sql import parameters_in, parse_sql
from local_panther.errors import FieldError

QUERY = """WITH parameters AS (
  SELECT 'a' AS who, '2026-01-01'::timestamp AS at, '2026-01-01'::date AS day, 15 AS minutes,
    -1.5 AS low, TRUE AS loud, CURRENT_TIMESTAMP() AS now
) SELECT * FROM parameters"""


def written(name, value):
    default = parameters_in(parse_sql(QUERY))[name].this
    return parameter_value(default, value).sql("duckdb")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("who", "60", "'60'"),
        ("who", "it's", "'it''s'"),
        ("minutes", "60", "60"),
        ("minutes", " -2.5 ", "-2.5"),
        ("low", "1e3", "1e3"),
        ("loud", "false", "FALSE"),
        ("loud", "YES", "TRUE"),
        ("day", "2026-01-05", "CAST('2026-01-05' AS DATE)"),
        ("at", "2026-01-05 10:00:00", "CAST('2026-01-05 10:00:00.000000' AS TIMESTAMP)"),
        ("at", "2026-01-05T10:00:00Z", "CAST('2026-01-05 10:00:00.000000' AS TIMESTAMP)"),
        ("at", "2026-01-05T15:00:00+05:00", "CAST('2026-01-05 10:00:00.000000' AS TIMESTAMP)"),
        ("at", "2026-01-05", "CAST('2026-01-05 00:00:00.000000' AS TIMESTAMP)"),
        ("now", "2026-01-05T05:00:00-05:00", "CAST('2026-01-05 10:00:00.000000' AS TIMESTAMP)"),
    ],
)
def test_a_value_gets_the_type_of_the_example(name, value, expected):
    assert written(name, value) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("minutes", "soon"),
        ("minutes", ""),
        ("minutes", "1; DROP TABLE x"),
        ("loud", "maybe"),
        ("day", "tomorrow"),
        ("at", "soon"),
        ("at", "2026-13-01 10:00:00"),
    ],
)
def test_a_value_of_another_type_is_refused(name, value):
    with pytest.raises(FieldError, match=r"is not a|neither"):
        written(name, value)


def test_a_number_is_filled_in_without_quotes_where_the_example_is_one():
    filled = fill(QUERY, {"minutes": "60", "who": "60"})
    assert "SELECT '60' AS who" in filled.head and ", 60 AS minutes" in filled.head
    assert ", 'x' AS minutes" in fill(QUERY, {"minutes": "x"}).head
