"""Hostile texts of records reach the clients of an instance in alerts, events and the lake."""

from contextlib import contextmanager

import pytest
import yaml

from tests.builders import hostile
from tests.builders.content import write_lines
from tests.builders.events import START, call
from tests.instance.conftest import archive
from tests.serving.conftest import fed
from tests.serving.test_lake import rows

pytestmark = pytest.mark.process

BODY = """
def rule(event):
    return event.get("eventName") == "ListRoles"

def title(event):
    return event.get("userAgent")

dedup = reference = runbook = description = title

def destinations(event):
    return [event.get("userAgent")]

def alert_context(event):
    text = event.get("userAgent")
    return {text: text, "list": [text]}
"""
SPEC = {"AnalysisType": "rule", "RuleID": "Test.Hostile", "Filename": "hostile.py"}
SPEC |= {"Enabled": True, "Severity": "High", "LogTypes": ["AWS.CloudTrail"]}
TEXTS = [text for text in hostile.SHORT.values() if text]


@contextmanager
def fed_with_hostile_texts(folder):
    """Serve a rule that creates an alert for each text, and the records with the texts."""
    records = [
        call("ListRoles", time=START + n, eventID=str(n), userAgent=text, sourceIPAddress=text)
        for n, text in enumerate(TEXTS)
    ]
    trail = write_lines(folder / "trail.jsonl", records)
    content = archive({"rules/hostile.yml": yaml.safe_dump(SPEC), "rules/hostile.py": BODY})
    with fed(folder / "state", trail, content=content) as client:
        yield client


@pytest.mark.attack("output")
def test_every_alert_event_and_row_with_a_hostile_text_is_stored(tmp_path, record_property):
    """A lone surrogate in one title once kept all alerts of a replay from being stored."""
    record_property("tried", len(TEXTS))
    with fed_with_hostile_texts(tmp_path) as client:
        page = client.get("/alerts", limit=50)
        alerts = page["results"] + client.get("/alerts", cursor=page["next"])["results"]
        events = [client.get(f"/alerts/{alert['id']}/events")["results"] for alert in alerts]
        counts = [
            rows(client, f"SELECT count(DISTINCT eventID) AS n FROM {table}.public.aws_cloudtrail")
            for table in ("panther_logs", "panther_signals", "panther_rule_matches")
        ]
    assert sorted(alert["context"]["list"][0] for alert in alerts) == sorted(TEXTS)
    assert sorted(e["userAgent"] for (e,) in events) == sorted(TEXTS)
    for alert in alerts:
        text = alert["context"]["list"][0]
        alert["title"].encode()
        if text.strip() and text not in hostile.WITH_HALVES:
            assert alert["title"] == text
    assert counts == [[{"n": len(TEXTS)}]] * 3
