"""Runs of queries with joins that are executed together have the rows of each run alone."""

import pytest
from hypothesis import given, settings

from tests.builders.scheduled import JOINING, arrivals, compare_with_single_runs
from tests.scale import examples


@pytest.mark.long
@pytest.mark.parametrize("sql", JOINING)
@settings(max_examples=examples(15, 60))
@given(arrivals=arrivals)
def test_joins_executed_together_have_the_rows_of_each_run_alone(sql, arrivals):
    compare_with_single_runs(sql, arrivals)
