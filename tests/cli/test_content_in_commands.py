"""Content that prints, or is running when a command is stopped."""

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.builders.content import EACH_EVENT, write_calls, write_rules
from tests.builders.events import REPO
from tests.builders.replays import started

pytestmark = [pytest.mark.attack("rules"), pytest.mark.process]

# The rules here write files to show that they run, which the box would refuse.
COMMAND = [sys.executable, "-m", "local_panther", "replay", "--trust-content"]


@pytest.fixture
def trail(tmp_path):
    return write_calls(tmp_path / "trail.jsonl", 3)


def test_output_of_rules_goes_to_standard_error(tmp_path, trail):
    body = """
        import os, subprocess, sys
        print("at import")
        def rule(event):
            print("by print")
            print("past sys.stdout", file=sys.__stdout__, flush=True)
            os.write(1, b"past Python")
            subprocess.run(["echo", "by a process"])
            return True
    """
    content = write_rules(tmp_path / "content", bad=body)
    command = [*COMMAND, trail, "--content", content, "--format", "json"]
    done = subprocess.run(list(map(str, command)), cwd=REPO, capture_output=True, timeout=60)
    assert [json.loads(line)["rule_id"] for line in done.stdout.splitlines()] == ["Test.bad"]
    for printed in (b"at import", b"by print", b"past sys", b"past Python", b"by a process"):
        assert printed in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("function", "number"),
    [("rule", signal.SIGINT), ("title", signal.SIGINT), ("rule", signal.SIGTERM)],
)
def test_the_first_signal_during_a_rule_stops_the_run(tmp_path, trail, function, number):
    ready = tmp_path / "ready"
    hang = f"""
        import pathlib, time
        def hang(event):
            if event["eventID"] == "event-1":
                pathlib.Path({str(ready)!r}).touch()
                time.sleep(3600)
            return {"True" if function == "rule" else "'title'"}
        {function} = hang
    """
    body = hang if function == "rule" else hang + "\n        def rule(event): return True\n"
    content = write_rules(tmp_path / "content", good=EACH_EVENT, hanging=body)
    process = started([*COMMAND, trail, "--content", content], cwd=REPO)
    while not ready.exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 1 and b"Traceback" not in err
    assert b"interrupted: the rest was not read" in out
    assert b"seen" in out  # the alert that was found before
