"""Hostile text in every printed field stays text, in every format."""

import csv
import io
import json
import logging
import os
import subprocess
import sys

import pytest
import yaml

from local_panther.output.rows import write_csv
from local_panther.simulate.scenario import role_names
from local_panther.text import LogFormatter
from tests.builders import hostile
from tests.builders.content import write_lines
from tests.builders.events import REPO, START, call, denied, role_arn
from tests.report.test_page import opened  # noqa: F401 - a fixture

pytestmark = pytest.mark.attack("output")

MARKUP = hostile.SHORT["markup of rich"]
HOSTILE = hostile.ALL
WITHOUT_SURROGATES = HOSTILE.encode(errors="ignore").decode()
IN_A_NAME = "".join(hostile.SHORT[name] for name in hostile.FOR_TERMINALS)
IN_A_NAME = IN_A_NAME.replace("\0", "").replace("/", "\\")[:100]
# Characters that Panther accepts in names; an ID is also part of file names.
NAME = "".join(c for c in WITHOUT_SURROGATES if c not in '<>&"%')
ID = "".join(c for c in IN_A_NAME if c not in '<>&"%')

WIDE = os.environ | {"COLUMNS": "3000"}  # so that lines are not wrapped

RULE = """
def rule(event):
    if event.get("eventName") == "CreateUser":
        raise ValueError(event.get("userAgent"))
    return event.get("eventName") == "ListRoles"

def title(event):
    return event.get("userAgent")

def dedup(event):
    return event.get("userAgent")[:100]

def destinations(event):
    return [event.get("userAgent")]

def runbook(event):
    return event.get("userAgent")

def reference(event):
    return event.get("userAgent")

def alert_context(event):
    text = event.get("userAgent")
    return {text: text, text + " list": [text], text + " object": {text: text}}
"""
QUERY_NAME = f"Query {ID}"
QUERY = "SELECT userAgent AS agent, userAgent AS user FROM panther_logs.public.aws_cloudtrail"


@pytest.fixture
def content(tmp_path):
    """A repository in which every name is hostile."""
    folder = tmp_path / "content"
    rules, queries, correlations = (folder / f for f in ("rules", "queries", "correlation_rules"))
    for path in (rules, queries, correlations):
        path.mkdir(parents=True)
    common = {
        "Enabled": True,
        "Severity": "High",
        "DisplayName": NAME,
        "Runbook": WITHOUT_SURROGATES,
    }
    common |= {"Reference": WITHOUT_SURROGATES, "Description": WITHOUT_SURROGATES, "Tags": [NAME]}
    (rules / "r.py").write_text(RULE)
    spec = {"AnalysisType": "rule", "RuleID": ID, "Filename": "r.py"}
    spec |= {"LogTypes": ["AWS.CloudTrail"], **common}
    (rules / "r.yml").write_text(yaml.safe_dump(spec))
    spec = {"AnalysisType": "scheduled_query", "QueryName": QUERY_NAME, "Query": QUERY}
    spec |= {"Enabled": True, "Schedule": {"RateMinutes": 60, "TimeoutMinutes": 5}}
    (queries / "q.yml").write_text(yaml.safe_dump(spec))
    (rules / "s.py").write_text(RULE.replace('== "ListRoles"', "is None"))
    spec = {"AnalysisType": "scheduled_rule", "RuleID": "Rows." + ID, "Filename": "s.py"}
    spec |= {"ScheduledQueries": [QUERY_NAME], **common}
    (rules / "s.yml").write_text(yaml.safe_dump(spec))
    logic = {"Group": [{"ID": ID, "RuleID": ID}, {"ID": "b", "RuleID": ID}]}
    logic |= {"LookbackWindowMinutes": 60, "Schedule": {"RateMinutes": 15, "TimeoutMinutes": 5}}
    logic |= {"MatchCriteria": {ID: [{"GroupID": ID, "Match": "userAgent"}]}}
    logic["MatchCriteria"][ID].append({"GroupID": "b", "Match": "userAgent"})
    spec = {"AnalysisType": "correlation_rule", "RuleID": "Both." + ID, "Detection": [logic]}
    (correlations / "c.yml").write_text(yaml.safe_dump(spec | common))
    (rules / f"{IN_A_NAME}.yml").write_text("AnalysisType: rule\nRuleID: [\n")
    return folder


@pytest.fixture
def trail(tmp_path):
    """Records in which every text is hostile, and files that cannot be read."""
    folder = tmp_path / "trail"
    folder.mkdir()
    who = {"type": "IAMUser", "arn": HOSTILE, "userName": HOSTILE, "accountId": HOSTILE}
    hostile = {"userAgent": HOSTILE, "sourceIPAddress": HOSTILE, "awsRegion": HOSTILE}
    hostile |= {"recipientAccountId": HOSTILE, HOSTILE: HOSTILE}
    records = [
        call(name, who, START + number, eventID=f"{HOSTILE} {number}", **hostile)
        for number, name in enumerate(["ListRoles", "ListRoles", "CreateUser"])
    ]
    write_lines(folder / f"{IN_A_NAME}.jsonl", records)
    (folder / f"{IN_A_NAME}.json").write_text('{"Records": [{"eventTime": "' + "\\u001b" + '"}]}')
    (folder / f"{IN_A_NAME}.gz").write_bytes(b"\x1f\x8b\x08 not gzip")
    return folder


def run(*arguments):
    command = [sys.executable, "-m", "local_panther", *map(str, arguments)]
    return subprocess.run(command, cwd=REPO, capture_output=True, timeout=300, env=WIDE)


def assert_only_text(shown: bytes):
    """Assert that output has no control characters, and no line that begins with hostile text."""
    text = shown.decode()
    assert [c for c in set(text) if not (c.isprintable() or c == "\n")] == []
    assert not any(line.startswith("ALERT CRITICAL") for line in text.split("\n"))


@pytest.mark.process
def test_replay_as_text(trail, content):
    done = run("replay", trail, "--content", content)
    assert done.returncode == 1
    assert_only_text(done.stdout)
    assert_only_text(done.stderr)
    text = done.stdout.decode()
    assert text.count(MARKUP) > 20 and "error: " in text and "not read" in text
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.process
def test_replay_as_json_keeps_every_value_as_it_is(trail, content):
    done = run("replay", trail, "--content", content, "--format", "json")
    assert_only_text(done.stdout)
    assert_only_text(done.stderr)
    alerts = [json.loads(line) for line in done.stdout.splitlines()]
    found = {alert["analysis_type"]: alert for alert in alerts if alert["type"] == "RULE"}
    assert set(found) == {"rule", "scheduled_rule", "correlation_rule"}
    assert found["rule"]["context"][HOSTILE] == HOSTILE
    assert found["correlation_rule"]["match_value"] == HOSTILE


class TestPages:
    def check(self, opened, report):  # noqa: F811 - the fixture
        page = opened(report)
        assert page.trouble == [] and page.requests == [report.as_uri()]
        assert page.evaluate("window.owned") is None
        assert page.evaluate("document.images.length") == 0
        assert page.evaluate("document.scripts.length") <= 1  # the page's own
        shown = page.inner_text("body")
        assert MARKUP in shown and "<script>window.owned=1</script>" in shown
        assert [c for c in set(shown) if not (c.isprintable() or c in "\n\t")] == []

    @pytest.mark.process
    def test_replay(self, trail, content, tmp_path, opened):  # noqa: F811
        report = tmp_path / "report.html"
        done = run("replay", trail, "--content", content, "--report", report)
        assert done.returncode == 1, done.stderr
        self.check(opened, report)

    @pytest.mark.process
    def test_tune(self, hostile_attempts, content_copy, tmp_path, opened):  # noqa: F811
        report = tmp_path / "report.html"
        done = run("tune", hostile_attempts, "--content", content_copy, "--report", report)
        assert done.returncode == 0, done.stderr
        assert_only_text(done.stdout)
        self.check(opened, report)


@pytest.fixture
def hostile_attempts(tmp_path):
    """Failed attempts of a principal with a hostile name."""
    who = {"type": "IAMUser", "arn": f"arn:aws:iam::123456789012:user/{HOSTILE}"}
    records = [
        denied(role_arn(name), time=START + number, eventID=str(number), userIdentity=who)
        for number, name in enumerate(role_names(30))
    ]
    return write_lines(tmp_path / "attempts.jsonl", records)


@pytest.mark.process
def test_tune_as_json(hostile_attempts, content_copy):
    done = run("tune", hostile_attempts, "--content", content_copy, "--format", "json")
    assert_only_text(done.stdout)
    peaks = json.loads(done.stdout)["peaks"]
    assert any(MARKUP in peak["subject"] for peak in peaks)


@pytest.mark.parametrize(
    "start",
    [*hostile.SHORT.values(), "=", "+", "-", "@", "\n", "\x1b=", "\ud800=", "\u202e=", "\ufeff="],
)
def test_rows_as_csv(start):
    value = f'{start}{HOSTILE},"quoted"'
    out = io.StringIO(newline="")
    write_csv([{value: value, "list": [value]}], [value, "list"], out)
    assert [c for c in set(out.getvalue()) if not (c.isprintable() or c in "\t\r\n")] == []
    for row in csv.reader(io.StringIO(out.getvalue(), newline="")):
        assert len(row) == 2 and MARKUP in row[0] and hostile.HTML in row[0]
        assert not row[0].lstrip(" ").startswith(("=", "+", "-", "@", "\uff1d"))


@pytest.mark.process
@pytest.mark.parametrize(
    "arguments",
    [
        ["replay", "missing" + IN_A_NAME],
        ["replay", "x", "--content", "missing" + IN_A_NAME],
        ["replay", "x", "--report", f"missing{IN_A_NAME}/r.html"],
        ["tune", "x", "--rule", IN_A_NAME],
        ["simulate", f"missing{IN_A_NAME}/a.txt/b", "--start", IN_A_NAME],
        ["serve", "--token-file", "missing" + IN_A_NAME],
        ["serve", "--host", "127.0.0.1" + IN_A_NAME],
        ["no-such" + IN_A_NAME],
        ["replay", "--no-such" + IN_A_NAME],
    ],
)
def test_messages_about_arguments(arguments, tmp_path):
    done = run(*arguments)
    assert done.returncode in (1, 2)
    assert_only_text(done.stdout)
    assert_only_text(done.stderr)
    assert b"Traceback" not in done.stderr


def test_the_log_of_the_server():
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        record = logging.LogRecord("x", 40, "", 0, "%s", (HOSTILE,), sys.exc_info())
    text = LogFormatter(logging.BASIC_FORMAT).format(record)
    assert text.splitlines()[0].startswith("ERROR:x:=cmd") and "ALERT" in text.splitlines()[0]
    assert [c for c in set(text) if not (c.isprintable() or c == "\n")] == []
