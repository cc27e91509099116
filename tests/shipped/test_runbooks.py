"""Every step of every runbook can be followed offline with the values of the alert."""

import json
import shlex

import pytest
import yaml
from typer.testing import CliRunner

from local_panther.alerts.runbook import QUOTED, STEP
from local_panther.cli import app
from local_panther.output.commands import source_arguments
from local_panther.simulate.identities import PrincipalKind, identity
from local_panther.times import parse_time
from tests.builders.content import write_lines
from tests.builders.events import REPO, START, call, denied, role_arn, user
from tests.builders.queries import query_specs
from tests.builders.replays import replayed, simulated

SIDECARS = sorted([*REPO.glob("rules/*/*.yml"), *REPO.glob("correlation_rules/*.yml")])
QUERIES = {spec["QueryName"] for spec in query_specs().values()}
HOUR = 3600
BOB = user("bob")


def runbooks():
    """Return the runbooks of all rules by rule ID."""
    specs = [yaml.safe_load(path.read_text()) for path in SIDECARS]
    return {spec["RuleID"]: spec["Runbook"] for spec in specs if "Runbook" in spec}


@pytest.mark.parametrize("rule_id", runbooks())
def test_every_step_that_runs_something_names_an_existing_query(rule_id):
    steps = [step for step in STEP.split(runbooks()[rule_id]) if step.strip()]
    named = [name for step in steps for name in QUOTED.findall(step)]
    unknown = {name for name in named if name.startswith("AWS ") and "Internal" not in name}
    assert len(steps) == 3 and unknown - QUERIES == set()


def around_an_attack(attack):
    """Yield the records around an attack that the queries of the runbooks look for."""
    names = {r["errorMessage"].rsplit("role/")[-1] for r in attack if r.get("errorCode")}
    for success in (record for record in attack if record.get("responseElements")):
        role = success["requestParameters"]["roleArn"].rsplit("/")[-1]
        names.add(role)
        key = success["responseElements"]["credentials"]["accessKeyId"]
        session = identity(PrincipalKind.ROLE, role, "x") | {"accessKeyId": key}
        yield call("GetObject", session, START + HOUR, eventSource="s3.amazonaws.com")
    for name in sorted(names):
        yield call("PutRolePolicy", BOB, START - HOUR, requestParameters={"roleName": name})
        yield denied(role_arn(name), BOB, START + 2 * HOUR)
    caller = success["userIdentity"]
    details = {"SwitchFrom": caller["arn"], "RoleName": role}
    switch = {"eventSource": "signin.amazonaws.com", "additionalEventData": details}
    yield call("SwitchRole", caller, parse_time(success["eventTime"]), **switch)


def fan_out():
    """Yield a fan-out after a listing, and the records around it that the queries look for."""
    who, start = identity(PrincipalKind.ROLE, "Organisation", "s"), START + 8 * HOUR
    yield call("ListRoles", who, start, eventID="fan-out-listing")
    for number in range(40):
        target = role_arn("Reader", f"1111222233{number:02}")
        yield denied(target, who, start + number, eventID=f"fan-out-{number}")
    entered = {
        "requestParameters": {"roleArn": role_arn("Reader", "111122223300")},
        "responseElements": {"credentials": {"accessKeyId": "ASIAEXAMPLE0READER01"}},
    }
    yield call("AssumeRole", who, start + 50, eventID="fan-out-in", **entered)
    session = identity(PrincipalKind.ROLE, "Reader", "x") | {"accessKeyId": "ASIAEXAMPLE0READER01"}
    yield call("GetUser", session, start + 90, eventID="fan-out-session")
    yield denied(role_arn("Reader", "111122223300"), BOB, start - 60, eventID="fan-out-other")
    change = {"requestParameters": {"roleName": "Reader"}, "recipientAccountId": "111122223300"}
    yield call("PutRolePolicy", BOB, start - 60, eventID="fan-out-change", **change)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Replay an alert of every rule that alerts, with the records that their runbooks look for."""
    folder = tmp_path_factory.mktemp("runbooks")
    admin = role_arn("FullAdminRole")
    for name, fields in (
        ("search", {"succeed": 2}),
        ("listed-last", {"principal": PrincipalKind.SSO, "succeed": 1, "discovery_last": True}),
        ("person", {"roles": 1, "blocklisted": admin}),
    ):
        trail = simulated(folder / f"{name}.jsonl", ordinary=0, seed=len(name) + 9, **fields)
        records = [json.loads(line) for line in trail.read_text().splitlines()]
        beside = enumerate(around_an_attack(records))
        write_lines(
            folder / f"{name}-beside.jsonl", [r | {"eventID": f"{name}{i}"} for i, r in beside]
        )
    write_lines(folder / "fan-out.jsonl", fan_out())
    return replayed(folder, include_disabled=True)


@pytest.mark.long
def test_every_command_of_every_alert_finds_something(outcome):
    followed = set()
    for incident in outcome.incidents:
        for alert in incident.alerts:
            for step in incident.steps(alert):
                for query in step.queries:
                    command = query.command(source_arguments(outcome))
                    arguments = [*shlex.split(command)[1:], "--format", "json", "--workers", "1"]
                    done = CliRunner().invoke(app, arguments)
                    assert done.exit_code == 0, (command, done.output)
                    assert done.stdout.strip(), f"{alert.metadata.rule_id}: {command}: no row"
                    followed.add((alert.metadata.rule_id, query.name))
    rules = {rule_id for rule_id, _ in followed}
    expected = {
        (rule_id, name)
        for rule_id, text in runbooks().items()
        if rule_id in rules
        for name in QUOTED.findall(text)
        if name in QUERIES
    }
    assert followed == expected
    assert len(rules) == 5
