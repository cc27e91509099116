"""Streams that real accounts produce, replayed whole, with the alerts that an analyst wants.

For each stream: the number of alerts by rule and severity, and the patterns that the hunt finds.
Names of alerts: `stream` is the rule that alerts on its own, `search` and `fan-out` are the two
correlation rules, `success` is the scheduled rule.
"""

import itertools
import json
from collections import Counter

import aws_role_activity_helpers as activity
import aws_role_escalation_config as config
import pytest

from local_panther.simulate.identities import ACCOUNT, SSO_PATH, PrincipalKind, identity, service
from tests.builders.configurations import change_settings, shipped
from tests.builders.content import write_lines
from tests.builders.events import (
    ALICE,
    START,
    assumed,
    burst,
    call,
    denied,
    denied_update,
    role_arn,
)
from tests.builders.replays import replayed
from tests.conftest import RECORDED
from tests.lake.test_queries import HUNT, rows_of

T, WINDOW = config.THRESHOLD, config.WINDOW_MINUTES * 60
MANY = 2 * T  # enough for a burst, too few to alert without discovery
# The most names with which a fan-out is recognised as soon as it reaches the threshold
FAN_OUT_NAMES = max((T - 1) // config.FEW_NAMES, 1)
NAMES = {
    "AWS.CloudTrail.ListRoles.WITH.MultipleFailedRoleAttempts": "search",
    "AWS.CloudTrail.ListRoles.WITH.FailedRoleFanOut": "fan-out",
    "AWS.CloudTrail.RoleEscalationSucceeded": "success",
    "AWS.CloudTrail.RoleSearch": "stream",
    "AWS.CloudTrail.IAMAssumeRoleBlacklistIgnored": "blocklist",
}
SEARCH = "many roles in one account"
FAN_OUT = "few roles in each of many accounts"
DEPLOY = identity(PrincipalKind.ROLE, "TerraformRole", "run-1")
AUDIT = identity(PrincipalKind.ROLE, "AuditToolRole", "scan")
DANA = identity(PrincipalKind.SSO, "dana@example.com", "")


def accounts(count):
    return [f"{111122220000 + i}" for i in range(count)]


def spray(who=ALICE, count=MANY, start=START, step=20, **more):
    return burst(count, who, start, step, **more)


def trusted(name, who=ALICE, time=START):
    return call("UpdateAssumeRolePolicy", who, time, requestParameters={"roleName": name})


def listed(who=ALICE, time=START - 60, name="ListRoles"):
    return call(name, who, time)


def replaced(records, place, record):
    return [*records[:place], record, *records[place + 1 :]]


def terraform(count=MANY):
    """Return a deployment: new roles deny for seconds, then each of them is assumed."""
    names = [role_arn(f"New{i:02}") for i in range(count)]
    tries = [denied(arn, DEPLOY, START + i) for i, arn in enumerate(names)]
    return [*tries, *(assumed(arn, DEPLOY, START + 60 + i) for i, arn in enumerate(names))]


def organisation(names, deny_every, start=START):
    """Return calls on a few role names in every account: some are denied, most succeed."""
    records, time = [], start
    for i, account in enumerate(accounts(6 * MANY)):
        for name in names:
            arn, time = role_arn(name, account), time + 1
            try_it = denied if i % deny_every == 0 else assumed
            records.append(try_it(arn, AUDIT, time=time))
    return records


def bootstrap(regions):
    """Return denied calls on the CDK's four bootstrap roles in each region of one account."""
    kinds = ("deploy-role", "file-publishing-role", "image-publishing-role", "lookup-role")
    names = [f"cdk-hnb659fds-{kind}-123456789012-{r}" for r in regions for kind in kinds]
    return [denied(role_arn(name), time=START + i) for i, name in enumerate(names)]


def shared_role():
    """Return denied calls of people who share a SAML role, each on one role."""
    people = [identity(PrincipalKind.ROLE, "OktaSSO-Dev", f"p{i}@x.org") for i in range(MANY)]
    return [denied(role_arn(f"Role{i}"), who, START + 60 * i) for i, who in enumerate(people)]


def wrong_id():
    """Return the calls of an agent with a wrong external ID: hundreds of denials on two roles."""
    return [denied(role_arn(f"Agent{i % 2}"), AUDIT, START + i) for i in range(300)]


def one_person_everywhere():
    """Return a person of Identity Center who tries one role in each account, from a role there."""
    records = [listed(DANA)]
    for i, account in enumerate(accounts(MANY)):
        role = f"AWSReservedSSO_Dev_{i:016x}"
        issuer = {"arn": f"arn:aws:iam::{account}:role/{SSO_PATH}{role}"}
        arn = f"arn:aws:sts::{account}:assumed-role/{role}/dana@example.com"
        who = {"type": "AssumedRole", "arn": arn, "sessionContext": {"sessionIssuer": issuer}}
        records.append(denied(role_arn(f"Admin{i}", account), who, START + i))
    return records


def rotating(count=MANY):
    people = [identity(PrincipalKind.ROLE, "BuildRole", f"s-{i}") for i in range(count)]
    return [denied(role_arn(f"Role{i}"), who, START + i) for i, who in enumerate(people)]


def lookalikes():
    """Return sessions, with rotating names, of a role that is named like Identity Center's."""
    people = [identity(PrincipalKind.ROLE, "AWSReservedSSO_x", f"p{i}") for i in range(MANY)]
    tries = [denied(role_arn(f"Role{i}"), who, START + i) for i, who in enumerate(people)]
    return [listed(people[0]), *tries]


def in_every_region(records):
    """Return the records with changing regions: STS records the region of the called endpoint."""
    regions = itertools.cycle(("us-east-1", "eu-west-1", "ap-southeast-2"))
    return [record | {"awsRegion": next(regions)} for record in records]


def out_of_order_and_twice(records):
    named = [record | {"eventID": f"own-{i}"} for i, record in enumerate(records)]
    return [*reversed(named), *named]


def copied(record, account="999988887777"):
    """Return a call to another account as both accounts record it."""
    user_id = record["userIdentity"]["principalId"]
    who = {"type": "AWSAccount", "principalId": user_id, "accountId": ACCOUNT}
    shared = {"sharedEventID": "shared"}
    return [record | shared, record | shared | {"userIdentity": who, "recipientAccountId": account}]


def by_saml(count=MANY):
    """Return denied AssumeRoleWithSAML calls: the parameters name the role, no ARN the caller."""
    who = {"type": "SAMLUser", "userName": "erin", "identityProvider": "idp"}
    fields = {"errorCode": "AccessDenied", "eventSource": "sts.amazonaws.com"}
    return [
        call("AssumeRoleWithSAML", who, START + i, requestParameters={"roleArn": role}, **fields)
        for i, role in enumerate(map(role_arn, map("Role{}".format, range(count))))
    ]


SERVICE_LINKED = {
    "errorCode": "UnmodifiableEntityException",
    "errorMessage": "Cannot perform the operation on the protected role",
}
NEAR = {"errorCode": "ValidationError", "errorMessage": f"{activity.TOO_LONG_SESSION}."}
TRAILER = ". Go to https://docs.aws.amazon.com/ for complete details."
LAST = START + (MANY - 1) * 20
IN = role_arn("Role05")

# A run covers the lookback before it, and the next run is up to one rate after the last signal.
RATE_MINUTES = 30  # between runs of the correlation rules
EVERY_RUN_MINUTES = config.LOOKBACK_MINUTES - RATE_MINUTES

# name: records, alerts by (rule, severity), patterns in the hunt
STREAMS = {
    # Forms of the attack
    "list roles, try to assume each": (
        [listed(time=START - 60 + i) for i in range(3)] + spray(),
        {("stream", "HIGH"): 1},
        [SEARCH],
    ),
    "session names random per call": (
        [listed(identity(PrincipalKind.ROLE, "BuildRole", "s")), *rotating()],
        {("stream", "HIGH"): 1},
        [SEARCH],
    ),
    "list roles, backdoor each trust policy": (
        [listed(), *spray(make=denied_update)],
        {("stream", "HIGH"): 1},
        [SEARCH],
    ),
    "backdoor service-linked roles": (
        [
            listed(),
            *(trusted(f"AWSServiceRole{i}", time=START + i) | SERVICE_LINKED for i in range(MANY)),
        ],
        {("stream", "HIGH"): 1},
        [SEARCH],
    ),
    "guess principals, on one role": (
        [
            listed(),
            *(
                trusted("One", time=START + i) | {"errorCode": "MalformedPolicyDocumentException"}
                for i in range(300)
            ),
        ],
        {},
        [],
    ),
    "one role name, every account": (
        [
            denied(role_arn("Admin", account), time=START + i)
            for i, account in enumerate(accounts(MANY))
        ],
        {},
        [FAN_OUT],
    ),
    "one role name, every account, after discovery": (
        [listed()]
        + [
            denied(role_arn("Admin", account), time=START + i)
            for i, account in enumerate(accounts(MANY))
        ],
        {("stream", "MEDIUM"): 1},
        [FAN_OUT],
    ),
    "every role with its trust policy in one call": (
        [listed(name="GetAccountAuthorizationDetails"), *spray()],
        {("stream", "HIGH"): 1},
        [SEARCH],
    ),
    "a denied listing": (
        [listed() | {"errorCode": "AccessDenied"}, *spray()],
        {("stream", "HIGH"): 1},
        [SEARCH],
    ),
    "discovery after the failures": (
        [*spray(), listed(time=LAST + 600)],
        {("search", "HIGH"): 1},
        [SEARCH],
    ),
    "discovery as far away as every run looks back": (
        [listed(time=START + (T - 1) * 20 - EVERY_RUN_MINUTES * 60), *spray(count=T)],
        {("stream", "HIGH"): 1},
        [SEARCH],
    ),
    "discovery further away": (
        [listed(time=START + (T - 1) * 20 - config.LOOKBACK_MINUTES * 60 - 1), *spray(count=T)],
        {},
        [SEARCH],
    ),
    "without discovery": (spray(), {}, [SEARCH]),
    "each call in another region": (
        in_every_region([listed(), *spray()]),
        {("stream", "HIGH"): 1},
        [SEARCH],
    ),
    "delivered out of order, and twice": (
        out_of_order_and_twice([listed(), *spray()]),
        {("stream", "HIGH"): 1},
        [SEARCH],
    ),
    "delivered twice, below the threshold": (
        out_of_order_and_twice([listed(), *spray(count=T - 1)]),
        {},
        [],
    ),
    "denied AssumeRoleWithSAML": (by_saml(), {}, []),  # a documented blind spot
    "below the threshold": ([listed(), *spray(count=T - 1)], {}, []),
    "a month of the same": (
        list(itertools.chain(*(spray(start=START + day * 86_400) for day in range(3)))),
        {},
        [SEARCH] * 3,
    ),
    # Success
    "got into the sixth of the list": (
        [listed(), *replaced(spray(), 5, assumed(IN, time=START + 100))],
        {("stream", "HIGH"): 1, ("success", "CRITICAL"): 1},
        [SEARCH],
    ),
    "got into the first of the list": (
        replaced(spray(), 0, assumed(role_arn("Role00"))),
        {("success", "CRITICAL"): 1},
        [SEARCH],
    ),
    "got in after the last failure, on three roles": (
        [*spray(), *(assumed(role_arn(f"Role0{i}"), time=LAST + 60 * i) for i in range(1, 4))],
        {("success", "CRITICAL"): 1},
        [SEARCH],
    ),
    "got into a role that it had not failed on": (
        [*spray(), assumed(role_arn("Forgotten"), time=LAST + 3600)],
        {("success", "CRITICAL"): 1},
        [SEARCH],
    ),
    "got into a role of another account, which has a copy": (
        [*spray(), *copied(assumed(role_arn("Theirs", "999988887777"), time=LAST + 60))],
        {("success", "CRITICAL"): 1},
        [SEARCH],
    ),
    "got in an hour and a second later": (
        [*spray(), assumed(IN, time=LAST + 3601)],
        {("success", "CRITICAL"): 1},  # because it had failed on that role
        [SEARCH],
    ),
    "got in ten minutes and a second before": (
        [assumed(IN, time=START - 601), *spray()],
        {},
        [SEARCH],
    ),
    "assumed the role whose trust policy it had changed": (
        [
            *spray(make=denied_update),
            trusted("Open", time=LAST + 9),
            assumed(role_arn("a/Open"), time=LAST + 99),
        ],
        {("success", "CRITICAL"): 1},
        [SEARCH],
    ),
    "may assume a role, with a shorter session": (
        [listed(), *replaced(spray(), 3, assumed(IN, time=START + 60) | NEAR)],
        {("stream", "HIGH"): 1},
        [SEARCH],
    ),
    "a theft after a deployment of the same principal": (
        [
            *terraform(),
            *spray(DEPLOY, start=START + 2 * WINDOW),
            assumed(role_arn("Forgotten"), DEPLOY, START + 2 * WINDOW + MANY * 20),
        ],
        {("success", "MEDIUM"): 1, ("success", "CRITICAL"): 1},
        [SEARCH] * 2,
    ),
    # Ordinary streams that look like the attack
    "Terraform: new roles": (terraform(), {("success", "MEDIUM"): 1}, [SEARCH]),
    "Terraform: fewer new roles than the threshold": (terraform(T - 1), {}, []),
    "an organisation tool, after a ListRoles": (
        [listed(AUDIT), *organisation(["Audit"], deny_every=5)],
        {("fan-out", "LOW"): 1, ("success", "MEDIUM"): 1},
        [FAN_OUT],
    ),
    "an organisation tool with three names": (
        [
            listed(AUDIT),
            *organisation(["Audit", "Deploy", "Billing"][:FAN_OUT_NAMES], deny_every=5),
        ],
        {("fan-out", "LOW"): 1, ("success", "MEDIUM"): 1},
        [FAN_OUT],
    ),
    "CDK: the console, then cdk deploy --all": (
        [listed(), *bootstrap([f"r-{i}" for i in range(MANY)])],
        {("stream", "HIGH"): 1},  # a known false positive; the page says how to exclude it
        [SEARCH],
    ),
    "CDK in fewer regions than the threshold": (
        [listed(), *bootstrap([f"r-{i}" for i in range((T - 1) // 4)])],
        {},
        [],
    ),
    "a shared SAML role": (
        shared_role(),
        {},
        [SEARCH],
    ),
    "kiam, IRSA, an agent with the wrong external ID": (wrong_id(), {}, []),
    "the same, with a ListRoles": ([listed(AUDIT), *wrong_id()], {}, []),
    "the IAM console, by somebody who was just denied": (
        [denied(role_arn("Admin")), *(listed(time=START + i) for i in range(9))],
        {},
        [],
    ),
    # Errors that are not about access, and targets
    "a scanner whose own token has expired": (
        [listed(AUDIT), *spray(AUDIT, errorCode="ExpiredTokenException")],
        {},
        [],
    ),
    "throttled": ([listed(), *spray(errorCode="ThrottlingException")], {}, []),
    "a service": ([*spray(service("lambda.amazonaws.com"))], {}, []),
    "messages of 2026": (
        [listed(), *spray(tail=TRAILER)],
        {("stream", "HIGH"): 1},
        [SEARCH],
    ),
    "a wrong MFA code": (
        [
            listed(),
            *spray(errorMessage="MultiFactorAuthentication failed with invalid MFA code."),
        ],
        {},
        [],
    ),
    "messages without a resource": (
        [
            listed(),
            *spray(
                errorMessage="User: x is not authorized to perform: sts:AssumeRole "
                "because no role trust policy allows the sts:AssumeRole action"
            ),
        ],
        {},
        [],
    ),
    "one role under many paths": (
        [listed(), *(denied(role_arn(f"p{i}/One"), time=START + i) for i in range(MANY))],
        {},
        [],
    ),
    # Principals
    "a person of Identity Center in many accounts": (
        one_person_everywhere(),
        {("stream", "MEDIUM"): 1},
        [FAN_OUT],
    ),
    "a role that is only named like one of Identity Center": (
        lookalikes(),
        {("stream", "HIGH"): 1},
        [SEARCH],
    ),
    "people of Identity Center who share a permission set": (
        [
            listed(DANA),
            *(
                denied(
                    role_arn(f"Role{i}"), identity(PrincipalKind.SSO, f"p{i}@x.org", ""), START + i
                )
                for i in range(MANY)
            ),
        ],
        {},
        [],
    ),
}


def outcome_of(tmp_path, records, **options):
    trail = tmp_path / "trail.jsonl"
    lines = (json.dumps({"eventID": f"e-{i}"} | record) for i, record in enumerate(records))
    trail.write_text("\n".join(lines) + "\n")
    outcome = replayed(trail, **options)
    assert outcome.complete
    return outcome


def kinds(outcome):
    found = ((NAMES[alert.metadata.rule_id], alert.severity) for alert in outcome.alerts)
    return dict(Counter(found))


@pytest.mark.long
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_has_the_alerts_that_an_analyst_wants(tmp_path, name):
    records, alerts, patterns = STREAMS[name]
    assert kinds(outcome_of(tmp_path, records)) == alerts
    rows = rows_of(HUNT, records, now=START + 10 * 86_400)
    assert [row["pattern"] for row in rows] == patterns


class TestBlocklist:
    """The records of one use of a blocklisted role."""

    BLOCKED = role_arn("FullAdminRole")

    def test_a_role_switched_to_in_the_console_is_one_alert(self, tmp_path):
        internal = {"sourceIPAddress": "AWS Internal"}
        switch = {"eventSource": "signin.amazonaws.com", "eventType": "AwsConsoleSignIn"}
        records = [assumed(self.BLOCKED) | internal, call("SwitchRole", **switch)]
        outcome = outcome_of(tmp_path, records, include_disabled=True)
        assert kinds(outcome) == {("blocklist", "HIGH"): 1}

    def test_the_copy_in_the_roles_account_is_not_a_second_alert(self, tmp_path):
        records = copied(assumed(self.BLOCKED))
        outcome = outcome_of(tmp_path, records, include_disabled=True)
        assert kinds(outcome) == {("blocklist", "HIGH"): 1}

    def test_failures_and_other_roles_do_not_alert(self, tmp_path):
        records = [denied(self.BLOCKED), assumed(role_arn("Other")), assumed(self.BLOCKED, DEPLOY)]
        assert kinds(outcome_of(tmp_path, records, include_disabled=True)) == {}


class TestSettings:
    """Some streams with other settings."""

    def test_expected_principals_raise_no_alert_of_any_kind(self, tmp_path, with_settings):
        expected = ["*:user/alice", "*:role/Terraform*"]
        content = with_settings(EXPECTED_PRINCIPALS=expected, COLLAPSE_SESSIONS=True)
        records = [listed(), *spray(), assumed(IN, time=LAST + 60), *terraform()]
        trail = tmp_path / "t.jsonl"
        write_lines(trail, records)
        assert replayed(trail, content=content).alerts == []

    @pytest.mark.long
    def test_people_of_a_listed_saml_role_are_principals(self, tmp_path, with_settings):
        content = with_settings(PERSON_ROLE_PREFIXES=["OktaSSO-"])
        person = identity(PrincipalKind.ROLE, "OktaSSO-Dev", "p1@x.org")
        trail = tmp_path / "t.jsonl"
        records = [listed(person), *shared_role()]
        write_lines(trail, records)
        assert replayed(trail).alerts and not replayed(trail, content=content).alerts

    @pytest.fixture
    def with_settings(self, content_copy):
        def change(**values):
            change_settings(content_copy, **values)
            return content_copy

        return change


class TestWhatThePageAdvises:
    """Exclusions and options from docs/multiple-failed-role-attempts.md."""

    @pytest.fixture
    def alerts_with(self, content_copy, tmp_path):
        def alerts_with(old, new, records):
            names = ("aws_multiple_failed_role_attempts", "aws_role_search")
            rules = [content_copy / f"rules/aws_cloudtrail_rules/{name}.yml" for name in names]
            for rule in [rule for rule in rules if old in rule.read_text()]:
                rule.write_text(rule.read_text().replace(old, new, 1))
            trail = tmp_path / "t.jsonl"
            write_lines(trail, records)
            outcome = replayed(trail, content=content_copy)
            return Counter((a.metadata.rule_id, a.severity) for a in outcome.alerts)

        return alerts_with

    def test_a_filter_on_the_message_excludes_the_cdk(self, alerts_with):
        condition = (
            "  - KeyPath: errorMessage\n    Condition: DoesNotContain\n    Value: role/cdk-\n"
        )
        cdk = STREAMS["CDK: the console, then cdk deploy --all"][0]
        backdoors = STREAMS["backdoor service-linked roles"][0]
        others = [r | {"userIdentity": AUDIT, "errorMessage": None} for r in backdoors]
        found = alerts_with("Tags:\n", f"{condition}Tags:\n", [*cdk, listed(AUDIT), *others])
        assert list(found.values()) == [1]

    def test_create_alert_makes_alerts_of_bursts_without_discovery(self, alerts_with):
        found = alerts_with("CreateAlert: false", "CreateAlert: true", spray())
        assert found == {("AWS.CloudTrail.MultipleFailedRoleAttempts", "MEDIUM"): 1}


def test_recorded_cloudtrail_raises_no_alert_at_the_shipped_settings(content_copy):
    shipped(content_copy)
    recorded = sorted(RECORDED.glob("*.jsonl"))
    if not recorded:
        pytest.skip(f"no recorded CloudTrail in {RECORDED}")
    for path in recorded:
        outcome = replayed(path, content=content_copy, include_disabled=True)
        assert outcome.tally.records and not outcome.errors.counts, path
        assert [alert.title for alert in outcome.alerts] == [], path
