"""Scheduled queries that run while records arrive, and the same runs one by one."""

import math

import pytest
from hypothesis import strategies as st

from local_panther.content.model import Content, Query, ScheduledRule
from local_panther.content.schedule import Schedule
from local_panther.content.sql import parse_sql
from local_panther.errors import RunErrors
from local_panther.lake import scheduled as scheduled_module
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.lake import Lake
from local_panther.lake.reach import Reach
from local_panther.lake.scheduled import ScheduledQueries
from tests.builders.events import START, call, read_record

MINUTE = 60
TABLE = "panther_logs.public.aws_cloudtrail"
WINDOW = f"SELECT eventID FROM {TABLE} WHERE p_occurs_since('1 h')"
ABSENCE = f"SELECT COUNT(*) AS n FROM {TABLE} WHERE p_occurs_since('1 h') HAVING COUNT(*) = 0"
NOW = f"SELECT eventID, current_timestamp AS t FROM {TABLE} WHERE p_occurs_since('1 h')"
EVERYTHING = f"SELECT COUNT(*) AS n FROM {TABLE}"
ARRIVED = f"SELECT eventID FROM {TABLE} WHERE p_occurs_since(30m, , p_parse_time)"
JOINED = (
    f"WITH recent AS (SELECT * FROM {TABLE} WHERE p_occurs_since('2 h')) SELECT a.eventID, "
    f"COUNT(*) OVER () AS n FROM recent a JOIN {TABLE} b ON a.eventID = b.eventID "
    "WHERE p_occurs_since('1 h', a) AND p_occurs_since('3 h', b) ORDER BY a.eventID LIMIT 5"
)
# Queries that compare a short window with a long history
LATELY = (
    f"WITH lately AS (SELECT eventID, p_event_time AS t FROM {TABLE} WHERE p_occurs_since('1 h') "
    f"AND eventID IN ('1', '3', '5')), "
    f"before AS (SELECT eventID, p_event_time AS t FROM {TABLE} WHERE p_occurs_since('4 h')) "
)
HABITS = (
    f"{LATELY}SELECT l.eventID, COUNT(b.t) AS n "
    "FROM lately l LEFT JOIN before b ON b.t < l.t GROUP BY l.eventID"
)
# The same with the sought values in a row of settings, and with functions
SETTINGS = (
    "WITH settings AS (SELECT 1 AS one, 'x' AS letter), "
    f"seen AS (SELECT eventID, p_event_time AS t FROM {TABLE} WHERE p_occurs_since('1 h')), "
    "lately AS (SELECT seen.*, settings.letter FROM seen CROSS JOIN settings WHERE "
    "CONCAT(settings.letter, SPLIT_PART(eventID, '-', settings.one)) IN ('x1', 'x3', 'x5')), "
    f"before AS (SELECT eventID, p_event_time AS t FROM {TABLE} WHERE p_occurs_since('4 h')) "
    "SELECT l.eventID, l.letter, COUNT(b.t) AS n FROM lately l CROSS JOIN settings "
    "LEFT JOIN before b ON b.t < DATEADD('minute', settings.one, l.t) GROUP BY l.eventID, l.letter"
)
# Refused calls and those before them: only calls with an error pass its gate.
REFUSED = (
    "WITH seen AS (SELECT eventID, p_event_time AS t, CASE WHEN COALESCE(errorCode, '') = '' "
    f"THEN 'success' ELSE 'failure' END AS outcome FROM {TABLE} WHERE p_occurs_since('1 h')), "
    "refused AS (SELECT DISTINCT eventID, t FROM seen WHERE outcome = 'failure'), "
    f"before AS (SELECT eventID, p_event_time AS t FROM {TABLE} WHERE p_occurs_since('4 h')) "
    "SELECT r.eventID, b.eventID AS other FROM refused r LEFT JOIN before b ON b.t < r.t"
)
PLAIN = (WINDOW, ABSENCE, NOW, EVERYTHING, ARRIVED)
JOINING = (JOINED, HABITS, SETTINGS, REFUSED)
QUERIES = (*PLAIN, *JOINING)


class Rows:
    """A replacement for scheduled rules that collects the rows that "Own.Rule" is called with."""

    def __init__(self, monkeypatch) -> None:
        self.seen: list[tuple[float, dict]] = []
        monkeypatch.setattr("local_panther.lake.scheduled.run_rule", self._collect)

    def _collect(self, rule, row, moment, where, errors) -> None:
        if rule.metadata.rule_id == "Own.Rule":
            self.seen.append((moment, row))

    def in_order(self) -> list[tuple[float, list[str]]]:
        return in_order(self.seen)

    def times(self) -> list[float]:
        return [(moment - START) / MINUTE for moment, _ in self.seen]


def in_order(seen: list[tuple[float, dict]]) -> list[tuple[float, list[str]]]:
    return sorted((at, sorted(map(str, row.items()))) for at, row in seen)


def content_of(queries: dict[str, str], rate: int = 15 * MINUTE) -> Content:
    """Return content with scheduled queries, given as SQL by name, and a rule for each."""
    schedule = Schedule(rate_seconds=rate)
    rules = {
        name: type("Rule", (), {"metadata": type("Metadata", (), {"rule_id": f"{name}.Rule"})})
        for name in queries
    }
    return Content(
        queries={name: Query(name, sql, schedule, ()) for name, sql in queries.items()},
        scheduled_rules=[ScheduledRule(rule, (name,)) for name, rule in rules.items()],
    )


def run(sql, arrivals, monkeypatch, rate=15 * MINUTE, beside="") -> tuple[Rows, RunErrors]:
    """Run a scheduled query while records arrive, given as event time and arrival in minutes.

    Another query may run beside it.
    """
    rows, errors = Rows(monkeypatch), RunErrors()
    monkeypatch.setattr(scheduled_module, "MIN_GATED_RUNS", 1)
    with Lake() as lake:
        queries = {"Own": sql} | ({"Other": beside} if beside else {})
        scheduled = ScheduledQueries(content_of(queries, rate), lake, errors)
        latest = -math.inf
        for number, (minute, arrival) in enumerate(arrivals):
            moment, latest = START + minute * MINUTE, max(latest, START + arrival * MINUTE)
            list(scheduled.advance(latest))
            record = numbered(number, moment)
            unread = scheduled.sees_failures_first
            lake.add(record, latest, lambda: Reach(scheduled.horizon), unread=unread)
            scheduled.note("ListRoles", moment)
        list(scheduled.finish(latest))
    return rows, errors


def numbered(number: int, moment: float):
    """Return a record by its number; one call in three is refused."""
    error = {"errorCode": "AccessDenied"} if number % 3 == 1 else {}
    return read_record(call("ListRoles", time=moment, eventID=str(number), **error))


arrivals = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, 40)), min_size=1, max_size=12
).map(lambda found: sorted(((m, m + late) for m, late in found), key=lambda pair: pair[1]))


def compare_with_single_runs(sql, arrivals):
    """Compare with the definition: each run alone, in a lake with only the records so far."""
    with pytest.MonkeyPatch.context() as patch:
        rows, errors = run(sql, arrivals, patch)
    assert not errors.counts
    expected = []
    first = START + arrivals[0][1] * MINUTE
    last = START + max(arrival for _, arrival in arrivals) * MINUTE
    moment = math.ceil(first / 900) * 900
    translated = transpile_sql(parse_sql(sql))
    with Lake() as lake:
        waiting = list(enumerate(arrivals))
        while moment < last + 900:
            while waiting and START + waiting[0][1][1] * MINUTE <= moment:
                number, (minute, arrival) = waiting.pop(0)
                at, came = START + minute * MINUTE, START + arrival * MINUTE
                lake.add(numbered(number, at), came)
            found = lake.query(translated, moment)
            expected += [(moment, row) for row in found]
            moment += 900
            if moment - 900 >= last:
                break

    assert rows.in_order() == in_order(expected)
