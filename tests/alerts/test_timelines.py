"""Timeline queries: one run for many alerts gives each alert the rows of a run of its own."""

import pytest

from local_panther.alerts import timelines as module
from local_panther.alerts.model import Alert
from local_panther.alerts.timelines import Timelines
from local_panther.content.model import Content, Query
from local_panther.errors import RunErrors
from local_panther.lake.lake import Lake
from tests.builders import hostile
from tests.builders.events import START, call, read_record
from tests.builders.signals import metadata

TABLE = "panther_logs.public.aws_cloudtrail"
SQL = f"""
WITH parameters AS (
  SELECT 'alice' AS who, '2026-01-05 10:30:00'::timestamp AS alert_time, 30 AS minutes, '' AS note
)
SELECT p_event_time AS "event_time", eventName AS "lane", current_timestamp AS "now"
FROM {TABLE}
WHERE userIdentity:userName::string = (SELECT who FROM parameters)
  AND p_event_time >= (
    SELECT DATEADD('minute', -minutes, alert_time) FROM parameters
  )
  AND p_occurs_since('1 h')
ORDER BY p_event_time, eventName
LIMIT 3
"""
NAMES = ("alice", "bob", hostile.ALL, "nobody")


def alert(who, minute):
    texts = dict.fromkeys(("severity", "title", "dedup", "description", "runbook", "reference"), "")
    time = START + minute * 60
    times = {"created_at": time, "first": time, "last": time}
    context = {} if who is None else {"who": who}
    return Alert(metadata("Rule.a"), **texts, **times, event_ids={}, context=context, event={})


def attached(alerts, sql=SQL):
    query = Query("Own", sql, None, ("Timeline:Rule.a",))
    errors = RunErrors()
    with Lake() as lake:
        for i in range(60):
            who = {"type": "IAMUser", "userName": NAMES[i % 3].encode("utf-8", "replace").decode()}
            lake.add(read_record(call(f"Call{i % 7}", who, START + i * 60, eventID=str(i))))
        Timelines(Content(queries={"Own": query}), lake, errors).attach(alerts)
    return [a.timeline for a in alerts], errors


def test_many_alerts_get_the_rows_that_each_gets_alone(monkeypatch):
    alerts = [alert(who, minute) for who in NAMES for minute in (5, 20, 20, 58)]
    together, errors = attached(alerts)
    monkeypatch.setattr(module, "MAX_TOGETHER", 1)
    alone, _ = attached(alerts)
    assert together == alone and not errors.counts
    assert [len(rows) for rows in together] == [2, 3, 3, 3, 2, 3, 3, 3, 2, 3, 3, 3, 0, 0, 0, 0]
    assert {row["now"] for row in together[0]} == {"2026-01-05 10:05:00.000 +0000"}


def test_an_alert_without_a_required_value_has_no_timeline():
    rows, errors = attached([alert(None, 20)])
    assert rows == [[]] and not errors.counts


@pytest.mark.parametrize("count", [1, 3])
def test_a_query_that_fails_is_named_with_the_alert(count):
    sql = SQL.replace("eventName AS", "CAST(eventName AS INT) AS")
    rows, errors = attached([alert("alice", 20 + i) for i in range(count)], sql)
    assert rows == [[]] * count and errors.counts == {"Own": count}
    assert "alice" in errors.examples[0].where
