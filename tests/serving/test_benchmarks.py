"""Benchmarks run the rule of a client over the records of the lake, and measure it."""

import base64
import logging
import os
import time

import pytest

from local_panther.instance.lake import benchmarks
from tests.instance.conftest import archive
from tests.instance.servers import eventually, processes_with
from tests.instance.test_uploads import one_rule
from tests.serving.test_lake import LOGS, rows

pytestmark = pytest.mark.process

CREATE = """mutation($i: CreatePerfTestInput!) {createPerfTest(input: $i) {replay {id state}}}"""
STOP = """mutation($i: StopReplayInput!) {stopReplay(input: $i) {replay {state completedAt}}}"""
REPLAY = """query($i: ID!) {replay(id: $i) {state detectionId replayType completedAt
    scope {logTypes dataWindow {timeWindow {startsAt endsAt}}}
    summary {totalAlerts ruleErrorCount ruleMatchCount eventsProcessedCount eventsMatchedCount
        evaluationProgress logDataSizeEstimate readTimeNanos processingTimeNanos}}}"""
HOUR = "2026-11-24T16:00:00+00:00"

BODY = """
import distinct_window_helpers

def rule(event):
    return event.get("eventName") == "AssumeRole" and event.udm("actor_user") != "nobody"

def dedup(event):
    return event.get("errorCode", "none")
"""


def asked(files: dict, log_type: str = "AWS.CloudTrail") -> dict:
    data = base64.b64encode(archive(files)).decode()
    return {"detection": data, "hour": HOUR, "logType": log_type}


def started(lake, files: dict) -> str:
    return lake.ask(CREATE, i=asked(files))["replay"]["id"]


def outcome(lake, files: dict) -> dict:
    benchmark = started(lake, files)
    while (found := lake.ask(REPLAY, i=benchmark))["state"] == "EVALUATION_IN_PROGRESS":
        time.sleep(0.05)
    return found


def count(lake, condition: str) -> int:
    (row,) = rows(lake, f"SELECT count(*) AS n FROM {LOGS} WHERE {condition}")
    return row["n"]


def test_a_rule_runs_over_every_record_with_the_stored_helpers_and_data_models(lake):
    found = outcome(lake, one_rule(BODY))
    summary = found["summary"]
    total, matches = count(lake, "true"), count(lake, "eventName = 'AssumeRole'")
    assert (found["state"], found["detectionId"]) == ("DONE", "Test.Rule")
    assert (summary["eventsProcessedCount"], summary["ruleMatchCount"]) == (total, matches)
    assert total > matches > 10 and summary["ruleErrorCount"] == 0
    assert 0 < summary["totalAlerts"] < matches
    assert summary["readTimeNanos"] > 0 < summary["processingTimeNanos"]
    window = found["scope"]["dataWindow"]["timeWindow"]
    assert window == {"startsAt": "2026-11-24T16:00:00Z", "endsAt": "2026-11-24T17:00:00Z"}
    assert lake.rest("GET", "/rules/Test.Rule")[0] == 404  # it is not stored


def test_a_rule_that_raises_is_an_error_and_its_events_are_counted(lake, caplog):
    body = "def rule(event):\n    return event['eventName'] == 'ListRoles' and 1 / 0\n"
    found = outcome(lake, one_rule(body))
    assert found["state"] == "ERROR_EVALUATION"
    assert found["summary"]["ruleErrorCount"] == count(lake, "eventName = 'ListRoles'") > 0
    assert "division by zero" in caplog.text


@pytest.mark.parametrize(
    ("files", "message"),
    (
        (one_rule("def rule(event)\n"), "rules/rule.yml: Filename: import failed: SyntaxError"),
        (one_rule("import no_such_helper\n" + BODY), "no_such_helper"),
        (one_rule(BODY, LogTypes=["AWS.S3ServerAccess"]), "does not run over AWS.CloudTrail"),
        ({"notes.txt": "nothing"}, "the archive holds no content"),
        (one_rule("import os\nos._exit(3)\n"), "the benchmark failed"),
    ),
)
def test_an_upload_without_a_rule_for_the_records_is_an_error_that_the_server_logs(
    lake, caplog, files, message
):
    with caplog.at_level(logging.ERROR):
        assert outcome(lake, files)["state"] == "ERROR_EVALUATION"
    assert message in caplog.text


def sleeping(seconds: str) -> dict:
    """Return a rule that starts a process and waits for it."""
    return one_rule(f"import subprocess\nsubprocess.run(['sleep', '{seconds}'])\n{BODY}")


def test_a_stopped_benchmark_is_canceled_and_all_its_processes_are_killed(trusting):
    seconds = f"5{os.getpid()}.1"
    benchmark = started(trusting, sleeping(seconds))
    assert eventually(lambda: processes_with(f"sleep\0{seconds}\0"), 30)
    stopped = trusting.ask(STOP, i={"id": benchmark})["replay"]
    assert stopped["state"] == "CANCELED" and stopped["completedAt"]
    assert eventually(lambda: not processes_with(f"sleep\0{seconds}\0"))
    assert trusting.ask(REPLAY, i=benchmark)["state"] == "CANCELED"
    assert outcome(trusting, one_rule(BODY))["state"] == "DONE"  # the next one runs


def test_a_benchmark_that_takes_too_long_is_canceled_as_the_client_expects(trusting, monkeypatch):
    monkeypatch.setattr(benchmarks, "SECONDS", 4.0)
    seconds = f"5{os.getpid()}.2"
    assert outcome(trusting, sleeping(seconds))["state"] == "CANCELED"
    assert not processes_with(f"sleep\0{seconds}\0")


def test_a_benchmark_beyond_the_limit_is_refused(lake):
    seconds = f"5{os.getpid()}.3"
    first = [started(lake, sleeping(seconds)) for _ in range(benchmarks.MAX_RUNNING)]
    (error,) = lake.send(CREATE, i=asked(one_rule(BODY)))["errors"]
    assert "4 benchmarks run already" in error["message"]
    for benchmark in first:
        lake.ask(STOP, i={"id": benchmark})


def test_missing_records_and_unknown_benchmarks_are_reported(lake, instance):
    for client, log_type in ((lake, "AWS.S3ServerAccess"), (instance, "AWS.CloudTrail")):
        (error,) = client.send(CREATE, i=asked(one_rule(BODY), log_type))["errors"]
        assert f"there are no records of {log_type}" in error["message"]
    (error,) = lake.send(REPLAY, i="no-such-id")["errors"]
    assert "no such replay" in error["message"]
