"""Tests of composed expressions against a small evaluator written from Snowflake's documentation.

The pages are below https://docs.snowflake.com/en/sql-reference/: `ternary-logic` for NULL,
`data-type-conversion` for VARIANT, and one for each function.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_panther.content.sql import parse_sql
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.lake import Lake
from tests.builders.events import call, read_record
from tests.scale import examples

PARAMETERS = [
    {"s": "role/Admin", "n": 7, "d": "12", "f": True, "deep": {"list": ["a", "B/c"]}},
    {"s": "", "n": 0, "d": "0", "f": False, "deep": {"list": [""]}},
    {"s": "a%b_c", "n": -3, "d": "3", "deep": {"list": []}},
    {"n": 2**40},
    None,
]


@dataclass(frozen=True)
class Expression:
    """An expression in SQL, and its value for the request parameters of a record."""

    sql: str
    value: Callable[[dict[str, Any]], Any]


def path(sql: str, *keys: str | int) -> Expression:
    def value(parameters):
        found: Any = parameters
        for key in keys:
            try:
                found = found[key]
            except (KeyError, IndexError, TypeError):
                return None
        return found

    return Expression(f"requestParameters:{sql}", value)


def strict(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is NULL if any argument is NULL."""
    return lambda *values: None if None in values else function(*values)


def applied(template: str, function: Callable[..., Any]) -> Callable[..., Expression]:
    def build(*parts: Expression) -> Expression:
        sql = template.format(*(part.sql for part in parts))
        return Expression(sql, lambda record: function(*(part.value(record) for part in parts)))

    return build


def literal(value: Any) -> Expression:
    if isinstance(value, str):
        return Expression("'" + value.replace("'", "''") + "'", lambda _: value)
    return Expression(str(value) if value >= 0 else f"({value})", lambda _: value)


def as_text(value: Any) -> str | None:
    """Return a VARIANT as text."""
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def substr(text: str, start: int, length: int) -> str:
    """https://docs.snowflake.com/en/sql-reference/functions/substr"""
    if length <= 0 or abs(start) > len(text):
        return ""
    begin = len(text) + start if start < 0 else max(start, 1) - 1
    return text[begin : begin + length]


def split_part(text: str, delimiter: str, number: int) -> str:
    """https://docs.snowflake.com/en/sql-reference/functions/split_part"""
    parts = text.split(delimiter) if delimiter else [text]
    place = number - 1 if number > 0 else 0 if number == 0 else len(parts) + number
    return parts[place] if 0 <= place < len(parts) else ""


def like(text: str, pattern: str) -> bool:
    """https://docs.snowflake.com/en/sql-reference/functions/like"""
    form = "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(form, text, re.DOTALL) is not None


def both(left: bool | None, right: bool | None) -> bool | None:
    """https://docs.snowflake.com/en/sql-reference/ternary-logic"""
    if left is False or right is False:
        return False
    return None if None in (left, right) else True


def either(left: bool | None, right: bool | None) -> bool | None:
    if left or right:
        return True
    return None if None in (left, right) else False


def mod(left: int, right: int) -> int:
    """https://docs.snowflake.com/en/sql-reference/functions/mod: the sign is the dividend's."""
    return abs(left) % abs(right) * (1 if left >= 0 else -1)


def first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def choice(condition: bool | None, true: Any, false: Any) -> Any:
    return true if condition else false


def on_text(function: Callable[..., Any]) -> Callable[..., Any]:
    return strict(lambda text, *more: function(as_text(text), *more))


TEXT = st.sampled_from(["", "a", "B", "role/", "%", "_", "it's", "a/b/c", "7"]).map(literal)
PATTERN = st.sampled_from(["", "%", "a%", "%/%", "_", "role/_dmin", "a\\\\%"]).map(literal)
SMALL = st.integers(-4, 9).map(literal)
POSITIVE = st.integers(1, 5).map(literal)
NUMBER_PATHS = st.sampled_from([path("n", "n"), path("deep.none", "deep", "none")])
ANY_PATHS = st.sampled_from(
    [
        path("s", "s"),
        path("n", "n"),
        path("f", "f"),
        path("d", "d"),
        path("deep.list[1]", "deep", "list", 1),
        path("deep['list'][0]", "deep", "list", 0),
        path("missing.further", "missing", "further"),
    ]
)
BOOLEAN_PATHS = st.just(path("f", "f"))


Strategies = tuple[st.SearchStrategy, st.SearchStrategy, st.SearchStrategy]


def composed(depth: int) -> Strategies:
    """Return strings, numbers and booleans composed of calls up to a depth."""
    if depth == 0:
        texts = TEXT | ANY_PATHS.map(applied("{0}::string", as_text))
        numbers = SMALL | NUMBER_PATHS.map(applied("{0}::int", lambda number: number))
        return texts, numbers, BOOLEAN_PATHS
    texts, numbers, booleans = composed(depth - 1)
    loose = ANY_PATHS | texts  # a VARIANT without a cast can be used as text

    def calls(template, function, *parts):
        return st.builds(applied(template, function), *parts)

    text_calls = st.one_of(
        calls("LOWER({0})", on_text(str.lower), loose),
        calls("UPPER({0})", on_text(str.upper), loose),
        calls("SUBSTR({0}, {1}, {2})", on_text(substr), loose, SMALL, SMALL),
        calls("LEFT({0}, {1})", on_text(lambda t, n: t[: max(n, 0)]), loose, SMALL),
        calls("SPLIT_PART({0}, {1}, {2})", on_text(split_part), loose, TEXT, SMALL),
        calls("({0} || {1})", strict(lambda a, b: as_text(a) + as_text(b)), loose, loose),
        calls("COALESCE({0}, {1})", first, texts, texts),
        calls("COALESCE({0}, {1})::string", lambda a, b: as_text(first(a, b)), ANY_PATHS, TEXT),
        calls("IFF({0}, {1}, {2})", choice, booleans, texts, texts),
        calls("CASE WHEN {0} THEN {1} ELSE {2} END", choice, booleans, texts, texts),
        calls("NULLIF({0}, {1})", lambda a, b: None if a == b else a, texts, texts),
        calls("REPLACE({0}, '/', {1})", on_text(lambda t, new: t.replace("/", new)), loose, TEXT),
    )
    number_calls = st.one_of(
        calls("LENGTH({0})", on_text(len), loose),
        calls("({0} + {1})", strict(lambda a, b: a + b), numbers | NUMBER_PATHS, numbers),
        calls("({0} - {1})", strict(lambda a, b: a - b), numbers, numbers | NUMBER_PATHS),
        calls("MOD({0}, {1})", strict(mod), numbers, POSITIVE),
        calls("ABS({0})", strict(abs), numbers | NUMBER_PATHS),
        calls("COALESCE({0}, {1})", first, numbers, numbers),
        calls("IFF({0}, {1}, {2})", choice, booleans, numbers, numbers),
        calls("GREATEST({0}, {1})", strict(max), numbers, numbers),
    )
    boolean_calls = st.one_of(
        calls("({0} = {1})", strict(lambda a, b: as_text(a) == b), loose, texts),
        calls("({0} <> {1})", strict(lambda a, b: a != as_text(b)), texts, loose),
        calls("({0} IN ('a', {1}))", either_in, loose, texts),
        calls("({0} LIKE {1})", on_text(like), loose, PATTERN),
        calls("STARTSWITH({0}, {1})", on_text(str.startswith), loose, TEXT),
        calls("({0} < {1})", strict(lambda a, b: a < b), numbers | NUMBER_PATHS, numbers),
        calls("({0} = {1})", strict(lambda a, b: a == b), numbers, numbers | NUMBER_PATHS),
        calls("({0} IS NULL)", lambda value: value is None, loose),
        calls("({0} IS NOT NULL)", lambda value: value is not None, loose),
        calls("({0} AND {1})", both, booleans, booleans),
        calls("({0} OR {1})", either, booleans, booleans),
        calls("(NOT {0})", strict(lambda value: not value), booleans),
        calls("EQUAL_NULL({0}, {1})", lambda a, b: as_text(a) == b, loose, texts),
    )
    return texts | text_calls, numbers | number_calls, booleans | boolean_calls


def either_in(value: Any, other: str | None) -> bool | None:
    return either(
        strict(lambda a, b: as_text(a) == b)(value, "a"),
        strict(lambda a, b: as_text(a) == b)(value, other),
    )


TEXTS, NUMBERS, BOOLEANS = composed(3)


@pytest.fixture(scope="module")
def lake():
    with Lake() as lake:
        for number, parameters in enumerate(PARAMETERS):
            record = call("GetUser", requestParameters=parameters, eventID=str(number))
            lake.add(read_record(record))
        yield lake


@settings(max_examples=examples(60, 2000))
@given(st.lists(st.one_of(TEXTS, NUMBERS, BOOLEANS), min_size=4, max_size=12))
def test_composed_expressions_have_the_values_of_the_evaluator(lake, expressions):
    columns = ", ".join(f"{part.sql} AS c{number}" for number, part in enumerate(expressions))
    sql = f"SELECT {columns} FROM aws_cloudtrail ORDER BY eventID"
    rows = lake.query(transpile_sql(parse_sql(sql)))
    for parameters, row in zip(PARAMETERS, rows, strict=True):
        for number, part in enumerate(expressions):
            expected = part.value(parameters or {})
            assert (row[f"c{number}"], parameters, part.sql) == (expected, parameters, part.sql)


@settings(max_examples=examples(40, 1000))
@given(BOOLEANS)
def test_a_condition_keeps_the_records_for_which_it_is_true(lake, condition):
    sql = f"SELECT eventID FROM aws_cloudtrail WHERE {condition.sql} ORDER BY eventID"
    found = [int(row["eventID"]) for row in lake.query(transpile_sql(parse_sql(sql)))]
    assert found == [n for n, p in enumerate(PARAMETERS) if condition.value(p or {})]
