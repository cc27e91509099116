"""Rules, helpers and data model under events of any shape: answers, never exceptions."""

import copy
import re
from random import Random

import aws_role_activity_helpers as activity
import aws_role_escalation_config as config
import pytest
from panther_core.enriched_event import PantherEvent

from local_panther.simulate.identities import PrincipalKind, identity, service
from tests.builders.events import ALICE, call, denied, denied_update, role_arn
from tests.builders.rules import BLOCKLIST, FAILED_ATTEMPTS, LIST_ROLES, ROLE_SEARCH, in_place
from tests.detections.test_data_model import FILE as DATA_MODEL
from tests.scale import examples

pytestmark = pytest.mark.attack("rules")

EVENTS = examples(5_000, 1_000_000)
ALL_PERSON_TYPES = (
    *("IAMUser", "FederatedUser", "IdentityCenterSession", "SAMLUser", "WebIdentityUser"),
    "OtherAccountUser",
)
MAX_CONTEXT = 200 * 1024  # bytes; an instance replaces a larger context by an error

ARN = role_arn("Admin")
MESSAGE = "User: x is not authorized to perform: sts:AssumeRole on resource: "
LEAKED = "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"
WEB_IDENTITY = {
    "type": "WebIdentityUser",
    "principalId": "arn:aws:iam::123456789012:oidc-provider/ci.example.com:aud:repo",
    "userName": "repo:example/app",
    "identityProvider": "arn:aws:iam::123456789012:oidc-provider/ci.example.com",
}
TEXTS = [
    "",
    " ",
    "x",
    "\n",
    "\t",
    "\0",
    "\x1b[2J",
    "\u202e",
    "ʀᴏʟᴇ",
    "\ud800",
    "１２３",
    "arn:",
    ARN,
    "arn:aws-cn:iam::123456789012:role/a/b/c",
    "arn:aws-us-gov:iam::123456789012:role/A",
    "arn:aws:sts::123456789012:assumed-role/Admin/session",
    "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_X_0/dana@example.com",
    "arn:aws:iam::123456789012:role/" + "x" * 5000,
    MESSAGE + ARN,
    MESSAGE + ARN + "\n" + MESSAGE + role_arn("Second"),
    MESSAGE + ARN + "\t" + ARN,
    MESSAGE * 50 + ARN,
    "User: " + "a " * 20_000,
    "User: " + "a" * 100_000,
    "arn:" + "a-" * 50_000,
    "AccessDenied",
    "ThrottlingException",
    "2026-01-05T10:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999999Z",
    "AssumeRole",
    "ListRoles",
    "AssumedRole",
    "AssumeRoleWithSAML",
    "GetAccountAuthorizationDetails",
    "ListInstanceProfiles",
    "AssumeRoleWithWebIdentity",
    "WebIdentityUser",
    LEAKED,
    MESSAGE + ARN + " with an explicit deny in an identity-based policy: " + LEAKED,
    "AWSAccount",
    "AIDAEXAMPLEFRANK00001",
    activity.TOO_LONG_SESSION,
    MESSAGE + ARN + activity.TRAILER + "https://example.com",
    role_arn("aws-reserved/sso.amazonaws.com/AWSReservedSSO_X_0"),
]
# JSON readers of Python refuse whole numbers of more than 4300 digits.
OTHERS = [None, True, False, 0, -1, 1.5, float("nan"), float("inf"), 10**30, -(10**4000)]
OTHERS += [[], {}, [None], ["x"] * 2000, {"a": {"b": {}}}, [[[[[[[[[[]]]]]]]]]], {"": None}]
BASES = [
    call("AssumeRole", requestParameters={"roleArn": ARN, "roleSessionName": "x"}),
    call("AssumeRole", identity(PrincipalKind.FEDERATED, "carol", "")),
    call("ListRoles", identity(PrincipalKind.ROLE, "Deploy", "s")),
    call("ListRoles", service("config.amazonaws.com")),
    call("ConsoleLogin", responseElements={"ConsoleLogin": "Success"}),
    denied(ARN),
    denied(ARN, identity(PrincipalKind.SSO, "dana@example.com", "")),
    denied(ARN, identity(PrincipalKind.ROLE, "Deploy", "s"), tail=" because of a policy"),
    denied_update("Admin"),
    denied(ARN, tail=f" with an explicit deny in an identity-based policy: {LEAKED}"),
    denied(ARN, WEB_IDENTITY, eventName="AssumeRoleWithWebIdentity"),
]
FIELDS = [*call("ListRoles"), "errorCode", "errorMessage", "p_event_time", "eventID"]
NESTED = [
    *[("userIdentity", key) for key in (*ALICE, "type", "invokedBy", "sessionContext")],
    ("userIdentity", "sessionContext", "sessionIssuer"),
    ("userIdentity", "sessionContext", "sessionIssuer", "arn"),
    ("userIdentity", "sessionContext", "sessionIssuer", "userName"),
    ("requestParameters", "roleArn"),
    ("requestParameters", "roleName"),
]
PATHS = [(field,) for field in FIELDS] + NESTED

TARGET = re.compile(r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/[!-~]+|[0-9]{12}:role/[\w+=,.@-]+", re.A)


def hostile(random: Random) -> dict:
    """A real shape with anything at all in some of its places, and with some of them missing."""
    record = copy.deepcopy(random.choice(BASES))
    for path in random.choices(PATHS, k=random.randrange(4)):
        node = record
        for key in path[:-1]:
            if not isinstance(node.get(key), dict):
                node[key] = {}
            node = node[key]
        if random.random() < 0.2:
            node.pop(path[-1], None)
        else:
            node[path[-1]] = random.choice(TEXTS if random.random() < 0.6 else OTHERS)
    return record


@pytest.fixture(scope="module")
def data_model():
    namespace: dict = {}
    exec(DATA_MODEL.with_suffix(".py").read_text(), namespace)
    names = ("get_actor_user", "get_event_type", "load_ip_address")
    return [namespace[name] for name in names]


def check_helpers(event):
    target, principal = activity.attempt_target(event), activity.principal_arn(event)
    assert target is None or TARGET.fullmatch(target), target
    if principal is not None:
        owner = event.deep_get("userIdentity", "arn")
        issuer = event.deep_get("userIdentity", "sessionContext", "sessionIssuer", "arn")
        name = principal.removeprefix(activity.IDENTITY_CENTER).split("/")[-1]
        if event.deep_get("userIdentity", "type") == "WebIdentityUser":
            assert event.deep_get("userIdentity", "userName").strip() in principal
        else:
            assert principal in (owner, issuer) or name in owner
        assert event.deep_get("userIdentity", "type") != "AWSService"
    for function in (
        activity.is_failed_role_attempt,
        activity.is_role_discovery,
        activity.is_refused,
        activity.is_open,
        activity.is_quarantined,
        activity.denying_policy,
        activity.is_identity_center,
        activity.session_name,
        activity.recipient_account,
        activity.error_name,
        activity.event_epoch,
    ):
        function(event)


def check_rule(rule, event):
    """Run a rule as an instance does, and every alert function whether it matched or not."""
    result = rule.run(event, {}, {}, batch_mode=False)
    errors = {k: v for k, v in vars(result).items() if k.endswith("_exception") and v}
    assert not errors, event.to_dict()
    assert len(result.alert_context_output) < MAX_CONTEXT


def test_events_of_any_shape_raise_nothing(store, data_model, monkeypatch):
    random = Random(20260105)
    names = (BLOCKLIST, LIST_ROLES, FAILED_ATTEMPTS, ROLE_SEARCH)
    rules = [in_place(name) for name in names]
    monkeypatch.setattr(rules[0].module, "PERSON_TYPES", ALL_PERSON_TYPES)
    monkeypatch.setattr(config, "EXPECTED_PRINCIPALS", ["*/nobody", "[!x"])
    monkeypatch.setattr(config, "PERSON_ROLE_PREFIXES", ["Okta"])
    for _ in range(EVENTS):
        event = PantherEvent(hostile(random))
        check_helpers(event)
        for rule in rules:
            check_rule(rule, event)
        for function in data_model:
            assert isinstance(function(event), str | None)
