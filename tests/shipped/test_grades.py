"""The severity of alerts: it rises with the damage, and an attacker cannot lower it.

Streams that once had the wrong severity, each with a benign counterpart.
"""

import aws_role_activity_helpers as activity
import aws_role_escalation_config as config
import pytest

from local_panther.simulate.identities import PrincipalKind, identity
from tests.builders.events import ALICE, START, assumed, call, denied, discovery, role_arn
from tests.shipped.test_streams import (
    AUDIT,
    DANA,
    MANY,
    SERVICE_LINKED,
    accounts,
    kinds,
    listed,
    outcome_of,
    spray,
    trusted,
)

LAST, SOON = f"Role{MANY - 1:02}", START + 20 * (MANY - 1) + 60  # last role tried, a minute later
T, WINDOW = config.THRESHOLD, config.WINDOW_MINUTES * 60
HOUR, DAY = 3600, 86_400
NODE = identity(PrincipalKind.ROLE, "NodeRole", "i-0example")
VENDOR = identity(PrincipalKind.ROLE, "VendorRole", "poll")
HIGH, MEDIUM = {("stream", "HIGH"): 1}, {("stream", "MEDIUM"): 1}
CRITICAL = {("success", "CRITICAL"): 1}


def failed(code, message="", api="AssumeRole", count=T + 2, who=ALICE):
    """Return attempts with an error other than a denial: these records keep their parameters."""
    fields = {"errorCode": code, "errorMessage": message}
    make = assumed if api == "AssumeRole" else trusted
    names = [f"Role{i:02}" for i in range(count)]
    roles = map(role_arn, names) if api == "AssumeRole" else names
    return [make(role, who, START + 10 * i) | fields for i, role in enumerate(roles)]


def every(seconds, role, who, start, end):
    return [assumed(role_arn(role), who, t) for t in range(start, end, seconds)]


def others(count, who=ALICE):
    """Return successes on roles that had not refused before."""
    return [assumed(role_arn(f"Other{i}"), who, START + 600 + 30 * i) for i in range(count)]


def kube2iam():
    """Return a node's calls: pod roles of a new namespace refuse, others are assumed all day."""
    routine = [every(900, f"Pod{i}", NODE, START - DAY, START + 2 * HOUR) for i in range(5)]
    return [*spray(NODE, count=T + 2), *(record for role in routine for record in role)]


def daily_deployment():
    """Return a CDK deployment with many denials, and the role that every deployment assumes."""
    routine = [assumed(role_arn("Deploy"), DANA, START - 20 * HOUR + i * HOUR) for i in range(20)]
    return [*spray(DANA, count=T + 2), *routine, assumed(role_arn("Deploy"), DANA, START + 300)]


def vendor():
    """Return a vendor's calls on a differently named role in each account; some refuse."""
    names = [role_arn(f"Vendor-{account}", account) for account in accounts(4 * T)]
    return [
        (denied if i % 3 == 0 else assumed)(name, VENDOR, time=START + i)
        for i, name in enumerate(names)
    ]


def diluted(fakes, opens=False):
    """Return a search in one account among calls on made-up accounts, which cost nothing."""
    real = [denied(role_arn(f"Role{i:02}")) for i in range(T + 2)]
    made_up = [denied(role_arn("Role00", account)) for account in accounts(fakes)]
    step = max(fakes // (T + 2), 1)
    mixed = made_up[:T]
    for i, record in enumerate(real):
        mixed += [record, *made_up[T + i * step : T + (i + 1) * step]]
    mixed = [
        {**record, "eventTime": call("x", time=START + i)["eventTime"]}
        for i, record in enumerate(mixed)
    ]
    return [*mixed, assumed(role_arn("Admin"), time=START + 600)] if opens else mixed


def quarantined(version="V3"):
    policy = f"arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantine{version}"
    return spray(tail=f" with an explicit deny in an identity-based policy: {policy}")


def by_oidc(count):
    who = {
        "type": "WebIdentityUser",
        "userName": "repo:example/app:ref:refs/heads/main",
        "identityProvider": "arn:aws:iam::123456789012:oidc-provider/ci.example.com",
    }
    fields = {"errorCode": "AccessDenied", "eventSource": "sts.amazonaws.com"}
    return [
        call(
            "AssumeRoleWithWebIdentity",
            who,
            START + i,
            requestParameters={"roleArn": role_arn(f"Role{i:02}")},
            **fields,
        )
        for i in range(count)
    ]


CHAINED = (
    "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by "
    "role chaining"
)
TOO_LONG = f"{activity.TOO_LONG_SESSION}."
KEY = f"LEAKED KEY (AWSCompromisedKeyQuarantineV3): DENIED AssumeRole on all {MANY} roles: alice"
# name: records, alerts by (rule, severity)
STREAMS = {
    # More roles that open are worse
    "ten refuse, then four others open": ([listed(), *spray(count=T), *others(4)], HIGH | CRITICAL),
    "ten refuse, then five others open": ([listed(), *spray(count=T), *others(5)], HIGH | CRITICAL),
    "ten refuse, then twenty others open": (
        [listed(), *spray(count=T), *others(20)],
        HIGH | CRITICAL,
    ),
    "sixty trust policies are changed, fourteen service-linked roles refuse": (
        [
            listed(),
            *(trusted(f"Role{i}", time=START + i) for i in range(60)),
            *(
                trusted(f"AWSServiceRole{i}", time=START + 60 + i) | SERVICE_LINKED
                for i in range(T + 4)
            ),
        ],
        HIGH | CRITICAL,
    ),
    "a role that opens on its own a minute after it refused": (
        [*spray(), assumed(role_arn(LAST), time=SOON)],
        {("success", "MEDIUM"): 1},
    ),
    "the same after a listing": (
        [listed(), *spray(), assumed(role_arn(LAST), time=SOON)],
        HIGH | CRITICAL,
    ),
    # Daily routine
    "kube2iam: routine roles of a node": (kube2iam(), {}),
    "a new role among the routine ones of a node": (
        [*kube2iam(), assumed(role_arn("Admin"), NODE, START + 700)],
        CRITICAL,
    ),
    "the daily role of a deployment": (daily_deployment(), {}),
    "the same where successes have empty errors": (
        [{"errorCode": "", "errorMessage": ""} | record for record in daily_deployment()],
        {},
    ),
    "a routine changer of trust policies": (
        [trusted(f"Old{i}", time=START - DAY + i * HOUR) for i in range(10)]
        + [*spray(), trusted("New", time=START + 500)],
        {},
    ),
    "a vendor with a role in each account": (vendor(), {("success", "MEDIUM"): 1}),
    # Calls on made-up accounts do not hide a search; until the search shows, they are a fan-out
    "a search among made-up accounts": ([listed(), *diluted(70)], MEDIUM | HIGH),
    "a search among made-up accounts that gets in": (
        [listed(), *diluted(70, opens=True)],
        MEDIUM | HIGH | CRITICAL,
    ),
    "a fan-out of an organisation's role": (
        [listed(AUDIT), *(denied(role_arn("Audit", a), AUDIT) for a in accounts(3 * T))],
        {("fan-out", "LOW"): 1},
    ),
    "a person who fans out with three names": (
        [
            listed(),
            *(
                denied(role_arn(name, account))
                for name in ("OrganizationAccountAccessRole", "Admin", "Audit")
                for account in accounts(12)
            ),
        ],
        MEDIUM,
    ),
    # The beginning and the end of a theft
    "a role entered right after the listing, twelve minutes before the search": (
        [
            listed(time=START - 730),
            assumed(role_arn("Early"), time=START - 720),
            *spray(),
        ],
        HIGH | CRITICAL,
    ),
    "the same without a listing": ([assumed(role_arn("Early"), time=START - 720), *spray()], {}),
    "two thefts three hours apart": (
        [
            *spray(),
            assumed(role_arn("First"), time=START + 900),
            *spray(start=START + 3 * HOUR),
            assumed(role_arn("Second"), time=START + 3 * HOUR + 900),
        ],
        {("success", "CRITICAL"): 2},
    ),
    # Without discovery
    "three hundred guessed names": (spray(count=300, step=2), HIGH),
    "the same by a role": (spray(AUDIT, count=300, step=2), MEDIUM),
    "twenty-nine guessed names": (spray(count=3 * T - 1, step=2), {}),
    "sixty accounts without a listing": (
        [denied(role_arn("Admin", account)) for account in accounts(6 * T)],
        {},
    ),
    "forty roles by OpenID Connect": (by_oidc(4 * T), MEDIUM),
    "as many as make a burst by OpenID Connect": (by_oidc(T), {}),
    "discovery by instance profiles": ([listed(name="ListInstanceProfiles"), *spray()], HIGH),
    "discovery by Config": (
        [discovery("ListDiscoveredResources", time=START - 60), *spray()],
        HIGH,
    ),
    "discovery by Cloud Control": ([discovery("ListResources", time=START - 60), *spray()], HIGH),
    "resources of another type listed": (
        [call("ListResources", requestParameters={"typeName": "AWS::S3::Bucket"}), *spray()],
        {},
    ),
    # A leaked key
    "a key that AWS has quarantined": (quarantined(), {("stream", "CRITICAL"): 1}),
    "the same below the threshold": (quarantined()[: T - 1], {}),
    # Errors that say nothing about access
    "chained sessions of more than an hour": (
        [listed(), *failed("ValidationError", CHAINED)],
        {},
    ),
    "packed policies": ([listed(), *failed("PackedPolicyTooLargeException")], {}),
    "session names that are invalid": (
        [listed(), *failed("ValidationError", "1 validation error detected: roleSessionName")],
        {},
    ),
    "session policies that are malformed": ([listed(), *failed("MalformedPolicyDocument")], {}),
    "concurrent changes": (
        [listed(), *failed("ConcurrentModification", api="UpdateAssumeRolePolicy")],
        {},
    ),
    "roles that are being changed": (
        [listed(), *failed("EntityTemporarilyUnmodifiable", api="UpdateAssumeRolePolicy")],
        {},
    ),
    "a code that nobody knows yet": ([listed(), *failed("QuantumEntanglementException")], {}),
    "trust policies that IAM rejects": (
        [listed(), *failed("MalformedPolicyDocument", api="UpdateAssumeRolePolicy")],
        HIGH,
    ),
    "trust policies that are too long": (
        [listed(), *failed("LimitExceededException", api="UpdateAssumeRolePolicy")],
        HIGH,
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_graded_by_what_happened(tmp_path, name):
    records, alerts = STREAMS[name]
    assert kinds(outcome_of(tmp_path, records)) == alerts


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        (failed("ValidationError", CHAINED), ""),
        (
            [
                *spray(count=T - 2),
                *failed(
                    "ValidationError",
                    TOO_LONG,
                )[-4:],
            ],
            f"DENIED AssumeRole on {T - 2} of {T + 2} roles, "
            "4 can be assumed with a shorter session: ",
        ),
        (
            failed("MalformedPolicyDocument", api="UpdateAssumeRolePolicy"),
            f"DENIED UpdateAssumeRolePolicy on 0 of {T + 2} roles, "
            f"the trust policy of {T + 2} can be changed: alice",
        ),
        (
            quarantined(),
            KEY,
        ),
        (
            [*kube2iam(), listed(NODE)],
            f"DENIED AssumeRole on all {T + 2} roles: NodeRole",
        ),
        (
            [*spray(), assumed(role_arn("Role03"), time=START + 5 * DAY)],
            f"ENTERED 1 of {MANY} roles",
        ),
    ],
)
def test_the_first_sentence_states_only_facts(tmp_path, records, sentence):
    outcome = outcome_of(tmp_path, [listed(time=START - 120), *records])
    found = [incident.sentence for incident in outcome.incidents]
    assert not sentence or [s for s in found if s.startswith(sentence)], found
    if "NodeRole" in sentence:
        assert "also entered 5 more roles, as on the day before" in found[0]
    if not sentence:
        assert found == []
