"""Following the advice on a generated trail of several days has the stated effect."""

import itertools
import re
import shlex
import shutil
from dataclasses import dataclass

import pytest
from aws_role_escalation_config import LOOKBACK_MINUTES, THRESHOLD
from typer.testing import CliRunner

from local_panther.cli import app
from local_panther.content.agreements import check_agreements
from local_panther.records.trail import Trail
from local_panther.tuning.run import tune
from tests.builders.content import write_lines
from tests.builders.events import REPO, START, call, denied, role_arn
from tests.builders.replays import replayed, search_alerts

DAY, DAYS = 86_400, 9
RATE_MINUTES = 30  # minutes between runs of the correlation rule
ORDINARY = min(6, THRESHOLD - 1)  # roles on which a person sometimes fails
CONTENT = ("rules", "correlation_rules", "global_helpers", "data_models", "queries")


def user(name):
    arn = f"arn:aws:iam::123456789012:user/{name}"
    return {"type": "IAMUser", "arn": arn, "userName": name, "accountId": "123456789012"}


@dataclass
class Searches:
    """Records of principals that list roles and fail on some."""

    number: int = 0

    def burst(self, name, day, roles, lead=60):
        self.number += 1
        time, who = START + day * DAY, user(name)
        yield call("ListRoles", who, time - lead, eventID=f"l{self.number}")
        for i in range(roles):
            event_id = f"{self.number}-{i}"
            yield denied(role_arn(f"{name}{i}"), who, time + i * 10, eventID=event_id)

    def quiet(self, count):
        for i in range(count):
            time = START + i * DAYS * DAY / count
            yield call("ListBuckets", user("dana"), time, eventID=f"q{i}")


def write(path, *bursts):
    return str(write_lines(path, itertools.chain(*bursts)))


@pytest.fixture(scope="module")
def trail(tmp_path_factory):
    """Three pipelines that alert every day, an attacker, and a person who sometimes fails."""
    made = Searches()
    bursts = [
        made.burst(f"pipeline{p}", day, THRESHOLD + p) for p in range(3) for day in range(DAYS)
    ]
    bursts += [made.burst("bob", day, ORDINARY) for day in (1, 4)]
    bursts += [made.burst("mallory", 3, THRESHOLD + 9), made.quiet(10_000)]
    return write(tmp_path_factory.mktemp("days") / "trail.jsonl", *bursts)


@pytest.fixture
def content(tmp_path):
    for name in CONTENT:
        shutil.copytree(REPO / name, tmp_path / "content" / name)
    return tmp_path / "content"


def test_pipelines_that_alert_every_day_are_automation(trail):
    tuning = tune(Trail([trail]), REPO)
    names = [subject.split("/")[-1] for subject in tuning.advice.automation]
    assert sorted(names) == ["pipeline0", "pipeline1", "pipeline2"]
    assert (tuning.advice.threshold, tuning.advice.threshold_without) == (
        THRESHOLD + 3,
        ORDINARY + 1,
    )
    assert (tuning.evidence.days, tuning.evidence.principals) == (DAYS, 5)


def followed(printed, number, content, monkeypatch):
    """Run one of the commands in printed advice, unchanged, in the content's folder."""
    commands = re.findall(r"^  (local-panther set .*)$", printed, re.MULTILINE)
    assert len(commands) == 2
    monkeypatch.chdir(content)
    done = CliRunner().invoke(app, shlex.split(commands[number])[1:])
    assert done.exit_code == 0, done.output


@pytest.mark.long
def test_the_printed_threshold_works_when_it_is_pasted(trail, content, monkeypatch):
    printed = CliRunner().invoke(app, ["tune", trail, "--content", str(content)]).stdout
    assert printed.splitlines()[1].startswith(f"Set the threshold to {THRESHOLD + 3}")
    followed(printed, 0, content, monkeypatch)
    tuning = tune(Trail([trail]), content)
    assert check_agreements(content) == [] and tuning.settings.threshold == THRESHOLD + 3


@pytest.mark.long
def test_the_printed_exemption_works_when_it_is_pasted(trail, content, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    before = tune(Trail([trail]), content).settings.exemption.entries
    printed = CliRunner().invoke(app, ["tune", trail, "--content", str(content)]).stdout
    followed(printed, 1, content, monkeypatch)
    tuning = tune(Trail([trail]), content)
    assert len(tuning.exempt) == 3
    assert len(tuning.settings.exemption.entries) == len(before) + 3
    assert tuning.advice.threshold == ORDINARY + 1 and tuning.advice.automation == ()


@pytest.mark.long
def test_every_place_to_change_for_a_threshold_is_named(trail, content):
    for place in tune(Trail([trail]), content).settings.places:
        file, line = place.split(":")
        lines = (content / file).read_text().splitlines(keepends=True)
        text = lines[int(line) - 1]
        assert str(THRESHOLD) in text
        lines[int(line) - 1] = text.replace(str(THRESHOLD), "23", 1)
        (content / file).write_text("".join(lines))
    assert check_agreements(content) == []
    assert tune(Trail([trail]), content).settings.threshold == 23


@pytest.mark.long
@pytest.mark.parametrize("before", [-200, -160, -130, -100, 0, 100, 130, 160, 200])
def test_a_companion_is_near_if_the_stream_or_a_run_of_a_correlation_rule_sees_both(
    tmp_path, before
):
    lead = before * 60  # seconds from discovery to the first attempt
    trail = write(tmp_path / "trail.jsonl", Searches().burst("mallory", 0, THRESHOLD, lead))
    alerts = len(search_alerts(replayed(tmp_path / "trail.jsonl")))
    assert tune(Trail([trail]), REPO).trial(THRESHOLD).alerts == alerts
    near = LOOKBACK_MINUTES - RATE_MINUTES
    assert alerts == 1 if abs(before) < near else alerts == 0 or abs(before) < LOOKBACK_MINUTES


def test_unread_input_gives_no_advice(trail, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / "broken.jsonl").write_text('{"eventName": "ListRoles", "eventTime"\n')
    done = CliRunner().invoke(app, ["tune", trail, str(tmp_path / "broken.jsonl")])
    base, advice, *_ = done.stdout.splitlines()
    assert done.exit_code == 1 and advice.startswith("No advice: 1 record or file")
    assert base.startswith("read ") and base.endswith("; 1 could not be read")
    assert "Places to change" not in done.stdout
