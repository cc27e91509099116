"""Property tests: queries agree with the rules and with definitions, for any calls."""

import itertools
import re
from functools import cache
from unittest.mock import patch

import aws_role_activity_helpers as activity
import aws_role_escalation_config as config
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_panther.content.sql import parse_sql
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.lake import Lake
from local_panther.simulate.identities import ACCOUNT, SSO_PATH, PrincipalKind, identity, service
from tests.builders.content import write_lines
from tests.builders.events import (
    ALICE,
    START,
    call,
    denied,
    denied_update,
    discovery,
    event,
    read_record,
    role_arn,
    user,
)
from tests.builders.queries import HUNT, query_specs, rows_of, sql_time
from tests.builders.replays import replayed
from tests.scale import examples

SPECS = query_specs()
BOB = user("bob")
MINUTE = 60
T, WINDOW = config.THRESHOLD, config.WINDOW_MINUTES * MINUTE
DISCOVERY = set(activity.DISCOVERIES)
ROLE_CALLS = {*activity.ATTEMPTS, *DISCOVERY}


DANA_ELSEWHERE = identity(PrincipalKind.SSO, "dana@example.com", "") | {
    "arn": "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_ReadOnly_f0/dana@example.com",
    "sessionContext": {
        "sessionIssuer": {
            "arn": f"arn:aws:iam::111122223333:role/{SSO_PATH}eu-west-1/AWSReservedSSO_ReadOnly_f0"
        }
    },
}
PEOPLE = [
    ALICE,
    BOB,
    identity(PrincipalKind.ROLE, "Deploy", "s1"),
    identity(PrincipalKind.ROLE, "Deploy", "s2"),
    identity(PrincipalKind.ROLE, "Okta.SSO-Admin", "erin@example.com"),
    identity(PrincipalKind.ROLE, "AWSReservedSSO_x", "dana@example.com"),
    identity(PrincipalKind.SSO, "dana@example.com", ""),
    identity(PrincipalKind.SSO, "eve@example.com", ""),
    DANA_ELSEWHERE,
    identity(PrincipalKind.FEDERATED, "carol", ""),
    identity(PrincipalKind.ROOT, "root", ""),
    {
        k: v
        for k, v in identity(PrincipalKind.ROLE, "Deploy", "s3").items()
        if k != "sessionContext"
    },
    service("lambda.amazonaws.com"),
    {"type": "AWSAccount", "principalId": "AIDAEXAMPLEFRANK00001", "accountId": "111122223333"},
    {"type": "WebIdentityUser", "userName": "repo:example", "identityProvider": "ci.example.com"},
    {"type": "WebIdentityUser", "userName": "repo:example"},
]
TAILS = [
    "",
    " because no identity-based policy allows the action",
    " with an explicit deny in a service control policy: arn:aws:organizations::1:policy/x",
    ". Go to https://docs.aws.amazon.com/ for complete details.",
    " because no session policy allows the action. Go to https://docs.aws.amazon.com/ for more.",
]


@st.composite
def role_calls(draw, name=None, who=None, time=START):
    """Return a call on a role, in any of the forms that CloudTrail records."""
    name = name or draw(st.sampled_from(["A", "B", "C.", "with+=,.@-_signs"]))
    who = who or draw(st.sampled_from(PEOPLE))
    account = draw(st.sampled_from([ACCOUNT, "111122223333"]))
    arn = role_arn(draw(st.sampled_from(["", "", "team/a/"])) + name, account)
    tail = draw(st.sampled_from(TAILS))
    code = draw(st.sampled_from(["AccessDenied"] * 8 + ODD_CODES))
    forms = ["denied", "named", "arn", "kept", "kept update", "too long", "oidc", "success"]
    match draw(st.sampled_from(forms)):
        case "denied":
            return denied(arn, who, time, tail=tail, errorCode=code)
        case "named":
            return denied_trust(f"role {name}", who, time, tail, errorCode=code)
        case "arn":
            return denied_trust(arn, who, time, tail, errorCode=code)
        case "kept":
            parameters = {"requestParameters": {"roleArn": arn}}
            return call("AssumeRole", who, time, errorCode=code, **parameters)
        case "too long":
            message = f"{activity.TOO_LONG_SESSION}{tail}"
            error = {"errorCode": "ValidationError", "errorMessage": message}
            return call("AssumeRole", who, time, requestParameters={"roleArn": arn}, **error)
        case "oidc":
            parameters = {"requestParameters": {"roleArn": arn}}
            made = call("AssumeRole", who, time, errorCode=code, **parameters)
            return made | {"eventName": "AssumeRoleWithWebIdentity"}
        case "kept update":
            parameters = {"requestParameters": {"roleName": draw(st.sampled_from([name, arn]))}}
            return call("UpdateAssumeRolePolicy", who, time, errorCode=code, **parameters)
        case _:
            return call("AssumeRole", who, time, requestParameters={"roleArn": arn})


ODD_CODES = [
    *("Throttling", "Client.RequestLimitExceeded", "ExpiredTokenException", "NoSuchEntity"),
    *("Client.UnauthorizedOperation", "MalformedPolicyDocumentException", "LimitExceeded"),
    *("ConcurrentModification", "ValidationError", "UnheardOf", ""),
]


def denied_trust(resource, who, time, tail, **fields):
    start = f"User: {who.get('arn')} is not authorized to perform: iam:UpdateAssumeRolePolicy "
    message = {"errorMessage": f"{start}on resource: {resource}{tail}"}
    return denied_update("", who, time, **{**message, **fields})


@cache
def role_calls_in_sql(collapse, person_roles):
    """Return a query for the rows of the CTE role_calls, translated."""
    text = SPECS[HUNT]["SnowflakeQuery"]
    text = text[: text.index(",\nattempts AS")].replace("30 d", "9000 d")
    settings = f"{str(collapse).upper()} AS collapse_sessions"
    text = re.sub("[A-Z]+ AS collapse_sessions", settings, text)
    text = re.sub("'[^']*' AS person_roles", f"'{person_roles}' AS person_roles", text)
    text += (
        "\nSELECT event_id::int AS number, principal, role, outcome, is_open, denied_by"
        " FROM role_calls ORDER BY 1"
    )
    return transpile_sql(parse_sql(text))


def by_sql(records, collapse=True, person_roles=""):
    """Return the row of the CTE role_calls for each record."""
    with Lake() as lake:
        for number, record in enumerate(records):
            lake.add(read_record(record | {"eventID": str(number)}))
        rows = lake.query(role_calls_in_sql(collapse, person_roles), START + 86_400 * 365)
    named = ("principal", "role", "outcome", "is_open", "denied_by")
    return [tuple(row[name] for name in named) for row in rows]


def by_python(record):
    found = event(record)
    target = activity.attempt_target(found)
    outcome = "failure" if activity.is_failed_role_attempt(found) else "fault"
    outcome = outcome if activity.is_failed_call(found) else "success"
    role = target and activity.role_key(target)
    policy = activity.denying_policy(found)
    return activity.principal_arn(found), role, outcome, activity.is_open(found), policy


@settings(max_examples=examples(60, 3000), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(role_calls(), min_size=1, max_size=20),
    st.booleans(),
    st.sampled_from([[], ["Okta.SSO"], ["Dep", "Okta+"], ["OktaXSSO"]]),
)
def test_sql_and_python_classify_every_call_in_the_same_way(records, collapse, prefixes):
    pattern = config.person_role_pattern(prefixes)
    with patch.multiple(config, COLLAPSE_SESSIONS=collapse, PERSON_ROLE_PREFIXES=prefixes):
        expected = [by_python(record) for record in records]
    assert by_sql(records, collapse, pattern) == expected


def test_sql_and_python_classify_recorded_calls_in_the_same_way(recorded_events):
    records = [e.to_dict() for e in recorded_events if e.get("eventName") in ROLE_CALLS - DISCOVERY]
    records = [record for record in records if "Z" in str(record.get("eventTime"))]
    assert len(records) > 50
    assert by_sql(records) == [by_python(record) for record in records]


@st.composite
def attacks(draw):
    """Return bursts of several callers near the threshold, some with a discovery near or far."""
    records = []
    for who in draw(st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=4)):
        start = START + draw(st.integers(0, 4)) * 1800 + draw(st.integers(-2, 2))
        count = draw(st.integers(T - 2, T + 3))
        step = draw(st.sampled_from([1, WINDOW // (T + 2), WINDOW // (T - 1), WINDOW // T + 60]))
        for i in range(count):
            name = f"R{i % draw(st.sampled_from([T - 1, T + 2, 99]))}"
            records.append(draw(role_calls(name, who, start + i * step)))
        if draw(st.booleans()):
            lookback = config.LOOKBACK_MINUTES * MINUTE
            far = [-9 * WINDOW, -lookback - 9, -60, 0, WINDOW, lookback + 9 * WINDOW]
            records.append(
                discovery(
                    draw(st.sampled_from(sorted(DISCOVERY))),
                    who,
                    start + draw(st.sampled_from(far)),
                )
            )
    return records


@pytest.mark.long
@settings(max_examples=examples(25, 1000), deadline=None, suppress_health_check=list(HealthCheck))
@given(attacks())
def test_the_hunt_and_the_streaming_detection_agree(tmp_path, records):
    """Compare two independent implementations of one definition.

    One is SQL over the lake, the other rules over the stream with state in the key-value store.
    """
    records = [record | {"eventID": str(i)} for i, record in enumerate(records)]
    trail = tmp_path / f"{next(NUMBERS)}.jsonl"
    write_lines(trail, records)
    outcome = replayed(trail)
    assert outcome.complete
    found = rows_of(HUNT, records, now=START + 86_400)
    by_pair = {alert.match_value for alert in outcome.alerts if alert.is_correlation}
    own = [
        alert for alert in outcome.alerts if alert.metadata.rule_id == "AWS.CloudTrail.RoleSearch"
    ]
    by_themselves = {alert.context["principal"] for alert in own}
    discovered = {row["principal"] for row in found if row["discovery_at"]}
    assert by_pair | by_themselves == discovered
    searches = {row["principal"] for row in found if row["pattern"] == SEARCH} & discovered
    assert searches <= {a.context["principal"] for a in own if a.severity == "HIGH"} | by_pair
    assert bool(found) == bool(outcome.signals["AWS.CloudTrail.MultipleFailedRoleAttempts"])


NUMBERS = itertools.count()
SEARCH = "many roles in one account"


@st.composite
def crowded_attempts(draw):
    """Return attempts as (API, role, time), many of them at once or exactly a window apart."""
    times = st.builds(
        lambda half_windows, seconds: START + half_windows * WINDOW // 2 + seconds,
        st.integers(0, 5),
        st.integers(0, 1),
    )
    found = draw(st.sets(st.tuples(st.integers(0, 1), st.integers(0, T), times), max_size=2 * T))
    # Add windows that have just enough roles, which random attempts hardly ever make.
    for time in draw(st.lists(times, max_size=2)):
        found |= {(0, role, time) for role in range(T - 1)}
        found.add((0, T, time - WINDOW + draw(st.integers(-1, 1))))
    return sorted(found, key=lambda attempt: attempt[2])


def bursts_of(attempts):
    """Return the bursts among attempts by definition, as (first, crossed, last, roles)."""
    taking_part = []
    for api, role, time in attempts:
        own = [a for a in attempts if a[0] == api]
        crossed = [
            end
            for _, _, end in own
            if time <= end <= time + WINDOW
            and len({r for _, r, at in own if end - WINDOW <= at <= end}) >= T
        ]
        if crossed:
            taking_part.append((time, role, time in crossed))
    bursts = []
    for one in taking_part:
        if not bursts or one[0] > bursts[-1][-1][0] + WINDOW:
            bursts.append([])
        bursts[-1].append(one)
    return [
        (
            burst[0][0],
            min(time for time, _, ends_window in burst if ends_window),
            burst[-1][0],
            len({role for _, role, _ in burst}),
        )
        for burst in bursts
    ]


@settings(max_examples=examples(40, 2000), deadline=None)
@given(crowded_attempts())
def test_bursts_are_those_of_the_definition(attempts):
    records = [
        denied_update(f"Role{role}", time=time)
        if api
        else denied(role_arn(f"Role{role}"), time=time)
        for api, role, time in attempts
    ]
    found = rows_of(HUNT, records, now=START + 86_400)
    keys = ("first_attempt", "crossed_at", "last_attempt", "distinct_targets")
    expected = [(*map(sql_time, times), roles) for *times, roles in bursts_of(attempts)]
    assert [tuple(row[key] for key in keys) for row in reversed(found)] == expected
