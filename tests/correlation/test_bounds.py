"""Tests that correlation rules keep only what later runs can see, however long the trail is."""

import pytest

from local_panther.correlation.correlation_engine import CorrelationEngine
from tests.builders.correlations import group, sequence
from tests.builders.signals import signal
from tests.correlation.test_correlation_engine import rule

DAY = 24 * 60  # minutes


def kept(days, document):
    """Return the most signals and reports kept at once while signals arrive for some days."""
    engine, most = CorrelationEngine([rule(document)]), 0
    for minute in range(0, days * DAY, 20):
        user = f"user-{minute}"  # a new user each time
        for one in (signal("a", minute, user), signal("b", minute + 1, user)):
            for _ in engine.advance(one.time):
                pass
            engine.add(one)
        (state,) = engine._states
        found = sum(map(len, state.signals.values())) + len(state.reported) + len(state.waiting)
        most = max(most, found + len(state.fresh))
    return most


@pytest.mark.parametrize("form", [group, sequence])
def test_a_month_of_signals_needs_no_more_room_than_three_days(form):
    assert kept(30, form("a", "b")) <= kept(3, form("a", "b"))
