"""Timelines drawn to scale."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_panther.alerts.model import Alert
from local_panther.report.timeline import MAX_LANES, lay_out
from local_panther.times import sql_timestamp
from tests.builders.events import START
from tests.builders.signals import metadata


def alert(created_at=START + 1800):
    texts = dict.fromkeys(("severity", "title", "dedup", "description", "runbook", "reference"), "")
    times = {"created_at": created_at, "first": START, "last": START}
    rest = {"event_ids": {}, "context": {}, "event": {}}
    return Alert(metadata=metadata("Rule.a"), **texts, **times, **rest)


def row(minute, lane="role/A", mark="failure", detail="AccessDenied"):
    time = sql_timestamp(START + minute * 60)
    return {"event_time": time, "lane": lane, "mark": mark, "detail": detail}


def test_places_are_to_scale():
    found = lay_out([row(0), row(10), row(20, "role/B")], alert(START + 1800))
    first, second, third = (m.left for lane in found.lanes for m in lane.marks)
    assert second - first == pytest.approx(third - second, abs=0.01)
    (line,) = found.lines
    assert line.kind == "alert" and line.left - third == pytest.approx(third - second, abs=0.01)


def test_lanes_come_in_the_order_of_their_first_mark():
    found = lay_out([row(5, "b"), row(1, "a"), row(9, "b"), row(0, "c")], alert())
    assert [lane.name for lane in found.lanes] == ["c", "a", "b"]


def test_crossings_go_through_all_lanes():
    found = lay_out([row(0), row(9, "AssumeRole", "crossing", "")], alert())
    assert [line.kind for line in found.lines] == ["alert", "crossing"]
    assert [lane.name for lane in found.lanes] == ["role/A"]


def test_the_table_tells_attempts_errors_and_success_afterwards():
    rows = [
        row(0, mark="success", detail=""),
        row(1),
        row(2, detail="ExpiredToken"),
        row(8, mark="success", detail=""),
        row(3, "role/B"),
        row(2, "ListRoles", "discovery", ""),
    ]
    found = lay_out(rows, alert())
    assert [lane.name for lane in found.targets] == ["role/A", "role/B"]
    lane = found.targets[0]
    assert len(lane.failures) == 2 and lane.errors == "AccessDenied, ExpiredToken"
    assert lane.success_after == START + 480
    assert found.targets[1].success_after is None


def test_labels_leave_out_what_all_targets_share():
    arn = "arn:aws:iam::123456789012:role/"
    found = lay_out(
        [row(0, arn + "A"), row(1, arn + "B"), row(0, "ListRoles", "discovery")], alert()
    )
    assert [found.label(lane) for lane in found.lanes] == ["role/A", "ListRoles", "role/B"]
    other = "arn:aws:iam::111122223333:role/A"
    found = lay_out([row(0, arn + "A"), row(1, other)], alert())
    assert found.label(found.lanes[1]) == other


def test_lanes_beyond_the_limit_are_in_the_table_only():
    found = lay_out([row(i / 60, f"role/{i}") for i in range(MAX_LANES + 7)], alert())
    assert len(found.drawn) == MAX_LANES and found.hidden == 7
    assert len(found.targets) == MAX_LANES + 7


@given(
    st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=30), st.integers(-(10**6), 10**6)
)
def test_everything_stands_inside_and_in_order(minutes, created):
    found = lay_out([row(minute) for minute in minutes], alert(START + created * 60))
    lefts = [mark.left for lane in found.lanes for mark in lane.marks]
    lefts += [line.left for line in found.lines]
    assert all(0 < left < 100 for left in lefts)
    (lane,) = found.lanes
    assert [m.left for m in lane.marks] == sorted(m.left for m in lane.marks)
    assert 1 <= len(found.ticks) <= 12
    assert all(-0.01 <= left <= 100.01 for left, _ in found.ticks)


@pytest.mark.parametrize("rows", [[], [{"event_time": None}], [{"lane": "x"}]])
def test_nothing_to_draw_is_no_timeline(rows):
    assert lay_out(rows, alert()) is None
