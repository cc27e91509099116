"""`query` can be stopped while DuckDB notices no interrupt, and while it does."""

import pytest

from tests.builders.endless import QUERIES, assert_stops
from tests.builders.processes import STOPS

pytestmark = [pytest.mark.attack("processes"), pytest.mark.process]


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("query", QUERIES)
def test_a_query_can_be_stopped_at_any_time(tmp_path, query, stop):
    assert_stops(tmp_path, "query", query, stop)
