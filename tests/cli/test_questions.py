"""The ten questions of docs/triage.md: each command answers its question about the attack."""

import json
import re
import shlex

import pytest
from typer.testing import CliRunner

from local_panther.cli import app
from tests.builders.events import REPO
from tests.builders.queries import query_specs

PAGE = (REPO / "docs" / "triage.md").read_text()


def block(name):
    """Return the text of a block of commands on the page."""
    return PAGE.partition(f"<!-- commands: {name} -->")[2].partition("```sh")[2].partition("```")[0]


def commands_of(name):
    return [line for line in block(name).splitlines() if line.startswith("local-panther ")]


COMMANDS, MORE = commands_of("questions"), commands_of("more")
QUESTIONS = re.findall(r"^# (\d+) ", block("questions"), re.MULTILINE)
QUERIES = {spec["QueryName"] for spec in query_specs().values()}


@pytest.fixture(scope="module")
def trail(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions") / "trail"
    arguments = shlex.split(COMMANDS[0].replace(" trail", f" {folder}"))
    assert CliRunner().invoke(app, arguments[1:]).exit_code == 0
    return folder


def test_each_of_ten_questions_has_a_command():
    assert [str(number) for number in range(1, 11)] == QUESTIONS
    assert len(COMMANDS) == 1 + len(QUESTIONS)


def answers(trail, command):
    """Return the rows that a command of the page prints as JSON."""
    arguments = [*shlex.split(command)[1:], "--format", "json", "--workers", "1"]
    done = CliRunner().invoke(app, [str(trail) if a == "trail" else a for a in arguments])
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.long
@pytest.mark.parametrize("command", [*COMMANDS[1:], *MORE])
def test_each_command_has_an_answer(trail, command):
    assert answers(trail, command)


def test_each_query_of_the_package_is_used():
    asked = {shlex.split(command)[2] for command in [*COMMANDS[1:], *MORE]}
    assert QUERIES - asked == set()


@pytest.mark.parametrize("command", COMMANDS[1:])
def test_the_ten_answers_are_about_the_attacker(trail, command):
    # The calls of a principal have its address; all other answers have its name.
    found = answers(trail, command)
    assert "mallory" in json.dumps(found) or "198.51.100.23" in {row["address"] for row in found}


def test_the_key_of_a_user_leads_back_to_the_attacker(trail):
    command = next(command for command in COMMANDS if "access_key_id=AKIA" in command)
    steps = [(row["steps_back"], row["api"]) for row in answers(trail, command)]
    assert steps == [(0, "CreateAccessKey"), (1, "AssumeRole")]


def test_the_runbook_asks_for_every_session_that_the_attacker_got(trail):
    alerts = answers(trail, COMMANDS[1])
    commands = [
        query["command"]
        for alert in alerts
        for step in alert["runbook"]
        for query in step["queries"]
        if query["name"] == "AWS Role Session Activity"
    ]
    found = answers(trail, next(c for c in COMMANDS if "Successes After Failures" in c))
    keys = {row["issued_access_key"] for row in found}
    assert len(keys) == 2 and all(any(key in command for command in commands) for key in keys)
