"""Odd environments and values give a message, and hide no output."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.builders.events import REPO
from tests.builders.replays import simulated
from tests.cli.test_command_line import COMMAND

pytestmark = [pytest.mark.attack("processes"), pytest.mark.process]


def run(*arguments, cwd=REPO, **environment):
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("columns", ["0", "-1", "x", "99999999999"])
def test_an_invalid_width_hides_no_output(tmp_path, columns):
    done = run("summary", simulated(tmp_path / "t.jsonl"), COLUMNS=columns)
    assert done.returncode == 0 and done.stdout.startswith("read ") and len(done.stdout) < 20_000


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "x.jsonl", "--minutes", "nan"),
        ("simulate", "x.jsonl", "--minutes", "inf"),
        ("simulate", "x.jsonl", "--minutes", "1e300"),
        ("simulate", "x.jsonl", "--start", "0001-01-01T00:00:00"),
        ("simulate", "x.jsonl", "--start", "9999-12-31T23:59:59"),
        ("replay", "x", "--delivery-delay", "inf"),
        ("replay", "x", "--delivery-delay", "nan"),
        ("serve", "--token-file", "/dev/zero"),
    ],
)
def test_a_value_out_of_range_is_a_message(tmp_path, arguments):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert arguments[-2].removeprefix("--") in done.stderr and not list(tmp_path.iterdir())


def test_a_removed_working_folder_is_a_message(tmp_path):
    command = f"mkdir gone; cd gone; rmdir ../gone; exec {COMMAND} replay {tmp_path}"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("the working folder cannot be used")


@pytest.mark.parametrize("what", ["link", "device", "file in a folder that cannot be written"])
def test_a_report_is_written_through_links_and_to_devices(tmp_path, what):
    trail = simulated(tmp_path / "t.jsonl")
    target = tmp_path / "folder" / "report.html"
    target.parent.mkdir()
    target.write_text("old")
    path = target
    if what == "link":
        path = tmp_path / "link.html"
        path.symlink_to(target)
    elif what == "device":
        path = tmp_path / "null"
        path.symlink_to("/dev/null")
    else:
        target.parent.chmod(0o500)
    try:
        done = run("replay", trail, "--report", path)
    finally:
        target.parent.chmod(0o700)
    assert f"report: {path}" in done.stderr, done.stderr
    if what == "device":
        assert path.is_symlink() and not Path("/dev/null").is_file()
    else:
        assert target.read_text().startswith("<!") and path.is_symlink() == (what == "link")


def test_a_thread_that_a_rule_starts_does_not_keep_the_command_running(tmp_path):
    rules = tmp_path / "content" / "rules"
    rules.mkdir(parents=True)
    (rules / "thread.yml").write_text(
        "AnalysisType: rule\nRuleID: A.Thread\nFilename: thread.py\nEnabled: true\n"
        "Severity: Info\nLogTypes: [AWS.CloudTrail]\n"
    )
    (rules / "thread.py").write_text(
        "import threading, time\ndef rule(event):\n"
        "    threading.Thread(target=lambda: time.sleep(1000)).start()\n    return False\n"
    )
    done = run("replay", simulated(tmp_path / "t.jsonl"), cwd=rules.parent)
    assert done.returncode == 0 and "read " in done.stdout
