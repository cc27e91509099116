"""`query` can be stopped, even during a call in which DuckDB notices no interrupt."""

import pytest

from tests.builders.endless import QUERIES, assert_query_stops
from tests.builders.processes import STOPS

pytestmark = [pytest.mark.attack("processes"), pytest.mark.process]


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("query", QUERIES)
def test_a_query_can_be_stopped_at_any_time(tmp_path, query, stop):
    assert_query_stops(tmp_path, "query", query, stop)
