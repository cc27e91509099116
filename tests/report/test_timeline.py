"""Timelines are laid out to scale."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_panther.alerts.incidents import incidents_of
from local_panther.report.timeline import (
    BINS,
    MAX_LANES,
    PLACES,
    Moment,
    incident_timeline,
    lay_out,
)
from local_panther.times import sql_timestamp
from tests.builders.alerts import alert, log_of
from tests.builders.events import START, call, denied, denied_update, role_arn


def made(minute=30):
    return [alert(created_at=START + minute * 60)]


def at(minute, lane="role/A", kind="failure", detail="AccessDenied"):
    return Moment(START + minute * 60, lane, kind, detail)


def test_marks_are_to_scale():
    found = lay_out([at(0), at(10), at(20, "role/B")], made(30))
    first, second, third = (m.left for lane in found.lanes for m in lane.marks)
    assert second - first == pytest.approx(third - second, abs=0.02)
    (line,) = found.lines
    assert line.kind == "alert" and line.left - third == pytest.approx(third - second, abs=0.02)


def test_entered_targets_come_first_then_those_with_most_attempts():
    moments = [
        *(at(5, "tried late"), at(1, "tried"), at(2, "often"), at(3, "often")),
        *(at(4, "got in"), at(9, "got in", "success", ""), at(0, "List", "discovery", "")),
    ]
    found = lay_out(moments, made())
    assert [lane.name for lane in found.lanes] == [
        *("List", "got in", "often", "tried", "tried late")
    ]
    assert [lane.name for lane in found.targets] == ["got in", "often", "tried", "tried late"]
    assert found.targets[0].entered == START + 540 and found.targets[1].entered is None
    assert [mark.detail for mark in found.targets[1].failures] == ["AccessDenied"] * 2


def test_lanes_beyond_the_limit_are_drawn_as_one_density():
    moments = [at(i / 60, f"role/{i}") for i in range(300)]
    moments += [at(25 + i, f"role/{290 + i}", "success", "") for i in range(3)]
    found = lay_out(moments, made())
    assert len(found.drawn) == MAX_LANES and len(found.targets) == 300
    assert [lane.name for lane in found.drawn[:3]] == ["role/290", "role/291", "role/292"]
    (density,) = found.densities
    assert (density.lanes, density.kind, density.marks) == (280, "failure", 280)
    assert max(height for *_, height in density.bins) == 100 and len(density.bins) <= BINS
    entered = [at(i, f"role/{i}", "success", "") for i in range(MAX_LANES + 5)]
    kinds = [(d.kind, d.lanes) for d in lay_out([*moments, *entered], made()).densities]
    assert kinds == [("success", 8), ("failure", 272)]


def test_marks_on_top_of_each_other_are_drawn_once():
    many = lay_out([at(i / 1000) for i in range(20_000)], made()).lanes[0]
    assert len(many.failures) == 20_000 and len(many.drawn) <= PLACES
    both = lay_out([at(1), at(1, kind="success"), at(1)], made()).lanes[0]
    assert [mark.kind for mark in both.drawn] == ["failure", "success"]


def test_crossings_and_alerts_are_drawn_through_all_lanes():
    crossings = [at(minute, "AssumeRole", "crossing", "") for minute in (9, 12)]
    found = lay_out([at(0), *crossings], [*made(30), *made(30), *made(60)])
    assert [(line.kind, line.time - START) for line in found.lines] == [
        *(("crossing", 540), ("alert", 1800), ("alert", 3600))
    ]
    assert [lane.name for lane in found.lanes] == ["role/A"]


def test_labels_leave_out_the_common_prefix():
    arn = "arn:aws:iam::123456789012:role/"
    listed = at(0, "ListRoles", "discovery")
    found = lay_out([at(0, arn + "A"), at(1, arn + "B"), listed], made())
    assert [found.label(lane) for lane in found.lanes] == ["ListRoles", "role/A", "role/B"]
    other = "arn:aws:iam::111122223333:role/A"
    found = lay_out([at(0, arn + "A"), at(1, other)], made())
    assert found.label(found.lanes[1]) == other and found.common == ""


@given(
    st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=30), st.integers(-(10**6), 10**6)
)
def test_marks_are_inside_the_drawing_and_in_order(minutes, created):
    found = lay_out([at(minute) for minute in minutes], made(created))
    (lane,) = found.lanes
    lefts = [mark.left for mark in lane.marks]
    assert all(0 < left < 100 for left in [*lefts, *(line.left for line in found.lines)])
    assert lefts == sorted(lefts)
    assert 1 <= len(found.ticks) <= 12
    assert all(-0.01 <= left <= 100.01 for left, _ in found.ticks)


class TestSources:
    """The sources of an incident's timeline."""

    def records(self):
        wanted = {"requestParameters": {"roleName": "Role0", "policyDocument": "{}"}}
        tried = [
            denied(role_arn(f"path/Role{i}"), time=START + i, eventID=str(i)) for i in range(4)
        ]
        more = denied_update("Role1", time=START + 5, eventID="u")
        entered = call("UpdateAssumeRolePolicy", time=START + 60, eventID="s", **wanted)
        return [*tried, more, entered]

    def found(self, timeline=(), roles=True):
        records = self.records()
        about = alert(*records, first=START, last=START + 5)
        about.timeline = list(timeline)
        (incident,) = incidents_of([about], log_of(*(records if roles else [])))
        return incident, incident_timeline(incident)

    def test_calls_of_both_apis_and_outcomes_are_in_one_lane(self):
        incident, found = self.found()
        assert [lane.name for lane in found.lanes] == [
            f"123456789012:role/Role{i}" for i in (0, 1, 2, 3)
        ]
        assert found.lanes[0].entered == START + 60 and len(found.lanes[1].failures) == 2
        assert (incident.tried, incident.entered) == (4, 1)

    def test_rows_of_a_query_are_preferred_without_those_outside_the_incident(self):
        times = {"role/X": START, "role/Y": START + 60, "role/Z": START + 61.5}
        rows = [
            {"event_time": sql_timestamp(time), "lane": lane, "mark": "failure", "detail": "x"}
            for lane, time in times.items()
        ]
        found = self.found([*rows, *rows, {"event_time": None}, {"lane": "x"}])[1]
        assert [lane.name for lane in found.lanes] == ["role/X", "role/Y"]
        assert found.outside == 1 and len(found.lanes[0].marks) == 1

    def test_events_are_drawn_if_there_is_nothing_else(self):
        found = self.found(roles=False)[1]
        kinds = {(lane.name, mark.kind) for lane in found.lanes for mark in lane.marks}
        assert kinds == {
            ("AssumeRole", "error"),
            ("UpdateAssumeRolePolicy", "error"),
            ("UpdateAssumeRolePolicy", "event"),
        }
        assert found.targets == []

    def test_an_alert_without_events_has_no_timeline(self):
        (incident,) = incidents_of([alert({})], log_of())
        assert incident_timeline(incident) is None
