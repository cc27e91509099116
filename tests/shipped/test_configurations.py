"""The package configured as README says: its alerts change as expected.

`make test-configured` runs the other tests in copies with the same configurations.
"""

import json
from collections import defaultdict
from typing import NamedTuple

import pytest

from local_panther.simulate.identities import PrincipalKind, identity
from tests.builders.configurations import CONFIGURATIONS, shipped
from tests.builders.events import START, burst, call, denied, role_arn, user
from tests.builders.replays import replayed

BUILD_RUNNER = identity(PrincipalKind.ROLE, "BuildRunnerRole", "job-1")
DANA = identity(PrincipalKind.SSO, "dana@example.com", "")
SCANNER = identity(PrincipalKind.ROLE, "InventoryScannerRole", "scan")
OKTA = [identity(PrincipalKind.ROLE, "OktaSSO-Dev", f"p{i}@example.com") for i in range(20)]
ROTATING = [identity(PrincipalKind.ROLE, "AgentRole", f"s-{i}") for i in range(20)]
FRANK = {"type": "AWSAccount", "principalId": "AIDAEXAMPLEFRANK00001", "accountId": "111122223333"}
ERIN = {"type": "SAMLUser", "userName": "erin", "identityProvider": "generated for a test"}
FULL_ADMIN = role_arn("FullAdminRole")
ORDINARY = role_arn("Ordinary")
BILLING = "arn:aws:iam::111122223333:role/BillingAdmin"

SEARCH = ("AWS.CloudTrail.RoleSearch", "HIGH")
SUCCESS = ("AWS.CloudTrail.RoleEscalationSucceeded", "CRITICAL")
BLOCKLISTED = ("AWS.CloudTrail.IAMAssumeRoleBlacklistIgnored", "HIGH")


class Change(NamedTuple):
    """Records of one principal, and its alerts as shipped and as configured."""

    records: list[dict]
    before: tuple = ()
    after: tuple = ()


def search(who, count, step):
    return [call("ListRoles", who, START - 60), *burst(count, who, step=step)]


def assumed(who, arn, name="AssumeRole", time=START):
    source = {"eventSource": "sts.amazonaws.com"}
    return [call(name, who, time, requestParameters={"roleArn": arn}, **source)]


def each_one_role(callers):
    """Return a listing by the first caller, and one denied role for each caller."""
    tries = [denied(role_arn(f"Role{i:02}"), who, START + i) for i, who in enumerate(callers)]
    return [call("ListRoles", callers[0], START - 60), *tries]


def theft(who):
    return [*search(who, 20, step=10), *assumed(who, role_arn("Role05"), time=START + 600)]


# Changes by configuration, then by the principal as alerts name it
USER = "arn:aws:iam::123456789012:user/"
ROLE = "arn:aws:iam::123456789012:role/"
CHANGES = {
    "five": {
        f"{USER}five": Change(search(user("five"), 5, step=60), (), (SEARCH,)),
        f"{USER}four": Change(search(user("four"), 4, step=60)),
    },
    "window": {
        f"{USER}slow": Change(search(user("slow"), 10, step=1200), (), (SEARCH,)),
        f"{USER}slower": Change(search(user("slower"), 10, step=1601)),
        f"{USER}thief": Change(theft(user("thief")), (SUCCESS, SEARCH), (SUCCESS, SEARCH)),
        "arn:aws:iam::123456789012:role/BuildRunnerRole": Change(
            theft(BUILD_RUNNER), (SUCCESS, SEARCH), ()
        ),
    },
    "arns": {
        f"{USER}shipped": Change(assumed(user("shipped"), FULL_ADMIN), (), (BLOCKLISTED,)),
        f"{USER}added": Change(assumed(user("added"), BILLING), (), (BLOCKLISTED,)),
        f"{USER}other": Change(assumed(user("other"), ORDINARY)),
        "identity-center:dana@example.com": Change(assumed(DANA, BILLING), (), (BLOCKLISTED,)),
        "erin": Change(assumed(ERIN, BILLING, "AssumeRoleWithSAML"), (), (BLOCKLISTED,)),
        "arn:aws:iam::123456789012:role/BuildRunnerRole": Change(assumed(BUILD_RUNNER, BILLING)),
    },
    "any": {
        f"{USER}is-in": Change(assumed(user("is-in"), FULL_ADMIN), (), (BLOCKLISTED,)),
        f"{USER}ends": Change(
            assumed(user("ends"), role_arn("OrganizationAccountAccessRole", "555566667777")),
            (),
            (BLOCKLISTED,),
        ),
        f"{USER}contains": Change(
            assumed(user("contains"), role_arn("break-glass/Operator")), (), (BLOCKLISTED,)
        ),
        f"{USER}starts": Change(
            assumed(user("starts"), role_arn("Any", "888877776666")), (), (BLOCKLISTED,)
        ),
        f"{USER}other": Change(assumed(user("other"), ORDINARY)),
        "identity-center:dana@example.com": Change(assumed(DANA, FULL_ADMIN)),
    },
    "shown": {
        f"{ROLE}InventoryScannerRole": Change(theft(SCANNER), (SEARCH, SUCCESS), ()),
        "identity-center:dana@example.com": Change(
            [*theft(DANA), *assumed(DANA, FULL_ADMIN, time=START + 700)],
            (SEARCH, SUCCESS),
            (BLOCKLISTED,),
        ),
        f"{ROLE}OktaSSO-Dev": Change(each_one_role(OKTA), (SEARCH,), ()),
        f"{ROLE}AgentRole": Change(each_one_role(ROTATING), (SEARCH,), (SEARCH,)),
        "erin": Change(assumed(ERIN, FULL_ADMIN, "AssumeRoleWithSAML"), (), (BLOCKLISTED,)),
        FRANK["principalId"]: Change(assumed(FRANK, FULL_ADMIN), (), (BLOCKLISTED,)),
        f"{USER}ends": Change(
            assumed(user("ends"), role_arn("OrganizationAccountAccessRole")), (), (BLOCKLISTED,)
        ),
    },
    "sessions": {
        f"{ROLE}AgentRole": Change(each_one_role(ROTATING), (SEARCH,), ()),
        f"{ROLE}BuildRunnerRole": Change(search(BUILD_RUNNER, 20, step=10), (SEARCH,), ()),
        BUILD_RUNNER["arn"]: Change([], (), (SEARCH,)),
    },
}


def alerts(changes, content, tmp_path):
    """Replay the records of all principals and return the alerts of each."""
    trail = tmp_path / "trail.jsonl"
    records = [record for change in changes.values() for record in change.records]
    lines = (json.dumps(record | {"eventID": f"e-{i}"}) for i, record in enumerate(records))
    trail.write_text("\n".join(lines))
    outcome = replayed(trail, content=content)
    assert outcome.complete
    found = defaultdict(list)
    for alert in outcome.alerts:
        principal = alert.match_value or alert.context["principal"]
        found[principal].append((alert.metadata.rule_id, alert.severity))
    return {principal: tuple(sorted(kinds)) for principal, kinds in found.items()}


# Configurations that change who is a principal: test_configured_principals.py has their tests.
OF_PRINCIPALS = ("shown", "sessions")


def assert_alerts_change(name, content_copy, tmp_path):
    changes = CHANGES[name]
    shipped(content_copy)
    before = {
        principal: tuple(sorted(change.before))
        for principal, change in changes.items()
        if change.before
    }
    assert alerts(changes, content_copy, tmp_path) == before
    CONFIGURATIONS[name](content_copy)
    after = {
        principal: tuple(sorted(change.after))
        for principal, change in changes.items()
        if change.after
    }
    assert alerts(changes, content_copy, tmp_path) == after


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in CONFIGURATIONS if name not in OF_PRINCIPALS])
def test_alerts_change_as_configured(content_copy, tmp_path, name):
    assert_alerts_change(name, content_copy, tmp_path)
