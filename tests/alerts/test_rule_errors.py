"""Alerts about rules that raise or alert too often, and where alerts go."""

import io
import json

import pytest
import yaml

from local_panther.alerts.rule_errors import noisy_rules
from local_panther.output.facts import alert_facts
from local_panther.output.jsonlines import write_alerts
from tests.builders.content import write_lines
from tests.builders.events import START, call
from tests.builders.replays import replayed

RULE = "def rule(event):\n    return True\n"


def content(folder, body, **fields):
    spec = {
        "AnalysisType": "rule",
        "RuleID": "Own.Rule",
        "Enabled": True,
        "Filename": "own.py",
        "LogTypes": ["AWS.CloudTrail"],
        "Severity": "Low",
    }
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "own.yml").write_text(yaml.safe_dump(spec | fields))
    (folder / "rules" / "own.py").write_text(body)
    return folder


def alerts(tmp_path, body, names=("a",), seconds=60, **fields):
    return outcome_of(tmp_path, body, names, seconds, **fields).alerts


def outcome_of(tmp_path, body, names=("a",), seconds=60, **fields):
    trail = tmp_path / "trail.jsonl"
    records = (call(name, time=START + i * seconds, eventID=str(i)) for i, name in enumerate(names))
    write_lines(trail, records)
    return replayed(trail, content=content(tmp_path / "content", body, **fields))


def as_json(outcome):
    """Return the first alert as it is written."""
    out = io.StringIO()
    write_alerts(outcome, out)
    return json.loads(out.getvalue().splitlines()[0])


def test_a_rule_that_raises_makes_one_alert_for_each_type_of_error(tmp_path):
    body = "def rule(event):\n    return {'a': 1}[event['eventName']] / 0\n"
    outcome = outcome_of(tmp_path, body, names=("a", "b", "a", "c", "b"))
    first, second = outcome.alerts
    assert {first.kind, second.kind} == {"RULE_ERROR"}
    assert first.dedup == "Own.Rule:ZeroDivisionError" and first.event_count == 2
    assert second.dedup == "Own.Rule:KeyError" and second.event_count == 3
    assert as_json(outcome)["type"] == "RULE_ERROR"
    assert (first.first, first.last) == (START, START + 120)


@pytest.mark.parametrize(
    ("returned", "fields", "shown", "delivered"),
    [
        ("['soc', 'pager']", {}, ["soc", "pager"], True),
        ("[]", {"OutputIds": ["from-yaml"]}, [], False),
        ("None", {"OutputIds": ["from-yaml"]}, ["from-yaml"], True),
    ],
)
def test_destinations_are_shown_and_suppression_is_honoured(
    tmp_path, returned, fields, shown, delivered
):
    body = f"{RULE}def destinations(event):\n    return {returned}\n"
    outcome = outcome_of(tmp_path, body, **fields)
    (alert,) = outcome.alerts
    plain = as_json(outcome)
    assert (plain["destinations"], plain["delivered"]) == (shown, delivered)
    facts = dict(alert_facts(alert))
    assert facts["Goes to"] == (shown or ["nowhere: destinations() returned none"])


def test_output_ids_alone_are_shown(tmp_path):
    plain = as_json(outcome_of(tmp_path, RULE, OutputIds=["one"]))
    assert plain["destinations"] == ["one"] and plain["delivered"]


def test_a_rule_with_more_than_a_thousand_alerts_in_an_hour_is_reported(tmp_path):
    body = f"{RULE}def dedup(event):\n    return event['eventID']\n"
    assert list(noisy_rules(alerts(tmp_path, body, names=["a"] * 1000, seconds=1))) == []
    (line,) = noisy_rules(alerts(_folder(tmp_path, "more"), body, names=["a"] * 1001, seconds=3))
    assert "Own.Rule made more than 1,000 alerts in an hour by 2026-01-05T10:53:30Z" in line
    assert not list(noisy_rules(alerts(_folder(tmp_path, "slow"), body, ["a"] * 1001, 4)))


def _folder(parent, name):
    folder = parent / name
    folder.mkdir()
    return folder
