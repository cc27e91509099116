"""Tests that scheduled queries run in every period, over the records that had arrived by then."""

import math

import pytest

from local_panther.content.load import loaded_content
from local_panther.content.model import Query
from local_panther.lake.lake import Lake
from local_panther.lake.windows import windows_of
from tests.builders.events import REPO, START
from tests.builders.scheduled import (
    ABSENCE,
    ARRIVED,
    EVERYTHING,
    HABITS,
    JOINED,
    NOW,
    REFUSED,
    SETTINGS,
    TABLE,
    WINDOW,
    run,
)

MINUTE, HOUR = 60, 3600


def test_every_row_of_every_run_reaches_the_rule(monkeypatch):
    rows, _ = run(WINDOW, [(1, 1), (200, 200)], monkeypatch)
    assert rows.times() == [15, 30, 45, 60, 210]
    assert [row["eventID"] for _, row in rows.seen] == ["0"] * 4 + ["1"]


def test_a_query_for_absent_records_runs_without_any_records(monkeypatch):
    rows, _ = run(ABSENCE, [(1, 1), (200, 200)], monkeypatch)
    assert rows.times() == [75, 90, 105, 120, 135, 150, 165, 180, 195]


def test_a_run_does_not_see_records_that_arrive_after_it(monkeypatch):
    rows, _ = run(WINDOW, [(1, 1), (14, 16), (40, 40)], monkeypatch)
    seen = [(m, row["eventID"]) for m, (_, row) in zip(rows.times(), rows.seen, strict=True)]
    assert sorted(seen) == [(15, "0"), *((30, n) for n in "01"), *((45, n) for n in "012")]


def test_a_query_that_cannot_run_is_an_error(monkeypatch):
    sql = f"SELECT no_such_column FROM {TABLE} WHERE p_occurs_since('1 h')"
    rows, errors = run(sql, [(1, 1), (31, 31)], monkeypatch)
    assert not rows.seen and "no_such_column" in errors.examples[0].message


FAR = 40 * 365 * 1440  # minutes


def test_decades_without_a_record_cost_no_runs(monkeypatch):
    rows, errors = run(WINDOW, [(0, 0), (FAR, FAR)], monkeypatch, 120)
    assert len(rows.seen) == 32 and not errors.counts


def test_decades_of_runs_with_rows_but_no_records_are_cut_off_with_an_error(monkeypatch):
    monkeypatch.setattr("local_panther.lake.scheduled.MAX_RUNS_BETWEEN", 50)
    rows, errors = run(ABSENCE, [(0, 0), (FAR, FAR)], monkeypatch)
    assert len(rows.seen) == 50 and "left out" in errors.examples[0].message


@pytest.mark.parametrize("beside", [WINDOW, EVERYTHING, REFUSED])
def test_a_query_about_failed_calls_finds_them_beside_any_other_query(monkeypatch, beside):
    rows, _ = run(REFUSED, [(20 * n, 20 * n) for n in range(9)], monkeypatch, beside=beside)
    assert {row["eventID"] for _, row in rows.seen} == {"1", "4", "7"}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (WINDOW, [15, 210, 315]),
        (ABSENCE, [15, 75, 210, 270, 315]),
        (HABITS, [210, 255]),  # the runs that see record 1 within the hour
        (SETTINGS, [210, 255]),
        (REFUSED, [210, 255]),
    ],
)
def test_a_run_that_cannot_have_rows_is_not_executed(monkeypatch, sql, expected):
    times = []
    original = Lake.runs

    def runs(lake, text, moments):
        if "needed" not in text:
            times.extend((moment - START) / MINUTE for moment in moments)
        return original(lake, text, moments)

    monkeypatch.setattr(Lake, "runs", runs)
    run(sql, [(1, 1), (200, 200), (310, 310)], monkeypatch)
    assert times == expected


def test_the_scheduled_query_of_this_repository_has_a_gate():
    with loaded_content(REPO) as content:
        scheduled = [query for query in content.queries.values() if query.schedule]
        needs = [windows_of(query).needs for query in scheduled]
    assert [bool(found.gate) and found.gate_window < math.inf for found in needs] == [True]


class TestWindows:
    """Tests of the windows that a query can see."""

    @pytest.mark.parametrize(
        ("sql", "reach", "repeatable"),
        [
            (WINDOW, HOUR, True),
            (ABSENCE, HOUR, True),
            (NOW, HOUR, False),
            (EVERYTHING, None, True),
            (ARRIVED, HOUR / 2, False),
            (JOINED, 3 * HOUR, True),
            (JOINED.replace("('3 h', b)", "('3 h')"), None, True),
            (f"SELECT 1 FROM {TABLE} WHERE NOT p_occurs_since('1 h')", None, True),
            (f"SELECT 1 FROM {TABLE} WHERE p_occurs_since('1 h') OR a = 1", None, True),
        ],
    )
    def test_windows_are_found_in_the_text_of_a_query(self, sql, reach, repeatable):
        windows = windows_of(Query("Own", sql, None, ()))
        assert (windows.reach, windows.repeatable) == (reach, repeatable)
