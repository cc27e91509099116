"""Alerts of rules: threshold, unique values, dedup string and period."""

from types import SimpleNamespace

from local_panther.alerts.grouping import AlertGrouper
from tests.builders.signals import metadata
from tests.builders.signals import signal as any_signal


def grouper(threshold=1, period=60, unique=False, **fields):
    rule = SimpleNamespace(
        metadata=metadata("Rule.a", **fields),
        threshold=threshold,
        dedup_seconds=period * 60,
        counts_unique=unique,
    )
    return AlertGrouper([rule])


def feed(grouper, *matches, **fields):
    """Add matches, each as (minute, dedup, unique), and return the alerts."""
    from dataclasses import replace

    for minute, dedup, unique in matches:
        one = replace(any_signal("a", minute), dedup=dedup, unique=unique, **fields)
        grouper.add(one)
    return grouper.alerts


def test_matches_of_one_dedup_string_within_the_period_are_one_alert():
    alerts = feed(grouper(), (0, "x", None), (10, "y", None), (59, "x", None), (60, "x", None))
    assert [(a.dedup, a.created_at, a.event_count) for a in alerts] == [
        ("x", 0, 2),
        ("y", 600, 1),
        ("x", 3600, 1),
    ]


def test_an_alert_comes_once_the_threshold_is_reached_within_the_period():
    (alert,) = feed(grouper(threshold=3), *[(m, "x", None) for m in (0, 1, 2, 3)])
    assert (alert.created_at, alert.event_count, alert.first, alert.last) == (120, 4, 0, 180)
    assert not feed(grouper(threshold=3), *[(m, "x", None) for m in (0, 30, 61)])


def test_distinct_values_reach_the_threshold_where_the_rule_counts_them():
    repeated = [(0, "x", "1"), (1, "x", "1"), (2, "x", "1")]
    assert not feed(grouper(threshold=2, unique=True), *repeated)
    (alert,) = feed(grouper(threshold=2, unique=True), *repeated, (3, "x", "2"))
    assert (alert.created_at, alert.event_count) == (180, 4)


def test_a_rule_that_makes_signals_only_makes_no_alert():
    silent = metadata("Rule.a", CreateAlert=False)
    assert not feed(grouper(CreateAlert=False), (0, "x", None), metadata=silent)


def test_an_event_counts_as_often_as_it_matches_and_is_named_once():
    alerts = feed(grouper(), (0, "x", None), (0, "x", None))
    assert alerts[0].event_count == 2 and len(alerts[0].event_ids) == 1
