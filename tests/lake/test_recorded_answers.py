"""A selection of records and columns changes no answer of the package about recorded events."""

import json
from contextlib import ExitStack
from functools import cache

import pytest

from local_panther.content.sql import parse_sql, scanned_event_names
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.lake import Lake
from local_panther.lake.saved import run_saved
from local_panther.records.trail import Trail
from tests.builders.queries import fill, query_specs, saved
from tests.conftest import RECORDED, recorded_files

SPECS = query_specs()


@pytest.fixture(scope="module")
def recorded_lakes():
    """Return a function from the names of calls to a lake with all that were recorded."""
    with ExitStack() as stack:

        @cache
        def filled(names):
            lake = stack.enter_context(Lake())
            return lake, *fill(lake, names, [str(path) for path in recorded_files()])

        yield filled


def values_of(spec, record):
    """Return values for the parameters of a query that match a record."""
    identity = record.get("userIdentity") or {}
    known = {
        "name": (identity.get("arn") or "").rpartition("/")[2],
        "principal": identity.get("arn") or "",
        "address": record.get("sourceIPAddress") or "",
        "alert_time": record["eventTime"],
    }
    query = saved(spec["SnowflakeQuery"])
    return {
        name: known.get(name, known["name"])
        for name, default in query.parameters.items()
        if name in known or default.is_string
    }


@pytest.mark.long
@pytest.mark.parametrize("name", SPECS)
def test_each_query_of_the_package_answers_the_same_on_recorded_cloudtrail(name, recorded_lakes):
    if not recorded_files():
        pytest.skip(f"no recorded CloudTrail in {RECORDED}")
    sql, paths = SPECS[name]["SnowflakeQuery"], [str(path) for path in recorded_files()]
    query = parse_sql(sql)
    lake, tally, latest = recorded_lakes(scanned_event_names(query))
    lines = [line for path in recorded_files() for line in path.read_text().splitlines()]
    for number, record in enumerate(map(json.loads, lines[:: len(lines) // 3 + 1])):
        values = values_of(SPECS[name], record)
        rows = lake.query(transpile_sql(query, values), latest + 1)
        answer = run_saved(saved(sql), Trail(paths, workers=2 if number == 0 else 1), values)
        # Some queries leave the order of rows open that are equal in their ORDER BY.
        assert sorted(answer.rows, key=json.dumps) == sorted(rows, key=json.dumps)
        assert answer.tally == tally
