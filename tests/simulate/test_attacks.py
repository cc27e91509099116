"""Generated attacks: what each option adds, in the shapes that AWS records."""

import re
import shlex
from random import Random

import pytest
from typer.testing import CliRunner

from local_panther.cli import app
from local_panther.simulate.identities import ACCOUNT, PrincipalKind
from local_panther.simulate.scenario import Api, Scenario, attack
from tests.builders.events import REPO, START, role_arn
from tests.builders.replays import replayed, simulated

ADMIN = role_arn("FullAdminRole")
EVERYTHING = {"succeed": 2, "follow_up": True, "owners": True, "blocklisted": ADMIN}


def records(**fields):
    return list(attack(Scenario(start=START, **fields), Random(1)))


def named(found, name):
    return [record for record in found if record["eventName"] == name]


def issued_key(entry):
    return entry["responseElements"]["credentials"]["accessKeyId"]


@pytest.mark.parametrize("kind", PrincipalKind)
def test_all_records_say_that_they_are_generated_and_are_in_order(kind):
    for api in Api:
        found = records(principal=kind, api=api, console=True, **EVERYTHING)
        assert all("generated-by/local-panther-simulate" in r["userAgent"] for r in found)
        times = [record["eventTime"] for record in found]
        assert times == sorted(times)
        assert len({record["eventID"] for record in found}) == len(found)


def test_a_fan_out_tries_one_name_in_many_other_accounts():
    found = [r for r in records(roles=1, accounts=12) if r.get("errorCode")]
    targets = {record["errorMessage"].rpartition("resource: ")[2] for record in found}
    assert len(targets) == len(found) == 12
    assert {target.rpartition("/")[2] for target in targets} == {"BillingAdminRole"}
    assert not any(ACCOUNT in target for target in targets)


def test_a_fan_out_is_distinguished_from_a_search(tmp_path):
    (incident,) = replayed(simulated(tmp_path / "trail", roles=1, accounts=12)).incidents
    assert "1 role name in 12 accounts" in incident.sentence


def test_a_trust_policy_is_changed_and_the_role_entered_only_if_sessions_are_used():
    options = {"api": Api.UPDATE_TRUST_POLICY, "succeed": 1}
    changed = records(**options)
    updates = named(changed, "UpdateAssumeRolePolicy")
    (change,) = (record for record in updates if not record.get("errorCode"))
    assert change["requestParameters"]["roleName"] and "mallory" in str(change["requestParameters"])
    assert not named(changed, "AssumeRole")
    followed = records(follow_up=True, **options)
    entry = named(followed, "AssumeRole")[0]
    role = entry["requestParameters"]["roleArn"].rpartition("/")[2]
    assert role == change["requestParameters"]["roleName"]


@pytest.mark.parametrize(("follow_up", "word"), [(False, "CHANGED"), (True, "ENTERED")])
def test_the_verdict_distinguishes_a_changed_trust_policy_from_a_session(tmp_path, follow_up, word):
    options = {"api": Api.UPDATE_TRUST_POLICY, "succeed": 1, "follow_up": follow_up}
    (incident,) = replayed(simulated(tmp_path / "trail", **options)).incidents
    assert incident.sentence.startswith(word) and incident.severity == "CRITICAL"


def test_sessions_are_used_with_the_keys_that_were_issued():
    found = records(succeed=2, follow_up=True)
    entries = [r for r in named(found, "AssumeRole") if not r.get("errorCode")]
    keys = {issued_key(entry) for entry in entries}
    created = [record["responseElements"] for record in named(found, "CreateAccessKey")]
    keys |= {response["accessKey"]["accessKeyId"] for response in created}
    assert len(keys) == 6  # each of two sessions creates a key and assumes another role
    used = {record["userIdentity"]["accessKeyId"] for record in found}
    assert keys < used
    sessions = [r["userIdentity"] for r in found if r["userIdentity"]["type"] == "AssumedRole"]
    assert {who["sessionContext"]["sourceIdentity"] for who in sessions} == {"mallory"}


def test_a_session_in_another_account_is_recorded_there(tmp_path):
    found = records(roles=1, accounts=12, succeed=1, follow_up=True)
    (secret,) = named(found, "GetSecretValue")
    assert secret["recipientAccountId"] == secret["userIdentity"]["accountId"] != ACCOUNT
    simulated(tmp_path / "trail", roles=1, accounts=12, succeed=1, follow_up=True)
    folders = {path.name for path in (tmp_path / "trail" / "AWSLogs").iterdir()}
    assert folders == {ACCOUNT, secret["recipientAccountId"]}


def test_denied_calls_have_no_parameters_and_no_resources():
    for record in records(console=True, **EVERYTHING):
        if record.get("errorCode") == "AccessDenied":
            assert record["requestParameters"] is None and "resources" not in record


def test_the_console_switch_has_two_records_of_the_same_second():
    found = records(roles=1, blocklisted=ADMIN, console=True)
    (switch,) = named(found, "SwitchRole")
    (entry,) = (r for r in named(found, "AssumeRole") if not r.get("errorCode"))
    assert switch["eventTime"] == entry["eventTime"] and switch["eventType"] == "AwsConsoleSignIn"
    assert entry["sourceIPAddress"] == "AWS Internal" != switch["sourceIPAddress"]
    assert switch["additionalEventData"]["SwitchFrom"] == entry["userIdentity"]["arn"]
    assert switch["userIdentity"]["arn"] == entry["responseElements"]["assumedRoleUser"]["arn"]


def test_owners_assume_every_role_that_is_tried_without_an_alert(tmp_path):
    found = records(owners=True)
    tried = {r["errorMessage"].rpartition("/")[2] for r in found if r.get("errorCode")}
    owned = {
        r["requestParameters"]["roleArn"].rpartition("/")[2]
        for r in named(found, "AssumeRole")
        if not r.get("errorCode")
    }
    assert tried == owned and len(tried) == 12
    outcome = replayed(simulated(tmp_path / "trail", owners=True), include_disabled=True)
    assert [incident.principal for incident in outcome.incidents] == [
        f"arn:aws:iam::{ACCOUNT}:user/mallory"
    ]


PAGE = (REPO / "docs" / "commands" / "simulate.md").read_text()
ATTACKERS = re.findall(r"^\| [^|]+ \| `(local-panther simulate [^|]+)` \| ([^|]+) \|$", PAGE, re.M)


@pytest.mark.long
@pytest.mark.parametrize(("command", "alerts"), ATTACKERS)
def test_each_attacker_on_the_page_alerts_as_stated(tmp_path, monkeypatch, command, alerts):
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split(command)[1:]
    assert CliRunner().invoke(app, [*arguments, "--background", "50"]).exit_code == 0
    incidents = replayed(tmp_path / arguments[1]).incidents
    severities, _, words = alerts.partition(": ")
    if severities == "three times High":
        assert [incident.severity for incident in incidents] == ["HIGH"] * 3
        return
    (incident,) = incidents
    found = [alert.severity.capitalize() for alert in incident.alerts[::-1]]
    assert ", ".join(found) == severities and words in incident.sentence


def test_the_page_has_attackers():
    assert len(ATTACKERS) == 9
