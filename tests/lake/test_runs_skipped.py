"""Runs that are skipped have no rows, whatever the query joins and whatever runs beside it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders.scheduled import (
    LATELY,
    QUERIES,
    TABLE,
    arrivals,
    compare_with_single_runs,
    run,
)
from tests.scale import examples


@pytest.mark.long
@settings(max_examples=examples(25, 3000))
@given(sql=st.sampled_from(QUERIES), beside=st.sampled_from(QUERIES), arrivals=arrivals)
def test_a_query_has_the_same_rows_beside_any_other_query(sql, beside, arrivals):
    with pytest.MonkeyPatch.context() as patch:
        alone, _ = run(sql, arrivals, patch)
        together, errors = run(sql, arrivals, patch, beside=beside)
    assert not errors.counts and together.in_order() == alone.in_order()


sides = st.sampled_from(
    ["lately", "before", f"(SELECT * FROM {TABLE} WHERE p_occurs_since('2 h'))"]
)
kinds = st.sampled_from(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
results = st.sampled_from(
    [
        "a.eventID AS x, b.eventID AS y FROM {source}",
        "COUNT(*) AS n FROM {source}",
        "COUNT(*) AS n FROM {source} HAVING COUNT(*) = 0",
        "a.eventID, COUNT(b.eventID) AS n FROM {source} GROUP BY a.eventID",
        "a.eventID, COUNT(*) AS n FROM {source} GROUP BY ROLLUP (a.eventID)",
        "SUM(COUNT(*)) OVER () AS n FROM {source}",
        "a.eventID, COUNT(*) OVER () AS n FROM {source}",
        "a.eventID AS x FROM {source} EXCEPT SELECT eventID FROM lately",
        "a.eventID AS x FROM {source} UNION ALL SELECT eventID FROM before",
        "a.eventID AS x FROM {source} UNION SELECT eventID FROM lately",
        "a.eventID AS x FROM {source} INTERSECT SELECT eventID FROM lately",
        "found.n FROM (SELECT COUNT(*) AS n FROM {source}) AS found CROSS JOIN before",
        "found.n FROM (SELECT COUNT(*) AS n FROM {source}) AS found CROSS JOIN lately",
    ]
)


@settings(max_examples=examples(40, 4000), deadline=None)
@given(left=sides, kind=kinds, right=sides, result=results, arrivals=arrivals)
def test_no_run_that_has_rows_is_skipped(left, kind, right, result, arrivals):
    source = f"{left} AS a {kind} {right} AS b ON a.eventID = b.eventID"
    compare_with_single_runs(f"{LATELY}SELECT {result.format(source=source)}", arrivals)
