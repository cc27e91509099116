"""Commands that read from S3; moto's server stands in for it, in a process of its own."""

import os
import socket
import subprocess
import sys

import pytest

from local_panther.records.trail import Trail
from local_panther.replay import replay
from tests.builders.events import REPO
from tests.builders.replays import replayed, simulated
from tests.builders.s3 import upload

pytestmark = pytest.mark.process

COMMAND = [sys.executable, "-m", "local_panther"]


def output(*arguments):
    """Return what a command prints."""
    result = subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, cwd=REPO, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture
def trail(tmp_path):
    folder = tmp_path / "trail"
    subprocess.run(
        [*COMMAND, "simulate", folder, "--background", "300", "--shuffle", "--duplicates", "0.1"],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.mark.parametrize("workers", [1, 2])
def test_a_replay_from_s3_gives_the_same_alerts_as_from_the_folder(
    bucket, trail, monkeypatch, workers
):
    url = upload(bucket, trail)
    options = ("--format", "json", "--workers", workers, "--include-disabled")
    expected = output("replay", f"{trail}/", *options)
    assert len(expected.splitlines()) >= 1
    assert output("replay", url, *options).replace(url, f"{trail}/") == expected


def test_tuning_from_s3_gives_the_same_advice_as_from_the_folder(bucket, trail):
    url = upload(bucket, trail, "some/prefix/")
    options = ("--format", "json")
    assert output("tune", url, *options) == output("tune", trail, *options)


def test_unreadable_paths_are_named_and_the_others_are_read(bucket, trail):
    url = upload(bucket, trail, "good/")
    paths = ["s3://no-such-bucket/x", "s3://trail/empty/", url]
    result = subprocess.run(
        [*COMMAND, "replay", *paths], capture_output=True, text=True, cwd=REPO, check=False
    )
    assert result.returncode == 1 and "no such bucket" in result.stdout
    assert "s3://trail/empty/" in result.stdout and "1 incident (1 HIGH)" in result.stdout


@pytest.fixture
def real_names(bucket, monkeypatch):
    """Make the names of AWS's own endpoints lead to the server: moto intercepts only these."""
    host, port = bucket.meta.endpoint_url.removeprefix("http://").split(":")
    resolve = socket.getaddrinfo

    def resolved(name, *arguments, **options):
        return resolve(host if "amazonaws.com" in str(name) else name, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    address = f"http://s3.us-east-1.amazonaws.com:{port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
    return address


RULE = """
import boto3

boto3.client("dynamodb").list_tables()

def rule(event):
    return event.get("eventName") == "ListRoles"

def title(event):
    buckets = boto3.client("s3").list_buckets()["Buckets"]
    try:
        beyond = boto3.client("s3", endpoint_url="{endpoint}").list_buckets()
    except Exception as error:
        beyond = type(error).__name__
    return str([buckets, beyond])
"""
SPEC = """
AnalysisType: rule
RuleID: Own
Enabled: true
Filename: own.py
LogTypes: [AWS.CloudTrail]
Severity: Low
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_content_gets_a_fake_aws_and_the_replay_the_real_one(bucket, real_names, tmp_path, workers):
    """Moto runs before the first object is fetched, and the content uses the same addresses."""
    trail = simulated(tmp_path / "trail", roles=12)
    (tmp_path / "rules").mkdir()
    rule = RULE.format(endpoint=bucket.meta.endpoint_url)
    (tmp_path / "rules" / "own.py").write_text(rule)
    (tmp_path / "rules" / "own.yml").write_text(SPEC)
    url = upload(bucket, trail)
    outcome = replay(Trail([url], workers=workers), tmp_path)
    assert outcome.complete and outcome.tally.records == replayed(trail).tally.records > 100
    (alert,) = outcome.alerts
    assert alert.title == "[[], 'ClientError']"
    assert os.environ["AWS_ACCESS_KEY_ID"] == "example"
