"""Tests of replacing the columns of a row of constants by their values."""

import pytest

from local_panther.content.sql import parse_sql
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.lake import Lake
from tests.builders.events import call, read_record

TABLE = "panther_logs.public.aws_cloudtrail"
ROW = "WITH few AS (SELECT 2 AS two, -1 AS less, 'b' AS letter, TRUE AS yes)"
INLINED = (
    f"SELECT t.eventID, few.two, few.letter FROM {TABLE} AS t CROSS JOIN few",
    f"SELECT t.eventID || few.letter AS x FROM {TABLE} AS t CROSS JOIN few WHERE few.yes",
    f"SELECT eventID, two * less AS n FROM {TABLE} CROSS JOIN few AS f WHERE letter <> 'a'",
    f"SELECT t.*, few.two FROM {TABLE} AS t CROSS JOIN few WHERE t.eventID = few.two::string",
    f"SELECT COUNT(*) AS n, MAX(few.letter) AS m FROM {TABLE} CROSS JOIN few",
    f"SELECT t.eventID, o.eventName FROM {TABLE} AS t CROSS JOIN few "
    f"LEFT JOIN {TABLE} AS o ON o.eventID = few.two::string",
    f"SELECT t.eventID FROM {TABLE} AS t CROSS JOIN few "
    f"WHERE t.eventID IN (SELECT o.eventID FROM {TABLE} AS o WHERE o.eventID >= few.two::string)",
    f"SELECT t.eventID, SUM(few.two) OVER (PARTITION BY few.letter) AS n "
    f"FROM {TABLE} AS t CROSS JOIN few",
)
LEFT_ALONE = (
    f"SELECT few.two, COUNT(*) AS n FROM {TABLE} CROSS JOIN few GROUP BY few.two",
    f"SELECT t.eventID FROM {TABLE} AS t CROSS JOIN few ORDER BY few.two, t.eventID",
    f"SELECT few.two FROM few LEFT JOIN {TABLE} AS t ON t.eventID = few.two::string",
    f"SELECT t.eventID, few.two FROM {TABLE} AS t LEFT JOIN few ON few.two::string = t.eventID",
    f"SELECT few.two, o.eventID FROM {TABLE} AS t CROSS JOIN few "
    f"FULL JOIN {TABLE} AS o ON o.eventID = t.eventID || few.letter",
    "SELECT few.two FROM few",
)


@pytest.fixture(scope="module")
def lake():
    with Lake() as lake:
        for number in range(4):
            lake.add(read_record(call("ListRoles", eventID=str(number))))
        yield lake


def rows(lake: Lake, sql: str, *, arrived: bool) -> list[str]:
    text = transpile_sql(parse_sql(f"{ROW} {sql}"), arrived=arrived)
    return sorted(map(str, lake.query(text, now=4e9)))


def is_joined(sql: str) -> bool:
    text = transpile_sql(parse_sql(f"{ROW} {sql}"), arrived=True)
    return '"few"' in text.partition("SELECT")[2].partition("SELECT")[2]


@pytest.mark.parametrize("sql", INLINED)
def test_a_row_of_constants_is_inlined_instead_of_joined(sql):
    assert not is_joined(sql)


@pytest.mark.parametrize("sql", LEFT_ALONE)
def test_a_row_whose_values_cannot_replace_the_join_is_left_alone(sql):
    assert is_joined(sql)


@pytest.mark.parametrize("sql", INLINED + LEFT_ALONE)
def test_inlining_does_not_change_the_rows(lake, sql):
    found = rows(lake, sql, arrived=True)
    assert found and found == rows(lake, sql, arrived=False)


@pytest.mark.parametrize(
    "row",
    [
        "SELECT 1.5 AS n",
        "SELECT 3000000000 AS n",
        "SELECT NULL AS n",
        "SELECT 1 + 1 AS n",
        "SELECT 1 AS n UNION ALL SELECT 2",
        "SELECT 1 AS n WHERE FALSE",
        "SELECT 1 AS n LIMIT 0",
    ],
)
def test_only_plain_literals_are_constants(row):
    sql = f"WITH few AS ({row}) SELECT few.n, t.eventID FROM {TABLE} AS t CROSS JOIN few"
    assert "CROSS JOIN" in transpile_sql(parse_sql(sql), arrived=True)
