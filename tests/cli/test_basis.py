"""Every answer begins with its basis; if nothing was read, there is no answer."""

import json

import pytest

from tests.builders.events import call
from tests.builders.replays import simulated
from tests.cli.test_command_line import run

pytestmark = pytest.mark.process

QUERY = "AWS History of a Principal"
COMMANDS = (
    ["replay"],
    ["replay", "--format", "json"],
    ["replay", "--format", "csv"],
    ["replay", "--format", "ocsf"],
    ["summary"],
    ["summary", "--format", "json"],
    ["query", QUERY, "--set=name=alice", "--set=alert_time=2026-01-05 10:30:00"],
    ["tune"],
)
FALSE_ANSWERS = ("No alert", "No principal", "nobody", "no rows", "Keep the threshold")


def ran(command, *paths):
    name, *rest = command
    if name == "query":
        return run(name, rest[0], *paths, *rest[1:])
    return run(name, *paths, *rest)


@pytest.fixture
def nothing(tmp_path):
    """Paths from which nothing can be read, each with the reason that is printed."""
    (tmp_path / "README.md").write_text("[![build](https://ci.example/badge.svg)]\n")
    (tmp_path / "empty.json").write_text('{"Records": []}')
    ecs = {"event": {"action": "ListRoles"}, "aws": {"cloudtrail": {"event_version": "1.11"}}}
    (tmp_path / "ecs.ndjson").write_text(f"{json.dumps(ecs)}\n" * 3)
    return {
        tmp_path / "missing": "no such file or folder",
        tmp_path / "README.md": "other files",
        tmp_path / "empty.json": "no record in 1 file",
        tmp_path / "ecs.ndjson": "preserve_original_event",
    }


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_nothing_read_gives_no_answer(nothing, command):
    for path, reason in nothing.items():
        status, out, err = ran(command, path)
        printed = " ".join((out + err).split())
        assert status == 1
        assert "nothing was read: " in printed and reason in printed
        assert not any(answer in out for answer in FALSE_ANSWERS)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_answer_begins_with_what_was_read_and_what_was_not(tmp_path, command):
    simulated(tmp_path / "trail.jsonl", ordinary=0)
    (tmp_path / "README.md").write_text("# A folder\n")
    (tmp_path / "cut.json").write_text('{"Records": [{"eventName": "Ass')
    status, out, err = ran(command, tmp_path)
    lines = (out if "--format" not in command else err).splitlines()
    base = " ".join(" ".join(lines).split())
    assert status == 1 and lines[0].startswith("read 15 records in 2 files, 2026-01-05T10:00")
    assert "set aside 1 (other files 1); 1 could not be read" in base


def test_problems_with_one_cause_are_one_line_with_a_count(tmp_path):
    bad = "".join(json.dumps(call("ListRoles", eventTime="soon")) + "\n" for _ in range(500))
    (tmp_path / "a.jsonl").write_text(bad + json.dumps(call("ListRoles")) + "\n")
    _, out, err = run("replay", tmp_path)
    lines = [line for line in (out + err).splitlines() if "not read:" in line]
    assert len(lines) == 1
    assert "499 more in this file" in " ".join((out + err).split())


@pytest.mark.parametrize("form", ["json", "ocsf"])
def test_json_is_valid_whatever_numbers_a_record_has(tmp_path, form):
    trail = simulated(tmp_path / "trail.jsonl", ordinary=0)
    records = [json.loads(line) for line in trail.read_text().splitlines()]
    numbered = [json.dumps(record | {"apiVersion": "TOO LARGE"}) for record in records]
    text = "\n".join(numbered).replace('"TOO LARGE"', "1E400")
    trail.write_text(text)
    _, out, _ = run("replay", trail, "--format", form)

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    found = [json.loads(line, parse_constant=refuse) for line in out.splitlines()]
    assert found and "1E400" in json.dumps(found)
