"""`local-panther summary`: what each principal did with roles."""

import csv
import io
import json

import pytest

from local_panther.simulate.identities import PrincipalKind, identity
from tests.builders.content import write_lines
from tests.builders.events import START, call, denied, denied_update, role_arn
from tests.cli.test_command_line import run

BOB = identity(PrincipalKind.USER, "bob", "")
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


def test_has_everything_of_each_principal(trail, tmp_path):
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
    }
    assert bob["failures"] == {"UpdateAssumeRolePolicy": 1}
    assert bob["regions"] == {"eu-west-1": 1} and bob["roles_tried"] == 1


def test_csv_and_the_table_say_the_same(trail):
    _, out, _ = run("summary", trail, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["roles_failed_on"] for row in rows] == ["2", "1"]
    assert json.loads(rows[0]["addresses"]) == {"203.0.113.10": 5, "198.51.100.7": 1}
    _, out, _ = run("summary", trail)
    assert [line.split()[0] for line in out.splitlines()][2] == "alice"
    assert "AssumeRole: 3 failed, 0 ok" in out and "203.0.113.10 +1" in out


def test_counts_the_period_only_and_reads_on_past_what_is_broken(trail, tmp_path):
    (tmp_path / "broken.json").write_text('{"Records": [7]}')
    arguments = ["--from", "2026-01-05T11:00", "--format", "json"]
    status, out, err = run("summary", tmp_path, *arguments)
    assert status == 1 and "broken.json, record 1" in " ".join(err.split())
    assert [json.loads(line)["principal"][-3:] for line in out.splitlines()] == ["bob"]


def test_says_so_if_nobody_tried_a_role(tmp_path):
    trail = write_lines(tmp_path / "t.jsonl", [call("GetUser")])
    status, out, _ = run("summary", trail)
    base, answer = out.splitlines()
    assert status == 0 and answer == "nobody tried a role or listed roles"
    assert base.startswith("read 1 record in 1 file, ")
