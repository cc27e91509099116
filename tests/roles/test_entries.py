"""Ways into a role other than AssumeRole: principal, role and outcome of each."""

from dataclasses import replace

import pytest

from local_panther.records.trail import Trail
from local_panther.roles.calls import FAILURE, FAULT, OWN_SESSION, SUCCESS
from local_panther.roles.entries import (
    BY_NOBODY,
    BY_SERVICES,
    entry_call,
    passed_over,
)
from local_panther.roles.principals import described, names_apart
from local_panther.roles.settings import shipped_settings
from local_panther.roles.summary import summarised
from local_panther.simulate.identities import PrincipalKind, identity
from tests.builders.content import write_lines
from tests.builders.events import ACCOUNT, ALICE, REPO, START, call, denied, role_arn

CASES = REPO.parent / "shared" / "cases" / "inputs"
SETTINGS = replace(shipped_settings(), collapse_sessions=True, person_role_prefixes=())
PROD = f"{ACCOUNT}:role/Prod"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:saml-provider/idp"
PORTAL_ROLE = f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0a"
TRUST_ANCHOR = f"arn:aws:rolesanywhere:us-east-1:{ACCOUNT}:trust-anchor/a"
SAML_USER = {"type": "SAMLUser", "userName": "carol", "identityProvider": "hash="}
REFUSED = {"errorCode": "AccessDenied", "errorMessage": "Not authorized"}


def of_sts(api, who=ALICE, **more):
    return call(api, who, eventSource="sts.amazonaws.com", **more)


def saml(role=f"arn:aws:iam::{ACCOUNT}:role/Prod", **more):
    parameters = {"roleArn": role, "principalArn": PROVIDER}
    return of_sts("AssumeRoleWithSAML", SAML_USER, requestParameters=parameters, **more)


def root(target, **more):
    return of_sts("AssumeRoot", requestParameters={"targetPrincipal": target}, **more)


def session(api="CreateSession", *, name="CN=build", source="rolesanywhere", **more):
    return call(
        api,
        {"type": "Unknown", "arn": "", "principalId": "", "accountId": ACCOUNT},
        eventSource=f"{source}.amazonaws.com",
        requestParameters={"roleArn": role_arn("path/Prod"), "trustAnchorArn": TRUST_ANCHOR},
        responseElements={"credentialSet": [{"sourceIdentity": name}]},
        **more,
    )


def portal(**identity_of_person):
    return call(
        "GetRoleCredentials",
        {"type": "IdentityCenterUser", "accountId": "111122223333", **identity_of_person},
        eventSource="sso.amazonaws.com",
        serviceEventDetails={"role_name": "Admin", "account_id": ACCOUNT},
    )


def switch(**more):
    given = {
        "eventSource": "signin.amazonaws.com",
        "additionalEventData": {"SwitchFrom": ALICE["arn"]},
        "responseElements": {"SwitchRole": "Success"},
    }
    return call("SwitchRole", identity(PrincipalKind.ROLE, "Prod", "al"), **given | more)


def failed_switch(**details):
    more = {"errorMessage": "Invalid information in one or more fields"}
    details = {"SwitchFrom": ALICE["arn"], **details}
    return switch(responseElements={"SwitchRole": "Failure"}, additionalEventData=details) | more


SWITCHED_BY_A_SESSION = {"SwitchFrom": f"arn:aws:sts::{ACCOUNT}:assumed-role/Jump/bob"}


@pytest.mark.parametrize(
    ("record", "who", "target", "outcome"),
    [
        (saml(), f"carol (SAML, idp, {ACCOUNT})", PROD, SUCCESS),
        (saml(**REFUSED), f"carol (SAML, idp, {ACCOUNT})", PROD, FAILURE),
        (saml(errorCode="ExpiredToken"), f"carol (SAML, idp, {ACCOUNT})", PROD, FAULT),
        (
            saml(PORTAL_ROLE),
            "carol (Identity Center)",
            f"{ACCOUNT}:role/AWSReservedSSO_Admin_0a",
            SUCCESS,
        ),
        (root("222222222222"), f"alice (IAM user, {ACCOUNT})", "222222222222:root", SUCCESS),
        (
            root("arn:aws:iam::222222222222:root", **REFUSED),
            f"alice (IAM user, {ACCOUNT})",
            "222222222222:root",
            FAILURE,
        ),
        (session(), "CN=build (Roles Anywhere)", PROD, SUCCESS),
        (session(name=None), f"{TRUST_ANCHOR} (Roles Anywhere)", PROD, SUCCESS),
        (
            portal(onBehalfOf={"userId": "0123-id"}),
            "0123-id (Identity Center)",
            f"{ACCOUNT}:permission-set/Admin",
            SUCCESS,
        ),
        (
            portal(userName="carol"),
            "carol (Identity Center)",
            f"{ACCOUNT}:permission-set/Admin",
            SUCCESS,
        ),
        (switch(), f"alice (IAM user, {ACCOUNT})", PROD, SUCCESS),
        (
            switch(additionalEventData=SWITCHED_BY_A_SESSION),
            f"Jump (role, {ACCOUNT})",
            PROD,
            SUCCESS,
        ),
        (
            failed_switch(RoleName="Other"),
            f"alice (IAM user, {ACCOUNT})",
            f"{ACCOUNT}:role/Other",
            FAILURE,
        ),
        (failed_switch(), f"alice (IAM user, {ACCOUNT})", PROD, FAILURE),
        (of_sts("GetSessionToken"), f"alice (IAM user, {ACCOUNT})", "", OWN_SESSION),
        (of_sts("GetFederationToken"), f"alice (IAM user, {ACCOUNT})", "", OWN_SESSION),
        (of_sts("GetFederationToken", **REFUSED), f"alice (IAM user, {ACCOUNT})", "", FAILURE),
        (
            call("AssumeRole", requestParameters={"roleArn": role_arn("Prod")}),
            f"alice (IAM user, {ACCOUNT})",
            PROD,
            SUCCESS,
        ),
    ],
)
def test_each_way_in_has_its_principal_role_and_outcome(record, who, target, outcome):
    found = entry_call(record, START, SETTINGS)
    assert (described(found.principal), found.role, found.outcome) == (who, target, outcome)


@pytest.mark.parametrize(
    "record",
    [
        session(source="s3express"),
        call("GetRoleCredentials", eventSource="cognito-identity.amazonaws.com"),
        call("ConsoleLogin", eventSource="signin.amazonaws.com"),
        root("222222222222") | {"userIdentity": {"type": "AWSService"}},
        root("222222222222") | {"userIdentity": None},
        portal(),
        call("AssumeRole", {"type": "AWSAccount"}),
        {},
    ],
)
def test_other_calls_and_callers_without_a_name_are_not_entries(record):
    assert entry_call(record, START, SETTINGS) is None


@pytest.mark.parametrize("field", ["userIdentity", "requestParameters", "responseElements"])
@pytest.mark.parametrize("value", [None, [], "x", {"roleArn": 7, "credentialSet": [7], "arn": {}}])
@pytest.mark.parametrize("record", [saml(), root("x"), session(), portal(), switch()])
def test_no_field_of_a_wrong_type_raises(record, field, value):
    entry_call(record | {field: value}, START, SETTINGS)
    passed_over(record | {field: value})


@pytest.mark.parametrize(
    ("record", "who"),
    [
        (call("AssumeRole", {"type": "AWSService", "invokedBy": "x"}), BY_SERVICES),
        (root("222222222222") | {"userIdentity": {"type": "AWSAccount"}}, BY_NOBODY),
        (call("AssumeRole", {"type": "Unknown"}), BY_NOBODY),
        (call("AssumeRole", {"type": "AWSAccount"}), BY_NOBODY),
        (portal(), BY_NOBODY),
        (call("ListRoles", {"type": "AWSService"}), ""),
        (session(source="s3express"), ""),
        (call("GetUser"), ""),
        ({}, ""),
    ],
)
def test_a_call_that_is_not_counted_has_a_kind_of_caller(record, who):
    assert passed_over(record) == who


def test_other_ways_in_are_counted_but_never_make_a_burst(tmp_path):
    records = [
        saml(role_arn(f"R{i}"), time=START + i, **REFUSED) for i in range(SETTINGS.threshold)
    ]
    records += [denied(role_arn("Prod"), {"type": "AWSService", "invokedBy": "x"})]
    records = [record | {"eventID": str(i)} for i, record in enumerate(records)]
    found = summarised(Trail([str(write_lines(tmp_path / "t.jsonl", records))]), SETTINGS)
    (carol,) = found.principals
    assert len(carol.failed) == SETTINGS.threshold
    assert carol.in_window == 0 and not carol.is_burst
    assert found.passed_over == {BY_SERVICES: 1}


OTHER = "111122223333"
SHARED = {"requestParameters": {"roleArn": role_arn("Prod")}, "sharedEventID": "shared"}
COPIES = [
    call("AssumeRole", {"type": "AWSAccount", "principalId": who, "accountId": OTHER}, **SHARED)
    for who in ("AIDAEXAMPLE", "AROAEXAMPLE:a", "AROAEXAMPLE:b")
]


@pytest.mark.parametrize("copies_first", [True, False])
def test_a_call_from_another_account_counts_once_and_by_its_name_if_recorded(
    tmp_path, copies_first
):
    records = [call("AssumeRole", **SHARED), COPIES[0]]
    records += [record | {"sharedEventID": "other"} for record in COPIES[1:]]
    records = [record | {"eventID": str(i)} for i, record in enumerate(records)]
    trail = write_lines(tmp_path / "t.jsonl", records[::-1] if copies_first else records)
    found = summarised(Trail([str(trail)]), SETTINGS).principals
    counts = {described(who.principal): who.successes["AssumeRole"] for who in found}
    assert counts == {
        f"alice (IAM user, {ACCOUNT})": 1,
        f"AROAEXAMPLE (another account, {OTHER})": 2,
    }
    assert all(who.entered == {PROD} for who in found)


def test_principals_with_the_same_readable_form_are_shown_in_full():
    one, other = (f"arn:aws:iam::{ACCOUNT}:user/{path}/admin" for path in ("a", "b"))
    alice = ALICE["arn"]
    assert names_apart([one, other, alice]) == {
        one: one,
        other: other,
        alice: f"alice (IAM user, {ACCOUNT})",
    }


def test_the_shared_case_of_other_ways_in():
    path = CASES / "entries-of-other-kinds.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is missing: the cases are kept beside the repository")
    assert len(path.read_text().splitlines()) == 3
    found = summarised(Trail([str(path)]), SETTINGS)
    entered = {described(who.principal): list(who.entered) for who in found.principals}
    assert entered == {
        f"carol (SAML, idp, {ACCOUNT})": [PROD],
        f"orgadmin (IAM user, {ACCOUNT})": ["222222222222:root"],
        f"repo:o/r:ref:refs/heads/main (token.actions.githubusercontent.com, {ACCOUNT})": [PROD],
    }
