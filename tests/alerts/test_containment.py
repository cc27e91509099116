"""Containment: the printed commands run in a shell, and IAM accepts them."""

import json
import shlex
import subprocess
import sys

import boto3
import pytest
from moto import mock_aws

from local_panther.alerts.containment import containment
from local_panther.roles.facts import role_facts
from local_panther.simulate.identities import PrincipalKind, identity
from tests.builders.alerts import log_of
from tests.builders.events import ALICE, START, call, denied, role_arn
from tests.builders.replays import replayed, simulated

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


def entered(name, time=START, **fields):
    parameters = {"requestParameters": {"roleArn": role_arn(name)}}
    return call("AssumeRole", time=time, eventID=name, **parameters, **fields)


def facts_of(*records):
    return role_facts(log_of(*records), ALICE["arn"], START, START)


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a command and returns the arguments of each call of `aws`."""
    tool = tmp_path / "aws"
    code = "import json, sys\nprint(json.dumps(sys.argv[1:]), file=open('aws.n', 'a'))"
    tool.write_text(f"#!{sys.executable}\n{code}\n")
    tool.chmod(0o755)
    noted = tmp_path / "aws.n"

    def run(command):
        noted.unlink(missing_ok=True)
        path = f"{tmp_path}:/usr/bin:/bin"
        subprocess.run(["sh", "-c", command], env={"PATH": path}, cwd=tmp_path, check=True)
        return [json.loads(line) for line in noted.read_text().splitlines()]

    return run


def options_of(arguments):
    pairs = (argument.removeprefix("--").partition("=") for argument in arguments[2:])
    return {name: value for name, _, value in pairs}


@pytest.mark.process
@mock_aws
def test_a_users_key_is_deactivated_and_the_sessions_of_each_role_end(run):
    iam = boto3.client("iam", region_name="us-east-1")
    iam.create_user(UserName="alice")
    key = iam.create_access_key(UserName="alice")["AccessKey"]["AccessKeyId"]
    for name in ("Ops", "-Data"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    records = [denied(role_arn("A"), eventID="a"), entered("Ops"), entered("-Data")]
    stop, end = containment(ALICE["arn"], [key], facts_of(*records))
    (call_,) = run(stop.commands[0])
    assert call_[:2] == ["iam", "update-access-key"]
    given = options_of(call_)
    iam.update_access_key(
        UserName=given["user-name"], AccessKeyId=given["access-key-id"], Status=given["status"]
    )
    (left,) = iam.list_access_keys(UserName="alice")["AccessKeyMetadata"]
    assert left["Status"] == "Inactive"
    calls = run(end.commands[0])
    assert {options_of(one)["role-name"] for one in calls} == {"Ops", "-Data"}
    for one in calls:
        given = options_of(one)
        policy = json.loads(given["policy-document"])
        issued = policy["Statement"][0]["Condition"]["DateLessThan"]["aws:TokenIssueTime"]
        assert issued.endswith("Z") and issued > "2026-01-05T00:00:00Z"
        iam.put_role_policy(
            RoleName=given["role-name"],
            PolicyName=given["policy-name"],
            PolicyDocument=given["policy-document"],
        )
        assert iam.list_role_policies(RoleName=given["role-name"])["PolicyNames"]


@pytest.mark.process
@pytest.mark.parametrize(
    ("principal", "keys", "begins", "operation"),
    [
        (
            ALICE["arn"],
            ["ASIAEXAMPLE000000001"],
            "Stop user alice: end its sessions",
            "put-user-policy",
        ),
        (role_arn("path/Deploy"), [], "Stop role Deploy: ", "put-role-policy"),
        (
            "arn:aws:sts::123456789012:assumed-role/Deploy/s",
            [],
            "Stop role Deploy: ",
            "put-role-policy",
        ),
        ("identity-center:dana@example.com", [], "Stop dana@example.com: disable the user", ""),
        ("arn:aws:iam::123456789012:root", [], "Stop the root user: ", ""),
        ("arn:aws:sts::123456789012:federated-user/x", [], "Stop arn:", ""),
        ("web-identity:ci.example.com:app", [], "Stop web-identity:ci.example.com:app: ", ""),
    ],
)
def test_each_kind_of_caller_has_its_own_step(run, principal, keys, begins, operation):
    (action,) = containment(principal, keys, None)
    assert action.text.startswith(begins)
    operations = [arguments[1] for command in action.commands for arguments in run(command)]
    assert operations == ([operation] if operation else [])


@pytest.mark.long
@pytest.mark.parametrize("name", ["a;id", "$(id)", "a b", "`id`", "x\ny", "'"])
def test_a_name_that_iam_does_not_allow_is_in_no_command(name):
    assert containment(f"arn:aws:iam::123456789012:user/{name}", [f"AKIA{name}"], None) == ()


def test_a_changed_trust_policy_is_restored_before_sessions_end():
    change = {"requestParameters": {"roleName": "B"}, "eventID": "c"}
    roles = facts_of(call("UpdateAssumeRolePolicy", **change), entered("C", START + 1))
    actions = containment("arn:aws:iam::123456789012:root", [], roles)
    texts = [action.text.partition(" in ")[0] for action in actions[1:]]
    assert texts == [
        "Restore the trust policies it changed",
        "End the sessions of the roles it entered",
    ]
    assert shlex.split(actions[1].commands[0])[-1] == "--role-name=B"


@pytest.mark.process
def test_no_role_is_left_out_however_many_were_entered(run):
    names = [f"Role{number}" for number in range(120)]
    (_, end) = containment(ALICE["arn"], ["AKIAEXAMPLE"], facts_of(*map(entered, names)))
    ended = [options_of(call_)["role-name"] for command in end.commands for call_ in run(command)]
    assert sorted(ended) == sorted(names)


@pytest.mark.long
@pytest.mark.parametrize("kind", PrincipalKind)
def test_each_attacker_of_a_simulation_can_be_stopped_and_looked_for(tmp_path, kind):
    trail = simulated(tmp_path / "t", principal=kind, succeed=1, ordinary=0)
    (incident,) = replayed(trail).incidents
    assert incident.severity == "CRITICAL"
    assert incident.containment[0].text.startswith("Stop ")
    facts = dict(incident.caller.facts)
    assert facts["Caller"] and facts["User agent"]
    identity_ = identity(kind, "mallory", "s")
    assert bool(facts.get("Access key")) == ("accessKeyId" in identity_)


def test_a_low_severity_has_no_containment():
    from local_panther.alerts.incidents import incidents_of
    from tests.builders.alerts import alert

    record = denied(role_arn("A"), eventID="a")
    (incident,) = incidents_of([alert(record, severity="LOW")], log_of(record))
    assert incident.containment == ()
