"""Tests of correlation rules on their schedules: when alerts are made, and what joins them."""

import math
from collections import Counter
from dataclasses import replace

import pytest

from local_panther.alerts.matches import CorrelationAlerts
from local_panther.content.model import CorrelationRule
from local_panther.correlation.correlation_engine import CorrelationEngine
from tests.builders.correlations import FIELD, group, parsed, sequence
from tests.builders.signals import metadata, signal


def rule(document, **fields):
    return CorrelationRule(metadata(document["RuleID"], **fields), parsed(document))


class Run:
    """A run of correlation rules over signals.

    Attributes:
        signals: Number of matches by rule ID.
        alerts: The alerts.
    """

    def __init__(self, rules, signals):
        self.signals = Counter()
        self._engine, self._alerts = CorrelationEngine(rules), CorrelationAlerts()
        for one in signals:
            self._advance(one.time)
            self._engine.add(one)
        self._advance(math.inf)
        self.alerts = self._alerts.alerts

    def _advance(self, now):
        for match in self._engine.advance(now):
            self.signals[match.metadata.rule_id] += 1
            self._alerts.add(match)


def run(document, *signals, also=(), **fields):
    """Run a rule, and the rules of `also`, over signals in the given order."""
    return Run([rule(document, **fields), *map(rule, also)], signals)


class TestAlert:
    def test_an_alert_is_made_by_the_first_run_after_the_last_signal(self):
        (alert,) = run(group("a", "b"), signal("a", 1), signal("b", 12)).alerts
        assert alert.created_at == 20 * 60

    def test_an_alert_has_the_value_signals_and_context_of_its_match(self):
        (alert,) = run(group("a", "b"), signal("a", 1), signal("b", 12), signal("b", 13)).alerts
        assert alert.match_value == alert.dedup == "alice"
        assert alert.signals == {"a": 1, "b": 2}
        assert alert.context == {
            "a": {"user": "alice", "minute": 1},
            "b": {"user": "alice", "minute": 13},
        }
        assert list(alert.event_ids) == ["a-1-alice", "b-12-alice", "b-13-alice"]
        assert (alert.first, alert.last, alert.event_count) == (60, 780, 3)
        assert alert.event["minute"] == 13
        assert (alert.title, alert.severity) == ("Test.Correlation: alice", "HIGH")

    def test_an_alert_copies_the_metadata_of_its_rule(self):
        fields = {"DisplayName": "Name", "Description": "d", "Runbook": "r", "Reference": "l"}
        document = group("a", "b", matched=False)
        (alert,) = run(document, signal("a", 0), signal("b", 1), **fields).alerts
        assert (alert.description, alert.runbook, alert.reference) == ("d", "r", "l")
        assert (alert.title, alert.dedup, alert.match_value) == ("Name", "Test.Correlation", None)

    def test_an_alert_names_every_value_that_its_signals_share(self):
        criteria = {
            name: [{"GroupID": step, "Match": field} for step in "ab"]
            for name, field in (("user", FIELD), ("address", "sourceIPAddress"))
        }
        document = group("a", "b", matched=False, MatchCriteria=criteria)
        (alert,) = run(document, signal("a", 0), signal("b", 1)).alerts
        assert alert.match_value == "alice, 203.0.113.10"

    def test_each_burst_that_a_run_sees_has_its_own_alert(self):
        schedule = {"RateMinutes": 120, "TimeoutMinutes": 5}
        document = sequence("a", "b", within=5, lookback=240, Schedule=schedule)
        stream = [signal("a", 1), signal("b", 2), signal("a", 60), signal("b", 61)]
        alerts = run(document, *stream).alerts
        assert [(a.first / 60, a.created_at / 60) for a in alerts] == [(1, 120), (60, 120)]

    def test_each_match_counts_as_one_signal(self):
        """A run does not report a match again that an earlier run has reported."""
        stream = [signal("a", 1), signal("b", 2), signal("a", 30), signal("b", 31)]
        assert run(group("a", "b", lookback=15), *stream).signals["Test.Correlation"] == 2

    def test_matches_of_one_value_that_overlap_share_an_alert(self):
        stream = [signal("a", 1), signal("b", 2), signal("c", 11), signal("a", 2), signal("b", 17)]
        (alert,) = run(group("a", "b", lookback=30), *stream, also=[group("c", "d")]).alerts
        assert alert.signals == {"a": 2, "b": 2}

    def test_decided_matches_count_once_while_a_match_in_the_same_hour_waits(self):
        schedule = {"RateMinutes": 60, "TimeoutMinutes": 5}
        document = sequence("a", {"ID": "b", "Absence": True}, within=30, Schedule=schedule)
        engine = run(document, signal("a", 1), signal("a", 20), signal("a", 40))
        assert engine.signals["Test.Correlation"] == 3

    def test_a_decided_match_counts_once_while_a_later_match_waits(self):
        document = sequence("a", {"ID": "b", "Absence": True}, within=30)
        engine = run(document, signal("a", 5), signal("a", 33))
        assert engine.signals["Test.Correlation"] == 2

    def test_an_alert_grows_with_overlapping_matches_and_a_later_burst_has_its_own(self):
        stream = [signal("a", 0), *(signal("b", minute) for minute in range(5, 60, 5))]
        later = [signal("a", 500), signal("b", 501)]
        first, second = run(group("a", "b"), *stream, *later).alerts
        assert first.signals == {"a": 1, "b": 11}
        assert second.signals == {"a": 1, "b": 1} and second.created_at == 510 * 60

    def test_each_value_has_its_own_alert(self):
        stream = [signal(step, i, user) for i, step in enumerate("ab") for user in ("eve", "bob")]
        assert [a.match_value for a in run(group("a", "b"), *stream).alerts] == ["eve", "bob"]

    def test_signals_further_apart_than_the_lookback_make_no_alert(self):
        assert not run(group("a", "b"), signal("a", 0), signal("b", 61)).alerts

    @pytest.mark.parametrize("phase", range(0, 60, 7))
    def test_the_phase_of_the_schedule_makes_no_difference(self, phase):
        """This needs a lookback of the window plus the rate: then some run sees every pair."""
        stream = [signal("a", 1000 + phase), signal("b", 1060 + phase)]
        assert len(run(group("a", "b", lookback=60 + 10), *stream).alerts) == 1

    def test_no_alert_is_made_if_no_run_sees_all_of_its_signals(self):
        """A run only looks at its own lookback, however close the signals are to each other."""
        stream = [signal("a", 1001), signal("b", 1059)]
        assert run(group("a", "b", lookback=60), *stream).alerts
        stream = [signal("a", 1001), signal("b", 1061)]
        assert not run(group("a", "b", lookback=60), *stream).alerts

    def test_signals_that_arrive_out_of_order_make_an_alert(self):
        assert len(run(group("a", "b"), signal("b", 30), signal("a", 1)).alerts) == 1

    def test_an_alert_waits_for_an_absence_step_at_the_end(self):
        document = sequence("a", {"ID": "b", "Absence": True}, within=30)
        (alert,) = run(document, signal("a", 5)).alerts
        assert alert.created_at == 40 * 60  # 5 + 30 minutes, and the next run
        assert not run(document, signal("a", 5), signal("b", 33)).alerts

    @pytest.mark.parametrize("limit", [{"Absence": True}, {"MaxMatchCount": 1}])
    @pytest.mark.parametrize("kind", [group, sequence])
    def test_an_alert_waits_for_signals_that_could_contradict_it(self, kind, limit):
        """It waits until no signal can, or no later run sees all signals of the match."""
        document = kind("a", {"ID": "b", **limit})
        stream = [signal("a", 5), *([] if "Absence" in limit else [signal("b", 6)])]
        (alert,) = run(document, *stream).alerts
        assert alert.created_at == 60 * 60
        later = [signal("b", minute) for minute in (20, 21)]
        assert not run(document, *stream, *later).alerts

    def test_a_contradicted_match_makes_no_alert_once_the_contradicting_signal_is_old(self):
        document = group("a", {"ID": "b", "Absence": True})
        assert not run(document, signal("b", 0), signal("a", 55)).alerts

    def test_a_run_sees_a_signal_of_its_own_time(self):
        document = sequence("a", {"ID": "b", "Absence": True}, within=9)
        assert not run(document, signal("a", 1), signal("b", 10)).alerts

    def test_an_alert_waits_for_every_absence_if_the_last_step_is_one(self):
        steps = ({"ID": "b", "Absence": True}, "a", {"ID": "c", "Absence": True})
        limits = [
            {"From": "b", "To": "a", "WithinTimeFrameMinutes": 5},
            {"From": "a", "To": "c", "WithinTimeFrameMinutes": 30},
        ]
        (alert,) = run(sequence(*steps, Transitions=limits), signal("a", 5)).alerts
        assert alert.created_at == 40 * 60

    def test_the_alert_of_one_value_does_not_wait_for_the_absence_of_another(self):
        steps = ("a", {"ID": "b", "Absence": True}, "c", {"ID": "d", "Absence": True})
        document = sequence(*steps, within=20)
        waiting = [signal("a", 0, "eve"), signal("c", 1, "eve")]
        other = [signal("a", 15, "bob"), signal("c", 16, "bob")]
        alerts = run(document, *waiting, *other).alerts
        assert [(a.match_value, a.created_at / 60) for a in alerts] == [("eve", 30), ("bob", 40)]

    def test_a_rule_with_create_alert_false_makes_only_signals(self):
        found = run(group("a", "b"), signal("a", 0), signal("b", 1), CreateAlert=False)
        assert not found.alerts and found.signals["Test.Correlation"] == 1


class TestChains:
    def outer(self, **fields):
        steps = [{"ID": "inner", "RuleID": "Test.Correlation"}, "c"]
        return group(*steps, **fields) | {"RuleID": "Test.Outer"}

    def test_a_correlation_rule_can_be_a_step_of_another(self):
        stream = [signal("a", 1), signal("b", 2), signal("c", 3)]
        alerts = run(group("a", "b"), *stream, also=[self.outer()]).alerts
        assert {alert.metadata.rule_id for alert in alerts} == {"Test.Correlation", "Test.Outer"}

    def test_the_signal_of_a_match_holds_the_value_that_it_matched_on(self):
        stream = [signal("a", 1), signal("b", 2), signal("c", 3, "bob")]
        alerts = run(group("a", "b"), *stream, also=[self.outer()]).alerts
        assert [alert.metadata.rule_id for alert in alerts] == ["Test.Correlation"]

    def test_the_signal_of_a_match_has_the_event_id_and_time_of_its_latest_event(self):
        stream = [signal("a", 1), signal("b", 2), signal("c", 3)]
        inner, outer = run(group("a", "b"), *stream, also=[self.outer()]).alerts
        assert list(outer.event_ids) == ["b-2-alice", "c-3-alice"]
        assert outer.context["inner"] == inner.context and outer.first == inner.last == 120

    def test_the_signal_of_a_match_carries_its_latest_event(self):
        stream = [signal("c", 1), signal("a", 2), signal("b", 3)]
        _, outer = run(group("a", "b"), *stream, also=[self.outer()]).alerts
        assert outer.event["minute"] == 3

    def test_signals_without_event_ids_also_match(self):
        stream = [replace(signal(step, i), event_id="") for i, step in enumerate("abc")]
        _, outer = run(group("a", "b"), *stream, also=[self.outer()]).alerts
        assert outer.event_ids == {} and outer.signals == {"inner": 1, "c": 1}


def test_old_signals_are_dropped():
    engine = CorrelationEngine([rule(group("a", "b"))])
    for minute in range(0, 5000, 5):
        assert not list(engine.advance(minute * 60))
        engine.add(signal("a", minute))
    (state,) = engine._states
    assert len(state.signals["a"]) <= (2 * 60 + 10) / 5 + 2


def test_a_signal_may_belong_to_two_steps():
    steps = [{"ID": "one", "RuleID": "Rule.a"}, {"ID": "two", "RuleID": "Rule.a"}]
    (alert,) = run(group(*steps), signal("a", 1)).alerts
    assert alert.signals == {"one": 1, "two": 1} and alert.event_count == 1


def test_each_entry_of_a_list_field_is_a_value_to_match_on():
    listed = replace(signal("a", 0), context={"user": ["eve", "alice"]})
    (alert,) = run(group("a", "b"), listed, signal("b", 1)).alerts
    assert alert.match_value == "alice"


@pytest.mark.parametrize("context", ["text", None, {}])
def test_a_path_that_does_not_exist_has_no_value(context):
    both = [replace(signal(step, 0), context=context) for step in "ab"]
    assert not run(group("a", "b"), *both).alerts


@pytest.mark.parametrize("value", [None, "", {"name": "alice"}])
def test_missing_values_connect_nothing(value):
    both = [replace(signal(step, 0), context={"user": value}) for step in "ab"]
    assert not run(group("a", "b"), *both).alerts
