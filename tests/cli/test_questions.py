"""The ten questions of docs/triage.md: each command answers, on the attack that it is shown on."""

import json
import re
import shlex

import pytest
from typer.testing import CliRunner

from local_panther.cli import app
from tests.builders.events import REPO

PAGE = (REPO / "docs" / "triage.md").read_text()
BLOCK = PAGE.partition("<!-- commands: questions -->")[2].partition("```sh")[2].partition("```")[0]
COMMANDS = [line for line in BLOCK.splitlines() if line.startswith("local-panther ")]
QUESTIONS = re.findall(r"^# (\d+) ", BLOCK, re.MULTILINE)


@pytest.fixture(scope="module")
def trail(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions") / "trail"
    arguments = shlex.split(COMMANDS[0].replace(" trail", f" {folder}"))
    assert CliRunner().invoke(app, arguments[1:]).exit_code == 0
    return folder


def test_there_is_a_command_for_each_of_ten_questions():
    assert [str(number) for number in range(1, 11)] == QUESTIONS
    assert len(COMMANDS) == 1 + len(QUESTIONS)


@pytest.mark.parametrize("command", COMMANDS[1:])
def test_each_command_has_an_answer(trail, command):
    arguments = [*shlex.split(command)[1:], "--format", "json", "--workers", "1"]
    done = CliRunner().invoke(app, [str(trail) if a == "trail" else a for a in arguments])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows
    # The calls of a principal have its address, all other answers its name.
    assert "mallory" in done.stdout or "198.51.100.23" in {row["address"] for row in rows}
