"""The verdict: the one sentence that an analyst reads first."""

import pytest

from local_panther.alerts.incidents import incidents_of
from local_panther.alerts.model import RULE_ERROR
from local_panther.roles.log import MAX_CALLS, RoleLog
from local_panther.simulate.identities import ACCOUNT, PrincipalKind
from local_panther.simulate.scenario import Api
from tests.builders.alerts import alert, log_of
from tests.builders.events import START, call, denied, denied_update, role_arn
from tests.builders.replays import replayed, simulated

CALLER = "mallory (IAM user, 123456789012) from 198.51.100.23 by aws-cli"
LISTED = "listed roles 2 min 30 s before"
ATTACKS = [
    ({}, f"DENIED AssumeRole on all 12 roles: {CALLER}, over 10 min; {LISTED}"),
    (
        {"succeed": 1},
        f"ENTERED 1 of 12 roles: {CALLER}, over 14 min; {LISTED}; "
        "first success NetworkOperatorRole 10:16:30Z",
    ),
    (
        {"roles": 300, "minutes": 25, "succeed": 1},
        f"ENTERED 1 of 300 roles: {CALLER}, over 29 min; {LISTED}; "
        "first success NetworkOperatorRole10 10:31:30Z",
    ),
    (
        {"principal": PrincipalKind.SSO, "succeed": 2},
        "ENTERED 2 of 12 roles: mallory@example.com (Identity Center) from 198.51.100.23 by "
        f"aws-cli, over 18 min; {LISTED}; first success NetworkOperatorRole 10:16:30Z",
    ),
]


@pytest.mark.parametrize(("scenario", "sentence"), ATTACKS)
def test_the_sentence_of_an_attack_has_outcome_principal_address_and_times(
    tmp_path, scenario, sentence
):
    (incident,) = replayed(simulated(tmp_path / "t", **scenario)).incidents
    assert incident.sentence == sentence


def test_a_person_who_assumes_a_blocklisted_role_entered_it(tmp_path):
    trail = simulated(tmp_path / "t", roles=1, blocklisted=role_arn("FullAdminRole"))
    (incident,) = replayed(trail, include_disabled=True).incidents
    assert incident.sentence == (
        "ENTERED role FullAdminRole: trent (IAM user, 123456789012) from 203.0.113.10 by aws-cli, "
        "2026-01-05T10:01:00Z"
    )


def of_records(*records, **fields):
    (incident,) = incidents_of([alert(*records, **fields)], log_of(*records))
    return incident.sentence


@pytest.mark.parametrize("gets_in", [True, False])
def test_a_flood_of_failures_afterwards_hides_no_success(gets_in):
    first = call("AssumeRole", requestParameters={"roleArn": role_arn("In")}, eventID="in")
    failed = [denied(role_arn(f"R{i}"), eventID=f"{i}") for i in range(MAX_CALLS + 5)]
    sentence = of_records(*[first][:gets_in], *failed)
    count = f"{MAX_CALLS + gets_in:,} roles or more"
    assert sentence.startswith(
        f"ENTERED 1 of {count}" if gets_in else f"DENIED AssumeRole on {count}"
    )


def test_a_changed_trust_policy_is_named():
    policy = {"roleName": "B"}
    changed = call("UpdateAssumeRolePolicy", time=START + 9, requestParameters=policy, eventID="2")
    sentence = of_records(denied(role_arn("A"), eventID="1"), changed)
    assert sentence.startswith("CHANGED the trust policy of 1 of 2 roles: alice")
    assert sentence.endswith("; first change B 10:00:09Z")


def test_several_changed_trust_policies_are_all_named():
    records = [
        denied(role_arn("A"), eventID="1"),
        changed("B", START + 9),
        changed("C", START + 19),
    ]
    sentence = of_records(*records)
    assert sentence.startswith("CHANGED the trust policy of 2 of 3 roles: alice")
    assert sentence.endswith("; first change B 10:00:09Z; changed the trust policy of B and 1 more")


def changed(name, time=START, **fields):
    policy = {"requestParameters": {"roleName": name}}
    return call("UpdateAssumeRolePolicy", time=time, eventID=f"changed {name}", **policy, **fields)


def entered(name, time=START, account=ACCOUNT):
    parameters = {"requestParameters": {"roleArn": role_arn(name, account)}}
    return call("AssumeRole", time=time, eventID=f"entered {name} {account}", **parameters)


ACCOUNTS = [f"1111222233{number:02}" for number in range(12)]
ANSWERS = [
    ([changed("B")], "CHANGED the trust policy of role B: "),
    ([changed("B"), entered("B")], "ENTERED role B: "),
    (
        [denied(role_arn("A"), eventID="1"), entered("C"), changed("B")],
        "ENTERED 1 of 3 roles, CHANGED the trust policy of 1: ",
    ),
    ([denied_update("A", eventID="1")], "DENIED UpdateAssumeRolePolicy on role A: "),
    (
        [denied_update("A", eventID="1"), *(denied(role_arn(n), eventID=n) for n in "BC")],
        "DENIED AssumeRole and UpdateAssumeRolePolicy on all 3 roles: ",
    ),
    (
        [denied(role_arn("Audit", account), eventID=account) for account in ACCOUNTS],
        "DENIED AssumeRole on 1 role name in 12 accounts: ",
    ),
    (
        [
            *(denied(role_arn("Audit", account), eventID=account) for account in ACCOUNTS),
            entered("Audit", START + 60, ACCOUNTS[0]),
        ],
        "ENTERED 1 of 12 roles, 1 role name in 12 accounts: ",
    ),
]


@pytest.mark.parametrize(("records", "answer"), ANSWERS)
def test_the_sentence_begins_with_the_outcome_and_the_number_of_roles(records, answer):
    assert of_records(*records).startswith(answer)


def test_a_listing_afterwards_and_several_addresses_are_named():
    records = [
        denied(role_arn(f"R{i}"), time=START + i, eventID=f"{i}", sourceIPAddress=f"192.0.2.{i}")
        for i in range(3)
    ]
    sentence = of_records(*records, call("ListRoles", time=START + 300, eventID="l"))
    assert "from 192.0.2.0 and 2 more" in sentence
    assert sentence.endswith("listed roles 5 min after the first attempt")


def test_a_success_on_the_next_day_has_its_date():
    night = START + 14 * 3600 - 60
    parameters = {"roleArn": role_arn("A")}
    entered = call("AssumeRole", time=night + 120, eventID="2", requestParameters=parameters)
    sentence = of_records(
        denied(role_arn("A"), time=night, eventID="1"),
        denied(role_arn("B"), time=night, eventID="3"),
        entered,
        first=night,
    )
    assert "first success A 2026-01-06T00:01:00Z" in sentence


class TestAlertsOfSeveralKinds:
    """The most severe alert leads the sentence, whatever it is about."""

    def of(self, severity_of_deletion):
        deleted = call("DeleteDBInstance", time=START + 2400, eventID="deleted")
        alerts = [
            alert(changed("Ops"), severity="HIGH", title="Trust policy changed"),
            alert(
                deleted,
                severity=severity_of_deletion,
                title="RDS Instance Deleted: prod-db, without a final snapshot",
                rule_id="AWS.RDS.Deleted",
                first=START + 2400,
            ),
        ]
        (incident,) = incidents_of(alerts, log_of(changed("Ops"), deleted))
        return incident

    def test_a_more_severe_alert_leads_and_the_roles_follow(self):
        incident = self.of("CRITICAL")
        assert incident.sentence.startswith(
            "RDS Instance Deleted: prod-db, without a final snapshot and 1 more alert: alice"
        )
        assert incident.sentence.endswith("; CHANGED the trust policy of role Ops")
        assert incident.headline.startswith("RDS Instance Deleted")

    def test_roles_lead_if_their_alert_is_the_most_severe(self):
        incident = self.of("LOW")
        assert incident.sentence.startswith("CHANGED the trust policy of role Ops: alice")
        assert incident.headline == "CHANGED the trust policy of role Ops"

    def test_each_alert_has_a_sentence_of_its_own(self):
        incident = self.of("CRITICAL")
        about = {a.title[:3]: incident.sentence_of(a) for a in incident.alerts}
        assert about["RDS"].startswith("RDS Instance Deleted: prod-db")
        assert "Ops" not in about["RDS"] and "more alert" not in about["RDS"]
        assert about["Tru"].startswith("CHANGED the trust policy of role Ops")


class TestOtherRules:
    """Rules that are not about roles, and rows of queries without a principal."""

    def of(self, *alerts):
        (incident,) = incidents_of(alerts, RoleLog())
        return incident.sentence

    def test_a_call_has_title_caller_address_and_time(self):
        assert self.of(alert(title="Bucket deleted")) == (
            "Bucket deleted: alice (IAM user, 123456789012) from 203.0.113.10 by aws-cli, "
            "1 event at 2026-01-05T10:00:00Z"
        )

    def test_several_alerts_say_how_many_and_how_long(self):
        alerts = [alert(title="Bucket deleted", severity="CRITICAL"), alert(first=START + 90)]
        assert self.of(*alerts).startswith("Bucket deleted and 1 more alert: alice")
        assert self.of(*alerts).endswith("2 events in 1 min 30 s")

    def test_a_row_that_names_nobody_has_title_and_time(self):
        assert self.of(alert({"count": 5}, title="Many")) == "Many: at 2026-01-05T10:00:00Z"

    def test_the_sentence_of_a_rule_that_raised_says_that_it_did_not_check(self):
        raised = alert(kind=RULE_ERROR, title="Rule raised KeyError", event_count=3)
        assert self.of(raised) == "NOT CHECKED: Rule raised KeyError on 3 events"


def test_foreign_content_gets_the_same_facts(tmp_path):
    from tests.builders.content import write_rules

    body = """
        def rule(event):
            return event.get("errorCode") == "AccessDenied"
        def dedup(event):
            return "all"
    """
    folder = write_rules(tmp_path / "content", denied=body)
    trail = simulated(
        tmp_path / "t", api=Api.UPDATE_TRUST_POLICY, ordinary=0, succeed=1, follow_up=True
    )
    (incident,) = replayed(trail, content=folder).incidents
    assert incident.sentence.startswith("ENTERED 1 of 12 roles: mallory")
