"""Rules, helpers and data model with events of any shape: they answer and never raise."""

import copy
import inspect
import re
from random import Random
from typing import NamedTuple

import aws_role_activity_helpers as activity
import aws_role_attempt_helpers as attempts
import aws_role_escalation_config as config
import pytest
from panther_core.enriched_event import PantherEvent
from panther_core.rule import Rule

from local_panther.detection.running import ANYWHERE
from local_panther.records.trail import Trail
from local_panther.replay import replay
from local_panther.simulate.identities import PrincipalKind, identity, service
from tests.builders import hostile
from tests.builders.configurations import shipped
from tests.builders.content import write_lines
from tests.builders.events import ALICE, REPO, call, denied, denied_update, role_arn
from tests.builders.mutations import mutated
from tests.builders.rules import RULES, from_body, in_place, spec_of
from tests.scale import examples
from tests.shipped.test_data_model import FILE as DATA_MODEL

pytestmark = pytest.mark.attack("rules")

EVENTS = examples(1_000, 150_000)
FILES, RECORDS = examples(10, 1_000) // 10, 1_000  # for each source of events
MUTATIONS = examples(400, 100_000)  # for each source of events
ALL_PERSON_TYPES = (
    *("IAMUser", "FederatedUser", "IdentityCenterSession", "SAMLUser", "WebIdentityUser"),
    "OtherAccountUser",
)
MAX_CONTEXT = 200 * 1024  # bytes; an instance replaces a larger context with an error

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
    *hostile.TEXTS.values(),
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

ROLE_CALLS = {*activity.ATTEMPTS, *activity.DISCOVERIES, "AssumeRoleWithSAML"}
NAMES = sorted(path.stem for path in RULES.glob("*.yml"))


def functions_of_an_event(module):
    """Return the functions of a module that have an event as their only argument."""
    return [
        function
        for _, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and list(inspect.signature(function).parameters) == ["event"]
    ]


def names_of(functions):
    return {function.__name__ for function in functions}


OF_AN_EVENT = [*functions_of_an_event(activity), *functions_of_an_event(attempts)]
TARGET = re.compile(r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/[!-~]+|[0-9]{12}:role/[\w+=,.@-]+", re.A)


def changed(random: Random) -> dict:
    """Return a realistic record in which some fields have any value and others are missing."""
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
            node[path[-1]] = random.choice(TEXTS if random.random() < 0.6 else hostile.OTHERS)
    return record


@pytest.fixture(scope="module")
def data_model():
    namespace: dict = {}
    exec(DATA_MODEL.with_suffix(".py").read_text(), namespace)
    names = ("get_actor_user", "get_event_type", "load_ip_address")
    return [namespace[name] for name in names]


class Loaded(NamedTuple):
    """All shipped rules, loaded as panther_analysis_tool does and as an instance does."""

    by_tool: list[Rule]
    by_instance: list[Rule]


@pytest.fixture
def as_shipped(content_copy):
    """Return shipped content: an edited blocklist may have conditions that only work on text."""
    shipped(content_copy)
    return content_copy


@pytest.fixture
def rules(monkeypatch, tmp_path, as_shipped):
    folder = as_shipped / RULES.relative_to(REPO)
    by_tool = [in_place(name, folder) for name in NAMES]
    found = Loaded(by_tool, [from_body(name, tmp_path, folder) for name in NAMES])
    for rule in (*found.by_tool, *found.by_instance):
        if hasattr(rule.module, "PERSON_TYPES"):
            monkeypatch.setattr(rule.module, "PERSON_TYPES", ALL_PERSON_TYPES)
    monkeypatch.setattr(config, "EXPECTED_PRINCIPALS", ["*/nobody", "[!x"])
    monkeypatch.setattr(config, "PERSON_ROLE_PREFIXES", ["Okta"])
    return found


@pytest.fixture(scope="module")
def recorded(recorded_events):
    return [event.to_dict() for event in recorded_events]


@pytest.fixture(scope="module")
def recorded_role_calls(recorded):
    return [record for record in recorded if record.get("eventName") in ROLE_CALLS]


@pytest.fixture(scope="module")
def tested_events():
    """Return the events of the sidecar tests; those of the scheduled rule are rows of a query."""
    return [test["Log"] for name in NAMES for test in spec_of(name)["Tests"]]


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
    for function in OF_AN_EVENT:
        function(event)


def check_rule(rule, event):
    """Run a rule as a unit test does, then all its functions, whether it matched or not."""
    result = run_whole(rule, event, batch_mode=False)
    assert len(result.alert_context_output) < MAX_CONTEXT
    for function in functions_of_an_event(rule.module):
        function(event)


def run_whole(rule, event, batch_mode):
    result = rule.run(event, {}, ANYWHERE, batch_mode=batch_mode)
    errors = {k: v for k, v in vars(result).items() if k.endswith("_exception") and v}
    assert not errors, event.to_dict()
    return result


def test_every_shipped_rule_and_function_is_tested(rules):
    assert len(rules.by_tool) == len(rules.by_instance) == len(NAMES) >= 5
    for rule in rules.by_tool:
        assert {"rule", "title", "alert_context"} <= names_of(functions_of_an_event(rule.module))
    assert {"attempt_target", "burst_context", "discovery_times"} <= names_of(OF_AN_EVENT)


def test_events_of_any_shape_raise_nothing(store, data_model, rules):
    random = Random(20260105)
    for _ in range(EVENTS):
        check(changed(random), rules, data_model)


@pytest.mark.parametrize("source", ["recorded_role_calls", "recorded", "tested_events"])
def test_recorded_events_with_anything_changed_raise_nothing(
    store, data_model, rules, source, request, record_property
):
    record_property("tried", MUTATIONS)
    random, bases = Random(20261129), request.getfixturevalue(source)
    for _ in range(MUTATIONS):
        check(mutated(random.choice(bases), random), rules, data_model)


def check(record, rules, data_model):
    event = PantherEvent(record)
    check_helpers(event)
    for rule in rules.by_tool:
        check_rule(rule, event)
    for rule in rules.by_instance:
        run_whole(rule, event, batch_mode=True)
    for function in data_model:
        assert isinstance(function(event), str | None)


@pytest.mark.parametrize("source", ["recorded_role_calls", "tested_events"])
def test_a_replay_of_changed_records_loses_none_and_no_rule_fails(
    tmp_path, as_shipped, source, request, record_property
):
    """The scheduled rule's queries and the correlation rules run over the records as well."""
    record_property("tried", FILES * RECORDS)
    random, bases = Random(20261130), request.getfixturevalue(source)
    for _ in range(FILES):
        records = (random.choice(bases) | {"eventID": str(n)} for n in range(RECORDS))
        trail = tmp_path / "trail.jsonl"
        write_lines(trail, [mutated(record, random) for record in records])
        outcome = replay(Trail([str(trail)]), as_shipped, include_disabled=True)
        read = outcome.tally
        assert read.records + read.other.total() == RECORDS
        assert not outcome.errors.counts and "unexpected error" not in read.skipped, read.problems
