"""`replay` can be stopped during a call in which DuckDB notices no interrupt."""

import pytest

from tests.builders.endless import assert_query_stops
from tests.builders.processes import STOPS

pytestmark = [pytest.mark.attack("processes"), pytest.mark.process]


@pytest.mark.parametrize("stop", STOPS)
def test_a_replay_can_be_stopped_during_a_query(tmp_path, stop):
    assert_query_stops(tmp_path, "replay", "of constants, in one call", stop)
