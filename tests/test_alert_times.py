"""Alerts are created when events arrive, some time after they happened, or at scheduled runs."""

import functools
import json

import pytest
import yaml

from local_panther import replay as replay_module
from local_panther.output.facts import notes
from local_panther.records.trail import Trail
from local_panther.replay import replay
from local_panther.times import DELIVERY_DELAY
from tests.builders.content import write_lines, write_rules
from tests.builders.events import START, call

MINUTE = 60
RATE, LOOKBACK = 15, 30
FIRST, SECOND = "ListRoles", "ListUsers"
MATCH = "def rule(event):\n    return event.get('eventName') == '{}'\n"
SCHEDULE = {"RateMinutes": RATE, "TimeoutMinutes": 5}
GROUP = [{"ID": name, "RuleID": f"Test.{name}"} for name in ("first", "second")]
CRITERIA = {
    "caller": [{"GroupID": step["ID"], "Match": "userIdentity.arn"} for step in GROUP],
}
QUERY = "SELECT eventID FROM panther_logs.public.aws_cloudtrail WHERE p_occurs_since('1 h') AND "


@pytest.fixture
def content(tmp_path):
    """Return content: two rules, one that raises, a correlation rule and a scheduled rule."""
    bodies = {"first": MATCH.format(FIRST), "second": MATCH.format(SECOND)}
    bodies |= {"raises": "def rule(event):\n    return 1 / 0\n"}
    folder = write_rules(tmp_path / "content", **bodies)
    logic = {"Group": GROUP, "MatchCriteria": CRITERIA, "Schedule": SCHEDULE}
    write(
        folder / "correlation_rules/both.yml",
        AnalysisType="correlation_rule",
        RuleID="Test.both",
        Detection=[logic | {"LookbackWindowMinutes": LOOKBACK}],
    )
    write(
        folder / "queries/users.yml",
        AnalysisType="scheduled_query",
        QueryName="Users",
        Query=f"{QUERY}eventName = '{SECOND}'",
        Schedule=SCHEDULE,
    )
    (folder / "rules/scheduled.py").write_text("def rule(event):\n    return True\n")
    write(
        folder / "rules/scheduled.yml",
        AnalysisType="scheduled_rule",
        RuleID="Test.scheduled",
        Filename="scheduled.py",
        ScheduledQueries=["Users"],
        DedupPeriodMinutes=1440,
    )
    return folder


def write(path, **spec):
    path.parent.mkdir(exist_ok=True)
    severity = {} if spec["AnalysisType"] == "scheduled_query" else {"Severity": "High"}
    path.write_text(yaml.safe_dump({"Enabled": True, **severity, **spec}))


@pytest.fixture
def made(content, tmp_path):
    """Return a function that replays calls of one user and returns the alerts' times of creation.

    The calls are given by name and minute; times are in minutes.
    """

    def made(*calls, delay=0.0):
        records = [
            call(name, time=START + minute * MINUTE, eventID=f"{i}")
            for i, (name, minute) in enumerate(calls)
        ]
        trail = write_lines(tmp_path / "trail.jsonl", records)
        outcome = replay(Trail([str(trail)]), content, delivery_delay=delay * MINUTE)
        return {
            alert.metadata.rule_id.removeprefix("Test."): (alert.created_at - START) / MINUTE
            for alert in outcome.alerts
        }

    return made


@pytest.mark.parametrize("delay", [0, 3.5, 15])
def test_a_rule_alerts_when_the_event_has_arrived(made, delay):
    found = made((FIRST, 1), delay=delay)
    assert found["first"] == 1 + delay
    assert found["raises"] == 1 + delay  # the alert about an error of a rule


def test_p_parse_time_is_the_time_of_arrival(content, made):
    """The event's own time is unchanged."""
    arrived = "'2026-01-05 10:04:30.000000000'"
    happened = "'2026-01-05 10:01:00.000000000'"
    body = f"event['p_parse_time'] == {arrived} and event['p_event_time'] == {happened}"
    (content / "rules/first.py").write_text(f"def rule(event):\n    return {body}\n")
    assert made((FIRST, 1), delay=3.5)["first"] == 4.5
    assert "first" not in made((FIRST, 1), delay=3)


def test_a_scheduled_rule_alerts_at_the_first_run_after_the_arrival(made):
    assert made((SECOND, 14))["scheduled"] == 15
    assert made((SECOND, 14), delay=3.5)["scheduled"] == 30


@pytest.mark.parametrize(
    ("second", "delay", "alert"),
    [
        (14, 0, 15),
        (14, 10, 30),  # arrives at 24; the run at 30 looks back to 0
        (14, 17, None),  # arrives at 31; the run at 45 looks back to 15
        (5, 17, 30),
        (LOOKBACK - RATE, RATE - 1, 30),  # lookback = window + rate + delay: enough in any phase
    ],
)
def test_a_correlation_rule_alerts_at_a_run_that_looks_back_to_both_events(
    made, second, delay, alert
):
    """A signal has the time of its event, and no run sees it before the event has arrived."""
    assert made((FIRST, 0), (SECOND, second), delay=delay).get("both") == alert


@pytest.mark.parametrize(("delay", "count"), [(15, 0), (17, 1), (31, 2)])
def test_signals_that_arrive_too_late_to_be_paired_are_reported(content, tmp_path, delay, count):
    """They happened at 0 and 14 minutes; the run at 30 looks back to 0, the one at 45 to 15."""
    times = {FIRST: START, SECOND: START + 14 * MINUTE}
    records = [call(name, time=time, eventID=name) for name, time in times.items()]
    trail = write_lines(tmp_path / "trail.jsonl", records)
    outcome = replay(Trail([str(trail)]), content, delivery_delay=delay * MINUTE)
    reported = [line for kind, line in notes(outcome) if "late" in line]
    what = f"{count} signal{'s' * (count != 1)} arrived too late to be paired"
    assert reported == [f"Test.both: {what}: its lookback is 30 minutes"] * (count > 0)
    assert outcome.late_signals == ({"Test.both": count} if count else {})


@pytest.mark.parametrize(("first", "alert"), [(14, None), (16, 45)])
def test_a_record_that_is_read_after_later_ones_arrives_with_them(made, monkeypatch, first, alert):
    in_order = functools.partial(replay_module.in_time_order, size=1)
    monkeypatch.setattr(replay_module, "in_time_order", in_order)
    # The second call was delivered after others that happened 24 minutes later.
    others = [("GetUser", minute) for minute in (40, 41, 42)]
    found = made((FIRST, first), *others, (SECOND, 17))
    assert found["second"] == 42 - 1  # the buffer holds one record
    assert found.get("both") == alert


def test_the_delay_is_an_option_and_210_seconds_by_default(content, tmp_path, run_command):
    trail = write_lines(tmp_path / "trail.jsonl", [call(FIRST, eventID="1")])
    for options, time in ((), "10:03:30"), (("--delivery-delay", "0"), "10:00:00"):
        output = run_command("replay", trail, "--content", content, "--format", "json", *options)
        alerts = map(json.loads, output.splitlines())
        (alert,) = (found for found in alerts if found["rule_id"] == "Test.first")
        assert alert["created_at"] == f"2026-01-05T{time}Z"
    assert DELIVERY_DELAY == 210


@pytest.fixture
def run_command():
    from typer.testing import CliRunner

    from local_panther.cli import app

    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments))).stdout
