"""`local-panther summary`: what each principal did with roles."""

import csv
import io
import json
import os
import subprocess

import pytest

from local_panther.simulate.identities import PrincipalKind, identity
from tests.builders.content import write_lines
from tests.builders.events import ACCOUNT, START, call, denied, denied_update, role_arn, user
from tests.builders.replays import simulated
from tests.builders.unlisted import CONTENT
from tests.cli.test_command_line import COMMAND, run

pytestmark = pytest.mark.process

BOB = user("bob")
WORKFLOW = {
    "type": "WebIdentityUser",
    "userName": "repo:o/r:ref:refs/heads/main",
    "identityProvider": f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com",
}
POLICY = {"requestParameters": {"roleName": "B"}}


@pytest.fixture
def trail(tmp_path):
    records = [
        call("ListRoles", time=START),
        denied(role_arn("A"), time=START + 60),
        denied(role_arn("A"), time=START + 61),
        denied(role_arn("B"), time=START + 62, sourceIPAddress="198.51.100.7"),
        call("UpdateAssumeRolePolicy", time=START + 63, **POLICY),
        denied_update("C", BOB, START + 7200, awsRegion="eu-west-1"),
        denied(role_arn("C"), time=START + 64, errorCode="ThrottlingException"),
        call("GetUser", time=START + 86_400),
    ]
    records = [record | {"eventID": f"{i}"} for i, record in enumerate(records)]
    return write_lines(tmp_path / "trail.jsonl", records)


def test_json_has_every_fact_about_each_principal(trail, tmp_path):
    status, out, _ = run("summary", trail, "--format", "json", cwd=tmp_path)
    alice, bob = map(json.loads, out.splitlines())
    assert status == 0 and alice.pop("principal").endswith("user/alice")
    assert alice == {
        "first": "2026-01-05T10:00:00Z",
        "last": "2026-01-05T10:01:04Z",
        "roles_tried": 2,
        "roles_failed_on": 2,
        "roles_entered": 1,
        "failures": {"AssumeRole": 3},
        "successes": {"UpdateAssumeRolePolicy": 1},
        "discoveries": 1,
        "addresses": {"203.0.113.10": 5, "198.51.100.7": 1},
        "user_agents": {"generated for a test": 6},
        "access_keys": {"AKIAEXAMPLEALICE0000": 6},
        "regions": {"us-east-1": 6},
        "left_out": 0,
        "roles_in_window": 2,
        "burst": False,
        "expected": False,
        "faults": {"ThrottlingException": 1},
        "entered": [f"{ACCOUNT}:role/B"],
        "failed_on": [f"{ACCOUNT}:role/A", f"{ACCOUNT}:role/B"],
        "own_sessions": {},
    }
    assert bob["failures"] == {"UpdateAssumeRolePolicy": 1}
    assert bob["regions"] == {"eu-west-1": 1} and bob["roles_tried"] == 1


def test_csv_and_the_table_say_the_same(trail):
    _, out, _ = run("summary", trail, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["roles_failed_on"] for row in rows] == ["2", "1"]
    assert json.loads(rows[0]["addresses"]) == {"203.0.113.10": 5, "198.51.100.7": 1}
    assert json.loads(rows[0]["entered"]) == [f"{ACCOUNT}:role/B"]
    assert json.loads(rows[1]["failed_on"]) == [f"{ACCOUNT}:role/C"]
    _, out, _ = run("summary", trail)
    assert out.splitlines()[2].split()[:4] == ["2", "2", "1", "alice"]
    assert "AssumeRole: 3 failed, 0 ok" in out and "203.0.113.10 +1" in out
    assert f"entered B in {ACCOUNT}" in out and f"failed on A, B in {ACCOUNT}" in out


def in_width(columns, *arguments):
    """Return the output of a command for a number of columns; 0 leaves COLUMNS unset."""
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
    environment |= {"COLUMNS": str(columns)} if columns else {}
    done = subprocess.run([COMMAND, *arguments], env=environment, capture_output=True, check=True)
    return done.stdout.decode()


@pytest.mark.parametrize("columns", [60, 80, 110, 200, 0])
def test_principals_with_one_name_are_distinguished_at_any_width(columns, tmp_path):
    elsewhere = "210987654321"
    other = BOB | {"arn": f"arn:aws:iam::{elsewhere}:user/bob", "accountId": elsewhere}
    callers = [BOB, other, identity(PrincipalKind.ROLE, "bob", "x"), WORKFLOW]
    records = [
        denied(role_arn("A"), who, time=START + i, eventID=str(i)) for i, who in enumerate(callers)
    ]
    records[-1] |= {"eventName": "AssumeRoleWithWebIdentity"}
    records[-1] |= {"requestParameters": {"roleArn": role_arn("A")}}
    trail = write_lines(tmp_path / "t.jsonl", records)
    out = "".join(
        in_width(columns, "summary", trail, "--content", CONTENT).split()
    )  # a name may take several lines
    names = [f"(IAMuser,{ACCOUNT})", f"(IAMuser,{elsewhere})", f"(role,{ACCOUNT})"]
    assert all(f"bob{name}" in out for name in names)
    assert "repo:o/r:ref:refs/heads/main(token.actions.githubusercontent.com" in out


def test_other_ways_in_are_counted_and_uncounted_calls_are_named(tmp_path):
    records = [
        call("AssumeRoot", requestParameters={"targetPrincipal": "222222222222"}),
        call("GetSessionToken"),
        call("AssumeRole", {"type": "AWSService", "invokedBy": "lambda.amazonaws.com"}),
        call("AssumeRole", {"type": "Unknown"}),
    ]
    source = {"eventSource": "sts.amazonaws.com"}
    records = [record | source | {"eventID": str(i)} for i, record in enumerate(records)]
    trail = write_lines(tmp_path / "t.jsonl", records)
    _, out, _ = run("summary", trail)
    assert "AssumeRoot: 0 failed, 1 ok" in out and "the root user in 222222222222" in out
    assert "GetSessionToken (rights of its own, no role): 1 ok" in out
    said = " ".join(out.split())
    assert "Not looked at: console sign-ins" in said
    others = "1 call on roles by AWS services, 1 call on roles that name no caller"
    assert f"not counted: {others}" in said
    _, out, err = run("summary", trail, "--format", "json")
    (alice,) = map(json.loads, out.splitlines())
    assert alice["entered"] == ["222222222222:root"]
    assert alice["own_sessions"] == {"GetSessionToken": 1}
    assert "Not looked at: " in err
    assert "Not looked at: " not in run("summary", trail, "--format", "json", "-q")[2]


def test_one_worker_and_several_give_the_same_summary(tmp_path):
    trail = simulated(tmp_path / "trail", succeed=2, ordinary=40)
    assert len([path for path in trail.rglob("*") if path.is_file()]) > 10
    outs = [run("summary", trail, "--format", "json", "--workers", n)[:2] for n in (1, 2)]
    assert outs[0] == outs[1] and outs[0][0] == 0
    assert (
        f"{ACCOUNT}:role/DeployOperatorRole" in json.loads(outs[0][1].splitlines()[0])["failed_on"]
    )


def test_the_summary_counts_only_the_period_and_continues_after_a_broken_file(trail, tmp_path):
    (tmp_path / "broken.json").write_text('{"Records": [7]}')
    arguments = ["--from", "2026-01-05T11:00", "--format", "json"]
    status, out, err = run("summary", tmp_path, *arguments)
    assert status == 1 and "broken.json, record 1" in " ".join(err.split())
    assert [json.loads(line)["principal"][-3:] for line in out.splitlines()] == ["bob"]


def test_the_summary_says_if_nobody_tried_a_role(tmp_path):
    trail = write_lines(tmp_path / "t.jsonl", [call("GetUser")])
    status, out, _ = run("summary", trail)
    base, answer, limits = out.splitlines()
    assert status == 0 and answer == "nobody tried a role or listed roles"
    assert limits.startswith("Not looked at: ")
    assert base.startswith("read 1 record in 1 file, ")
