"""Calls about roles: the local Panther reads them as the content's helper does."""

from dataclasses import replace
from unittest.mock import patch

import aws_role_activity_helpers as helpers
import aws_role_escalation_config as config
import pytest
from hypothesis import given
from hypothesis import strategies as st
from panther_core.enriched_event import PantherEvent

from local_panther.roles import calls as role_calls
from local_panther.roles.calls import SUCCESS, role_call
from local_panther.roles.log import MAX_CALLS, RoleLog
from local_panther.roles.principals import IDENTITY_CENTER, described, principal_of
from local_panther.roles.settings import shipped_settings
from local_panther.roles.summary import nearest, summaries
from local_panther.simulate.identities import PrincipalKind, identity, service
from tests.builders.events import ALICE, START, call, denied, denied_update, discovery, role_arn

ACCOUNT = "123456789012"


SETTINGS = st.builds(
    replace,
    st.just(shipped_settings()),
    person_role_prefixes=st.sampled_from([(), ("Build",), ("x", "mall"), ("",)]),
    collapse_sessions=st.booleans(),
)


def by_helper(record, settings):
    """Return principal, role, outcome and policy as the content's helper reads them."""
    event = PantherEvent(record)
    given = {
        "COLLAPSE_SESSIONS": settings.collapse_sessions,
        "PERSON_ROLE_PREFIXES": list(settings.person_role_prefixes),
    }
    with patch.multiple(config, **given):
        principal, name = helpers.principal_arn(event), record.get("eventName")
    if name in helpers.DISCOVERIES:
        if principal is None or not helpers.is_role_discovery(event):
            return None
        return principal, "", "discovery", helpers.denying_policy(event) or ""
    if principal is None or record.get("eventSource") != helpers.EVENT_SOURCES.get(name):
        return None
    target = helpers.attempt_target(event)
    outcome = "fault" if helpers.is_failed_call(event) else "success"
    if helpers.is_failed_role_attempt(event):
        outcome = "open" if helpers.is_open(event) else "failure"
    policy = helpers.denying_policy(event) or ""
    return principal, helpers.role_key(target) if target else "", outcome, policy


def by_local_panther(record, settings):
    found = role_call(record, START, settings)
    return found and (found.principal, found.role, found.outcome, found.policy)


NAMES = st.sampled_from(["Admin", "a.b", "x/y", "x y", "", "Admin because", 'q"', "ä", "x" * 70])
TAILS = st.sampled_from(
    [
        *("", " because no", " with an explicit deny", ". Go to https://x", "., see", "\n", ")"),
        " with an explicit deny in a policy: arn:aws:iam::aws:policy/x/Deny. Go to https://x",
        " with an explicit deny in x: arn:aws:organizations::123456789012:policy/o-1/p-2.",
    ]
)
CODES = st.sampled_from(
    [
        *("AccessDenied", "ThrottlingException", "Client.RequestLimitExceeded", "NoSuchEntity"),
        *("UnauthorizedOperation", "Client.UnauthorizedOperation", "MalformedPolicyDocument"),
        *("LimitExceededException", "ConcurrentModification", "Unheard", "", None),
    ]
)
WHO = st.sampled_from(
    [
        *(identity(kind, "mallory@example.com", "s-1") for kind in PrincipalKind),
        service("lambda.amazonaws.com"),
        {},
        {"arn": 5},
        {"type": "AssumedRole", "arn": " "},
        {"type": "AssumedRole", "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/R/s"},
        {"type": "AWSAccount", "accountId": ACCOUNT, "principalId": "AIDAEXAMPLE"},
        {"type": "WebIdentityUser", "userName": " app ", "identityProvider": "ci.example.com"},
        {"type": "WebIdentityUser", "userName": "app"},
    ]
)
PARAMETERS = st.one_of(
    st.none(),
    st.builds(lambda name: {"roleArn": role_arn(name)}, NAMES),
    st.builds(lambda name: {"roleName": name}, NAMES),
    st.builds(lambda name: {"roleName": role_arn(name)}, NAMES),
    st.just({"roleArn": ["x"], "roleName": {}}),
    st.just("text"),
)
RECORDS = st.builds(
    lambda make, name, who, tail, code, given: make(
        name, who, tail, {"errorCode": code, "requestParameters": given}
    ),
    st.sampled_from(
        [
            lambda name, who, tail, fields: denied(role_arn(name), who, tail=tail, **fields),
            lambda name, who, tail, fields: denied_update(name + tail, who, **fields),
            lambda name, who, tail, fields: (
                denied_update("x", who, **fields)
                | {"errorMessage": f"User: a is not authorized to perform: b:C on resource: {name}"}
            ),
            lambda name, who, tail, fields: call("AssumeRole", who, **fields),
            lambda name, who, tail, fields: (
                call("AssumeRole", who, **fields)
                | {"errorMessage": f"{helpers.TOO_LONG_SESSION}{tail}"}
            ),
            lambda name, who, tail, fields: (
                call("AssumeRole", who, **fields) | {"eventName": "AssumeRoleWithWebIdentity"}
            ),
            lambda name, who, tail, fields: call("ListRoles", who, **fields),
            lambda name, who, tail, fields: discovery("ListResources", who),
            lambda name, who, tail, fields: call("ListDiscoveredResources", who, **fields),
            lambda name, who, tail, fields: call("GetUser", who, **fields),
            lambda name, who, tail, fields: call("AssumeRole", who) | {"eventSource": "x"},
        ]
    ),
    NAMES,
    WHO,
    TAILS,
    CODES,
    PARAMETERS,
)


@given(RECORDS, SETTINGS)
def test_a_call_is_read_as_the_helper_of_the_content_reads_it(record, settings):
    assert by_local_panther(record, settings) == by_helper(record, settings)


@pytest.mark.parametrize("collapse", [True, False])
def test_recorded_calls_are_read_as_the_helper_of_the_content_reads_them(recorded_events, collapse):
    settings = replace(shipped_settings(), collapse_sessions=collapse)
    found = [by_local_panther(event.to_dict(), settings) for event in recorded_events]
    assert found == [by_helper(event.to_dict(), settings) for event in recorded_events]
    assert sum(entry is not None for entry in found) > 20


def test_the_helper_and_the_local_panther_have_the_same_constants():
    assert frozenset(helpers.REFUSED) == role_calls.REFUSED
    assert helpers.REFUSED_BEGINNINGS == role_calls.REFUSED_BEGINNINGS
    assert frozenset(helpers.AFTER_AUTHORISATION) == role_calls.AFTER_AUTHORISATION
    assert helpers.TOO_LONG_SESSION == role_calls.TOO_LONG_SESSION
    assert (helpers.POLICY, helpers.QUARANTINE) == (role_calls.POLICY, role_calls.QUARANTINE)
    assert helpers.EVENT_SOURCES | helpers.DISCOVERIES == role_calls.SOURCES
    assert helpers.LISTED_TYPES == role_calls.LISTED_TYPES
    assert helpers.TYPE_OF_ROLES == role_calls.TYPE_OF_ROLES
    assert helpers.IDENTITY_CENTER == IDENTITY_CENTER


OIDC = f"arn:aws:iam::{ACCOUNT}:oidc-provider"
HOST = "token.actions.githubusercontent.com"
EKS = "oidc.eks.us-east-1.amazonaws.com/id/EXAMPLE0"


@pytest.mark.parametrize(
    ("principal", "shown"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/team/mallory", f"mallory (IAM user, {ACCOUNT})"),
        (f"arn:aws-cn:iam::{ACCOUNT}:role/x/Build", f"Build (role, {ACCOUNT})"),
        (f"arn:aws:iam::{ACCOUNT}:root", f"root (root user, {ACCOUNT})"),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/R/alice", f"R/alice (role session, {ACCOUNT})"),
        (f"arn:aws:sts::{ACCOUNT}:federated-user/bob", f"bob (federated user, {ACCOUNT})"),
        ("identity-center:alice@example.com", "alice@example.com (Identity Center)"),
        (
            f"web-identity:{OIDC}/{HOST}:repo:o/r:ref:refs/heads/main",
            f"repo:o/r:ref:refs/heads/main ({HOST}, {ACCOUNT})",
        ),
        (
            f"web-identity:{OIDC}/{EKS}:system:serviceaccount:a:b",
            f"system:serviceaccount:a:b ({EKS}, {ACCOUNT})",
        ),
        ("web-identity:accounts.google.com:1234", "1234 (accounts.google.com)"),
        (f"saml:arn:aws:iam::{ACCOUNT}:saml-provider/idp:carol", f"carol (SAML, idp, {ACCOUNT})"),
        ("saml::carol", "carol (SAML)"),
        ("roles-anywhere:CN=build", "CN=build (Roles Anywhere)"),
        ("roles-anywhere:", "certificate (Roles Anywhere)"),
        ("lambda.amazonaws.com", "lambda.amazonaws.com"),
        ("arn:aws:s3:::bucket", "arn:aws:s3:::bucket"),
    ],
)
def test_a_principal_has_a_readable_form(principal, shown):
    assert described(principal) == shown


@pytest.mark.parametrize(
    ("who", "principal"),
    [
        (service("lambda.amazonaws.com"), "lambda.amazonaws.com"),
        ({"type": "SAMLUser", "userName": "alice"}, "alice"),
        ({"type": "AWSAccount", "principalId": "AIDAX", "accountId": ACCOUNT}, "AIDAX"),
        (None, ""),
        ([], ""),
        ({}, ""),
    ],
)
def test_callers_without_an_arn_have_another_name(who, principal):
    assert principal_of(who, shipped_settings()) == principal


class TestLog:
    def test_the_log_finds_calls_by_role_and_by_session(self):
        log = RoleLog(replace(shipped_settings(), collapse_sessions=True))
        for number, session in enumerate(["s-1", "s-2", "s-1"]):
            who = identity(PrincipalKind.ROLE, "Build", session)
            log.add(denied(role_arn("A"), who, START + number), START + number)
        assert len(log.of(role_arn("Build"))) == 3
        assert len(log.of(f"arn:aws:sts::{ACCOUNT}:assumed-role/Build/s-1")) == 2
        assert log.of(ALICE["arn"]) == [] and ALICE["arn"] not in log

    def test_the_log_returns_calls_in_order_of_time(self):
        log = RoleLog()
        for offset in (5, 1, 3, 2):
            log.add(denied(role_arn("A"), time=START + offset), START + offset)
        times = [START + offset for offset in (1, 2, 3, 5)]
        assert [found.time for found in log.of(ALICE["arn"])] == times

    def test_the_log_returns_the_latest_calls_of_a_flood_and_counts_the_others(self):
        log = RoleLog()
        for number in range(MAX_CALLS + 7):
            log.add(denied(role_arn("A")), START + number)
        assert len(log.of(ALICE["arn"])) == MAX_CALLS
        assert log.left_out == {ALICE["arn"]: 7}
        assert log.of(ALICE["arn"])[0].time == START + 7
        assert log.of(ALICE["arn"], START + 9, START + 10) == log.of(ALICE["arn"])[2:4]

    def test_the_log_returns_a_success_before_a_flood_of_failures(self):
        log = RoleLog()
        success = call("AssumeRole", requestParameters={"roleArn": role_arn("In")})
        log.add(success, START)
        for number in range(MAX_CALLS + 7):
            log.add(denied(role_arn("A")), START + 1 + number)
        assert log.of(ALICE["arn"])[0].outcome == SUCCESS
        assert log.left_out == {ALICE["arn"]: 7}

    def test_the_log_returns_calls_of_a_session_despite_a_flood_of_its_role(self):
        log = RoleLog()
        mine, other = (identity(PrincipalKind.ROLE, "Build", name) for name in ("s-1", "s-2"))
        log.add(denied(role_arn("A"), mine), START)
        for number in range(MAX_CALLS + 7):
            log.add(denied(role_arn("A"), other), START + 1 + number)
        assert [found.time for found in log.of(mine["arn"])] == [START]


def test_principals_that_failed_on_the_most_roles_are_nearest_to_an_alert():
    log = RoleLog()
    for number in range(40):
        who = {**ALICE, "arn": f"arn:aws:iam::123456789012:user/user-{number}"}
        for role in range(number % 7):
            log.add(denied(role_arn(f"Role{role}"), who, START + role), START + role)
    found = nearest(log, 10)
    assert found == [summary for summary in summaries(log) if summary.failed][:10]
    assert [len(summary.failed) for summary in found] == [6] * 5 + [5] * 5
