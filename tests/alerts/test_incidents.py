"""Incidents: which alerts belong together, and which comes first."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_panther.alerts.incidents import GAP, incidents_of, principal_of_alert
from local_panther.alerts.model import MAX_EVENTS, RULE_ERROR
from local_panther.output.jsonlines import as_json
from local_panther.roles.log import RoleLog
from local_panther.roles.settings import shipped_settings
from local_panther.simulate.identities import PrincipalKind, identity
from local_panther.simulate.scenario import Api
from tests.builders.alerts import alert, log_of
from tests.builders.events import ALICE, START, call, denied, denied_update, role_arn, user
from tests.builders.replays import replayed, simulated

SETTINGS = shipped_settings()
PAUSE = SETTINGS.window
LEAD, LAG = SETTINGS.lead_seconds, SETTINGS.success_seconds
BOB = user("bob")


class TestJoining:
    @pytest.mark.parametrize(("apart", "count"), [(0, 1), (GAP, 1), (GAP + 1, 2)])
    def test_alerts_of_one_principal_within_the_gap_are_one_incident(self, apart, count):
        alerts = [alert(first=START), alert(first=START + apart, rule_id="Other")]
        assert len(incidents_of(alerts, RoleLog())) == count

    def test_the_gap_counts_from_the_end_of_the_longest_alert(self):
        long = alert(first=START, last=START + 5 * GAP)
        alerts = [long, alert(first=START + 60), alert(first=START + 6 * GAP)]
        (incident,) = incidents_of(alerts, RoleLog())
        assert (incident.first, incident.last) == (START, START + 6 * GAP)

    def test_alerts_of_two_principals_are_two_incidents(self):
        assert len(incidents_of([alert(), alert(who=BOB)], RoleLog())) == 2

    def test_alerts_that_name_nobody_and_rule_errors_stay_alone(self):
        alerts = [alert({}), alert({}), alert(kind=RULE_ERROR), alert(kind=RULE_ERROR)]
        assert len(incidents_of(alerts, RoleLog())) == 4

    def test_an_incident_has_the_highest_severity_and_that_alert_first(self):
        alerts = [alert(severity=name) for name in ("LOW", "CRITICAL", "INFO")]
        (incident,) = incidents_of(alerts, RoleLog())
        assert incident.severity == "CRITICAL"
        assert [a.severity for a in incident.alerts] == ["CRITICAL", "LOW", "INFO"]

    @given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from([ALICE, BOB]))))
    def test_every_alert_is_in_one_incident_and_neighbours_are_far_apart(self, found):
        alerts = [alert(first=START + hour * 3600, who=who) for hour, who in found]
        incidents = incidents_of(alerts, RoleLog())
        inside = [id(a) for incident in incidents for a in incident.alerts]
        assert sorted(inside) == sorted(map(id, alerts))
        assert [incident.number for incident in incidents] == list(range(1, len(incidents) + 1))
        for one in incidents:
            for other in incidents:
                if one.principal == other.principal and one.first < other.first:
                    assert other.first > one.last + GAP


class TestOrder:
    def test_incidents_are_in_order_of_severity_roles_entered_roles_tried_and_time(self):
        def attack(name, entered, tried, first, severity="HIGH"):
            who = user(name)
            records = [
                denied(role_arn(f"R{i}"), who, first + i, eventID=f"{name}-{i}")
                for i in range(tried)
            ]
            records += [
                call(
                    "AssumeRole",
                    who,
                    first + 100 + i,
                    eventID=f"{name}+{i}",
                    requestParameters={"roleArn": role_arn(f"R{i}")},
                )
                for i in range(entered)
            ]
            return alert(*records, first=first, severity=severity), records

        made = [
            attack("late", 0, 5, START + 50),
            attack("early", 0, 5, START),
            attack("busy", 0, 9, START + 90),
            attack("inside", 1, 2, START + 90),
            attack("worst", 0, 1, START + 99, "CRITICAL"),
        ]
        log = log_of(*(record for _, records in made for record in records))
        incidents = incidents_of([found for found, _ in made], log)
        names = [incident.principal.rsplit("/")[-1] for incident in incidents]
        assert names == ["worst", "inside", "busy", "early", "late"]


class TestPrincipal:
    def test_the_principal_is_the_one_in_the_context(self):
        assert principal_of_alert(alert(context={"principal": "somebody"}), RoleLog()) == "somebody"

    def test_the_principal_is_the_role_of_any_session(self):
        who = identity(PrincipalKind.ROLE, "Build", "session-7")
        log = RoleLog(replace(shipped_settings(), collapse_sessions=True))
        assert principal_of_alert(alert(who=who), log) == role_arn("Build")

    def test_the_principal_is_a_value_in_the_row_of_a_query(self):
        log = log_of(denied(role_arn("A")))
        row = {"count": 3, "roles": ["x"], "actor": ALICE["arn"]}
        assert principal_of_alert(alert(row), log) == ALICE["arn"]
        assert principal_of_alert(alert(row), RoleLog()) == ""


class TestChains:
    """One actor under several names: a key that is issued in one incident is used in another."""

    def test_a_session_names_the_incident_in_which_it_was_issued(self):
        key = "ASIAEXAMPLEJUMP00001"
        issued = {"responseElements": {"credentials": {"accessKeyId": key}}}
        parameters = {"requestParameters": {"roleArn": role_arn("Jump")}}
        entered = call("AssumeRole", time=START + 60, eventID="in", **parameters) | issued
        session = identity(PrincipalKind.ROLE, "Jump", "s") | {"accessKeyId": key}
        tried = [
            denied(role_arn(f"R{i}"), session, START + 90 + i, eventID=f"r{i}") for i in range(3)
        ]
        other = denied(role_arn("R"), BOB, START + 90, eventID="bob")
        log = log_of(entered, *tried, other)
        made = [
            alert(entered, severity="CRITICAL", first=START + 60),
            alert(*tried, first=START + 90),
            alert(other, who=BOB, first=START + 90),
            alert(who=session, first=START + 9 * GAP, title="Bucket deleted"),
        ]
        incidents = incidents_of(made, log)
        of = {incident.sentence.partition(":")[0]: incident.session_of for incident in incidents}
        assert of == {
            "ENTERED role Jump": 0,
            "DENIED AssumeRole on all 3 roles": 1,
            "DENIED AssumeRole on role R": 0,
            "Bucket deleted": 1,
        }
        assert "; session of incident 1; same address as incident 3" in incidents[1].sentence

    def test_incidents_of_one_address_at_one_time_name_each_other(self):
        def of(name, first, address):
            who = user(name)
            event = call("DeleteBucket", who, first, eventID=name, sourceIPAddress=address)
            return alert(event, who=who, first=first)

        alerts = [
            of("anna", START, "198.51.100.7"),
            of("berta", START + 600, "198.51.100.7"),
            of("clara", START + 600, "198.51.100.8"),
            of("dora", START + 9 * GAP, "198.51.100.7"),
            of("emma", START, "cloudformation.amazonaws.com"),
            of("frida", START, "cloudformation.amazonaws.com"),
        ]
        found = {i.who.partition(" ")[0]: i for i in incidents_of(alerts, RoleLog())}
        assert found["anna"].same_address == (found["berta"].number,)
        assert found["berta"].same_address == (found["anna"].number,)
        others = ("clara", "dora", "emma", "frida")
        assert not any(found[name].same_address for name in others)
        assert found["anna"].sentence.endswith(f"same address as incident {found['berta'].number}")

    def test_an_address_of_many_incidents_links_none(self):
        people = [user(f"p{i}") for i in range(30)]
        alerts = [alert(call("DeleteBucket", who, eventID=who["arn"]), who=who) for who in people]
        assert not any(incident.same_address for incident in incidents_of(alerts, RoleLog()))

    def test_source_identities_of_one_role_are_named(self):
        people = [
            identity(PrincipalKind.ROLE, "Shared", "s")
            | {"sessionContext": {"sourceIdentity": f"p{i}@example.com"}}
            for i in range(12)
        ]
        tried = [
            denied(role_arn(f"R{i}"), who, START + i, eventID=f"{i}")
            for i, who in enumerate(people)
        ]
        (incident,) = incidents_of([alert(*tried, first=START)], log_of(*tried))
        assert "12 source identities: " in incident.sentence
        assert "@example.com and 11 more" in incident.sentence


class TestRoleFacts:
    """The calls that belong to an alert about a failed attempt."""

    def facts(self, *records):
        (incident,) = incidents_of([alert(records[0])], log_of(*records))
        return incident

    def failed(self, name, offset=0):
        return denied(role_arn(name), time=START + offset, eventID=f"{name}{offset}")

    def assumed(self, name, offset):
        parameters = {"roleArn": role_arn(name)}
        return call("AssumeRole", time=START + offset, eventID="in", requestParameters=parameters)

    @pytest.mark.parametrize(
        ("offset", "entered"),
        [(-LEAD, 1), (-LEAD - 1, 0), (0, 1), (100 + LAG, 1), (101 + LAG, 0)],
    )
    def test_a_success_counts_from_shortly_before_the_burst_to_an_hour_after_it(
        self, offset, entered
    ):
        incident = self.facts(
            self.failed("A"), self.failed("B", 100), self.assumed("Other", offset)
        )
        assert incident.entered == entered and incident.tried == 2 + entered

    def test_a_success_counts_from_the_listing_on(self):
        listing = call("ListRoles", time=START - LAG, eventID="l")
        early = self.assumed("Early", 1 - LAG)
        assert self.facts(self.failed("A"), listing, early).entered == 1
        assert self.facts(self.failed("A"), early).entered == 0

    def test_a_success_on_a_role_that_had_failed_counts_at_any_time(self):
        late = self.assumed("A", 30 * 86_400)
        assert self.facts(self.failed("A"), self.failed("B", 9), late).entered == 1
        assert self.facts(self.failed("B"), late).entered == 0

    def test_habits_are_counted_but_are_not_entries(self):
        routine = [self.assumed("Daily", -5 * 3600), self.assumed("Daily", 60)]
        incident = self.facts(self.failed("A"), *routine, self.assumed("New", 70))
        assert [found.role for found in incident.roles.entered] == ["123456789012:role/New"]
        assert incident.roles.habits == ("123456789012:role/Daily",)
        assert incident.sentence.endswith("also entered 1 more role, as on the day before")

    @pytest.mark.parametrize(("offset", "tried"), [(-PAUSE, 2), (-PAUSE - 1, 1), (PAUSE, 2)])
    def test_a_burst_belongs_to_its_alert_as_a_whole(self, offset, tried):
        assert self.facts(self.failed("A"), self.failed("B", offset)).tried == tried

    def test_one_role_is_one_target_by_any_api(self):
        policy = {"roleName": "A", "policyDocument": "{}"}
        incident = self.facts(
            denied_update("A", eventID="1"),
            call("UpdateAssumeRolePolicy", time=START + 60, requestParameters=policy),
            self.assumed("path/A", 120),
        )
        assert (incident.tried, incident.entered) == (1, 1)
        assert incident.roles.entered[0].api == "UpdateAssumeRolePolicy"

    def test_faults_and_unknown_roles_are_not_attempts(self):
        throttled = denied(role_arn("B"), errorCode="ThrottlingException", eventID="t")
        nameless = denied("", errorMessage="MultiFactorAuthentication failed", eventID="n")
        assert self.facts(self.failed("A"), throttled, nameless).tried == 1

    def test_an_alert_about_something_else_has_no_role_facts(self):
        bucket = call("DeleteBucket", eventID="other")
        (incident,) = incidents_of([alert(bucket)], log_of(self.failed("A"), bucket))
        assert incident.roles is None and (incident.tried, incident.entered) == (0, 0)


@pytest.mark.long
def test_a_trust_policy_attack_has_its_true_successes_and_the_times_of_its_events(tmp_path):
    trail = simulated(tmp_path / "t", api=Api.UPDATE_TRUST_POLICY, succeed=2)
    (incident,) = replayed(trail).incidents
    assert incident.severity == "CRITICAL" and len(incident.alerts) == 2
    assert (incident.tried, incident.entered) == (12, 2)
    success = START + 150 + 600 + 240  # listing, burst, and the pause before the first success
    assert [found.time for found in incident.roles.entered] == [success, success + 240]
    critical = incident.alerts[0]
    # The times in the query's row, which begins with the listing
    assert (critical.first, critical.last) == (START, success + 240)
    assert (incident.first, incident.last) == (START, success + 240)


def test_an_alert_keeps_the_first_events_and_counts_the_others():
    events = [{"eventID": f"{i}"} for i in range(MAX_EVENTS + 3)]
    made = alert(*events, *events)
    assert made.events == events[:MAX_EVENTS] and made.events_left_out == 3


def test_sessions_that_the_content_distinguishes_are_distinguished():
    sessions = [identity(PrincipalKind.ROLE, "Shared", name) for name in ("ann", "ben")]
    records = [
        denied(role_arn(f"R{i}"), who, START + i, eventID=f"{who['arn']}{i}")
        for who in sessions
        for i in range(3)
    ]
    alerts = [
        alert(*(r for r in records if r["userIdentity"] is who), context={"principal": who["arn"]})
        for who in sessions
    ]
    incidents = incidents_of(alerts, log_of(*records))
    assert [incident.tried for incident in incidents] == [3, 3]


@pytest.mark.long
def test_an_event_that_every_run_of_a_query_finds_counts_once(tmp_path):
    outcome = replayed(simulated(tmp_path / "t", succeed=3, roles=15))
    (incident,) = outcome.incidents
    critical = incident.alerts[0]
    line = as_json(critical, incident, outcome)
    assert line["event_count"] == len(line["event_ids"]) == 1 < critical.event_count
    assert line["last"] == "2026-01-05T10:24:30Z"  # time of the last success
    assert line["context"]["last_success"].startswith("2026-01-05 10:24:30")
