"""Files that a killed command was writing are the old or the new ones."""

import os
import random
import subprocess
import time

import pytest

from tests.builders.content import write_rules
from tests.builders.events import REPO
from tests.builders.replays import simulated, started
from tests.cli.test_command_line import COMMAND
from tests.instance.servers import eventually
from tests.scale import examples

pytestmark = [pytest.mark.attack("kills"), pytest.mark.process]


def test_the_report_and_cache_of_a_killed_replay_are_valid(tmp_path, record_property):
    """The report is the old or the new one, and the cache is right or empty."""
    trail = simulated(tmp_path / "t.jsonl")
    report = tmp_path / "out" / "report.html"
    report.parent.mkdir()
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [COMMAND, "replay", trail, "--report", report, "--format", "json"]

    def run() -> bytes:
        done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    begun = time.monotonic()
    right = run()
    takes, moments = time.monotonic() - begun, random.Random(5)
    record_property("tried", tries := examples(5, 200))
    for _ in range(tries):
        report.write_text("old")
        process = started(command, cwd=REPO, env=environment)
        time.sleep(moments.uniform(0.2, 1) * takes)
        process.kill()
        process.communicate(timeout=30)
        assert eventually(lambda: len(list(report.parent.iterdir())) == 1)
        text = report.read_text()
        assert text == "old" or text.rstrip().endswith("</html>")
    assert run() == right


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["simulate", "trail.jsonl", "--force", "--background", "3000"], "trail.jsonl"),
        (["replay", "t.jsonl", "--write-expected", "expected.yml"], "expected.yml"),
        (["test", "--junit", "junit.xml"], "junit.xml"),
    ],
)
def test_a_file_that_a_killed_command_writes_is_the_old_or_the_new_one(
    tmp_path, arguments, name, record_property
):
    simulated(tmp_path / "t.jsonl")
    write_rules(tmp_path, role="def rule(event):\n    return event.get('errorCode') is not None\n")
    command, file = [COMMAND, *arguments], tmp_path / name
    for _ in range(2):  # the first run fills the cache
        begun = time.monotonic()
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    takes, moments = time.monotonic() - begun, random.Random(29)
    right = file.read_bytes()
    record_property("tried", tries := examples(4, 200))
    for number in range(tries):
        file.write_bytes(b"old")
        before = file.stat(), {*tmp_path.iterdir()}
        process = started(command, cwd=tmp_path)
        if number % 2:  # as soon as something changes in the folder, or a moment later
            while process.poll() is None and before == (file.stat(), {*tmp_path.iterdir()}):
                time.sleep(0.0005)
            time.sleep(moments.uniform(0, 0.002))
        else:
            time.sleep(moments.uniform(0.3, 1.1) * takes)
        process.kill()
        process.communicate(timeout=30)
        # The process that writes for a command in the box may exit a moment after it.
        assert eventually(lambda: file.read_bytes() in (b"old", right))
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    assert file.read_bytes() == right
