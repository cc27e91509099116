"""Inputs that must not be held in memory: gzip bombs, endless lines, folders of many files."""

import json
import resource
import subprocess
import sys

import pytest
from isal import igzip

from tests.builders.content import write_lines, write_rules
from tests.builders.events import REPO, START, call, denied, role_arn
from tests.builders.replays import MEASURED
from tests.cli.test_command_line import run
from tests.scale import FULL

pytestmark = pytest.mark.process

PIECE = 1 << 24
MEMORY_MB = 1024
LARGE = 10 << 30 if FULL else 1 << 30
LONG = 2 << 30 if FULL else 512 << 20
MANY = 100_000 if FULL else 3_000

RULE = """
def rule(event):
    return True

def dedup(event):
    return event["eventID"]
"""


def record(number):
    return json.dumps(call("ListRoles", time=START + number, eventID=f"event-{number}")).encode()


@pytest.fixture
def content(tmp_path):
    return write_rules(tmp_path / "content", seen=RULE)


def replayed(paths, content, limit_file_size=None):
    """Run the command; return its status, the alerts, its messages and the memory in MB."""

    def limited():
        if limit_file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_file_size, limit_file_size))

    command = [sys.executable, "-m", "local_panther", "replay", *map(str, paths)]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command, "--content", str(content), "--format", "json"],
        cwd=REPO,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=limited,
    )
    *lines, memory = done.stdout.decode().splitlines()
    alerts = [json.loads(line)["event_ids"] for line in lines if line.startswith("{")]
    messages = "\n".join(line for line in lines if not line.startswith("{"))
    return done.returncode, alerts, messages, int(memory) // 1024


@pytest.mark.parametrize("filler", [b"\0", b"x", b"\n", b'{"a":'])
def test_a_gzip_bomb_takes_bounded_memory_and_hides_no_other_record(tmp_path, content, filler):
    with igzip.open(tmp_path / "bomb.json.gz", "wb", compresslevel=1) as file:
        file.write(record(0) + b"\n")
        for _ in range(LARGE // PIECE):
            file.write(filler * (PIECE // len(filler)))
        file.write(b"\n" + record(1) + b"\n")
    (tmp_path / "next.jsonl").write_bytes(record(2))
    paths = [tmp_path / "bomb.json.gz", tmp_path / "next.jsonl"]
    status, alerts, messages, memory = replayed(paths, content)
    assert alerts == [["event-0"], ["event-1"], ["event-2"]]
    assert memory < MEMORY_MB and "Traceback" not in messages
    assert status == (filler != b"\n")
    assert ("bomb.json.gz, line 2: oversized line: a line of" in messages) == bool(status)


def test_an_endless_line_is_the_only_loss(tmp_path, content):
    with (tmp_path / "a.jsonl").open("wb") as file:
        file.write(record(0) + b"\n")
        for _ in range(LONG // PIECE):
            file.write(b"x" * PIECE)
        file.write(b"\n" + record(1))
    status, alerts, messages, memory = replayed([tmp_path / "a.jsonl"], content)
    assert status == 1 and alerts == [["event-0"], ["event-1"]]
    assert "oversized line" in messages and memory < MEMORY_MB


def test_many_files_are_all_read(tmp_path, content):
    for number in range(MANY):
        folder = tmp_path / "logs" / f"{number % 100}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.json").write_bytes(b'{"Records": [' + record(number) + b"]}")
    status, alerts, messages, memory = replayed([tmp_path / "logs"], content)
    assert status == 0 and len(alerts) == MANY
    assert memory < MEMORY_MB and f"{MANY:,}" in messages


def test_many_large_calls_about_roles_are_kept_on_disk(tmp_path):
    quiet = write_rules(tmp_path / "content", quiet="def rule(event):\n    return False\n")
    records = [
        denied(role_arn(f"r{n}"), time=START + n, eventID=str(n), userAgent="x" * 2000)
        for n in range(4_000)
    ]
    write_lines(tmp_path / "trail.jsonl", records)
    status, out, err = run("replay", tmp_path / "trail.jsonl", "--content", quiet)
    assert (status, err) == (0, "") and "Nearest to an alert" in out


def test_a_full_disk_affects_only_what_needs_the_disk(tmp_path, content):
    """No file may grow, so that the lake cannot store records."""
    queries = content / "queries"
    queries.mkdir()
    (queries / "q.yml").write_text(
        "AnalysisType: scheduled_query\nQueryName: Q\nEnabled: true\n"
        "Query: SELECT * FROM panther_logs.public.aws_cloudtrail\n"
        "Schedule: {RateMinutes: 30, TimeoutMinutes: 5}\n"
    )
    (content / "rules" / "r.py").write_text(RULE)
    (content / "rules" / "r.yml").write_text(
        "AnalysisType: scheduled_rule\nRuleID: Test.Rows\nFilename: r.py\nEnabled: true\n"
        "Severity: High\nScheduledQueries: [Q]\n"
    )
    (tmp_path / "a.jsonl").write_bytes(record(0) + b"\n" + record(1))
    status, alerts, messages, _ = replayed([tmp_path / "a.jsonl"], content, limit_file_size=512)
    assert status == 1, messages
    assert alerts[:2] == [["event-0"], ["event-1"]] and "Traceback" not in messages
    assert "File too large" in messages or "could not be stored" in messages
