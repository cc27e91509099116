"""The package's queries, run on generated records."""

import itertools
import json
from collections import defaultdict

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_panther.content.sql import parse_sql, scanned_event_names
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.lake import Lake
from local_panther.simulate.identities import PrincipalKind, identity, service
from tests.builders.events import (
    ALICE,
    REPO,
    START,
    call,
    denied,
    denied_update,
    read_record,
    role_arn,
)
from tests.builders.replays import correlation_alerts, replayed

FILES = sorted((REPO / "queries").glob("*.yml"))
SPECS = {path.stem: yaml.safe_load(path.read_text()) for path in FILES}
SUCCEEDED = "aws_role_escalation_succeeded_query"
HUNT = "aws_role_escalation_hunt_query"
ALERT = {"principal": ALICE["arn"], "alert_time": "2026-01-05 10:30:00"}
BOB = identity(PrincipalKind.USER, "bob", "")
MINUTE = 60


def sql_of(name):
    return parse_sql(SPECS[name]["SnowflakeQuery"])


def rows_of(name, records, now=START + 7200, **options):
    with Lake() as lake:
        for number, record in enumerate(records):
            lake.add(read_record({"eventID": str(number), **record}))
        sql = transpile_sql(sql_of(name), **options)
        return lake.query(sql, now)


def burst(count=12, who=ALICE, start=START, step=30):
    return [denied(role_arn(f"Role{i}"), who, start + i * step) for i in range(count)]


def assumed(name, who=ALICE, time=START + 20 * MINUTE):
    return call("AssumeRole", who, time, requestParameters={"roleArn": role_arn(name)})


def trusted(name, who=ALICE, time=START + 20 * MINUTE):
    parameters = {"roleName": name, "policyDocument": "{}"}
    return call("UpdateAssumeRolePolicy", who, time, requestParameters=parameters)


@pytest.mark.parametrize("name", SPECS)
class TestFiles:
    def test_parse_and_run_on_no_records_at_all(self, name):
        assert rows_of(name, []) == []

    def test_say_what_their_answer_means(self, name):
        assert len(SPECS[name]["Description"]) > 100

    def test_see_no_more_of_cloudtrail_than_they_need(self, name):
        if name != "aws_activity_from_address_query":
            names = {"AssumeRole", "UpdateAssumeRolePolicy", "ListRoles"}
            assert scanned_event_names(sql_of(name)) == names


def test_one_definition_of_principal_and_target_stands_in_every_query():
    blocks = {name: set() for name in ("named AS", "role_calls AS", "attempts AS", "bursts AS")}
    for spec in SPECS.values():
        text = spec["SnowflakeQuery"]
        for start in blocks:
            if f"\n{start}" in text:
                begin = text.index(f"\n{start}")
                blocks[start].add(text[begin : text.index("\n)", begin)])
    assert [len(found) for found in blocks.values()] == [1, 1, 1, 1]


class TestSucceeded:
    def roles(self, *records):
        return [row["role"].split("/")[-1] for row in rows_of(SUCCEEDED, records)]

    def test_tells_role_time_address_and_how_long_after_the_first_failure(self):
        (row,) = rows_of(SUCCEEDED, [*burst(), assumed("Role3")])
        assert row["principal"] == ALICE["arn"] and row["role"] == role_arn("Role3")
        assert row["event_time"] == "2026-01-05 10:20:00.000"
        assert row["crossed_at"] == "2026-01-05 10:04:30.000"
        assert row["first_failure"] == "2026-01-05 10:01:30.000"
        assert row["seconds_after_first_failure"] == 18 * 60 + 30
        assert row["failed_before"] is True and row["distinct_targets"] == 12
        assert row["sourceIPAddress"] == "203.0.113.10" and row["eventID"] == "12"

    def test_puts_roles_first_that_were_failed_on(self):
        other = assumed("Other", time=START + 10 * MINUTE)
        assert self.roles(*burst(), other, assumed("Role3")) == ["Role3", "Other"]

    def test_takes_a_changed_trust_policy_of_a_role_that_could_not_be_assumed(self):
        (row,) = rows_of(SUCCEEDED, [*burst(), trusted("Role3")])
        assert row["api"] == "UpdateAssumeRolePolicy" and row["failed_before"] is True

    @pytest.mark.parametrize(
        "records",
        [
            burst(),
            [*burst(9), assumed("Role3")],
            [*burst(), assumed("Role3", BOB)],
            [assumed("Role3", time=START - 60), *burst()],
            [*burst(), assumed("Role3", time=START + 70 * MINUTE)],
            # a new role that propagates: failed on, assumed within two minutes, no crossing
            [denied(role_arn("New"), time=START), assumed("New", time=START + 90)],
            [*burst(who=service("lambda.amazonaws.com")), assumed("Role3")],
        ],
    )
    def test_is_empty_where_nobody_got_in_after_a_burst(self, records):
        assert rows_of(SUCCEEDED, records) == []

    def test_counts_the_sessions_of_a_role_together(self):
        who = [identity(PrincipalKind.ROLE, "Deploy", f"s{i}") for i in range(13)]
        records = [denied(role_arn(f"R{i}"), who[i], START + i) for i in range(12)]
        assert self.roles(*records, assumed("R1", who[12])) == ["R1"]


class TestTriage:
    def records(self):
        listing = call("ListRoles", time=START - 60)
        others = [denied(role_arn("Role1"), BOB), assumed("Role1", BOB), assumed("Free", BOB)]
        return [listing, *burst(12), denied(role_arn("Role0"), time=START + 500), *others]

    def test_calls_of_a_principal_are_told_in_order_with_the_crossing(self):
        rows = rows_of(
            "aws_role_calls_of_principal_query",
            [*self.records(), assumed("Role3")],
            parameters=ALERT,
        )
        marks = [row["mark"] for row in rows]
        assert marks[0] == "discovery" and marks[-1] == "success"
        assert (marks.count("failure"), marks.count("crossing")) == (13, 1)
        (crossing,) = [row for row in rows if row["mark"] == "crossing"]
        assert crossing["event_time"] == "2026-01-05 10:04:30.000"

    def test_targets_are_told_with_their_attempts(self):
        rows = rows_of("aws_role_attempt_targets_query", self.records(), parameters=ALERT)
        assert len(rows) == 12
        assert rows[0] == {
            "target": role_arn("Role0"),
            "api": "AssumeRole",
            "attempts": 2,
            "errors": "AccessDenied",
            "first_attempt": "2026-01-05 10:00:00.000",
            "last_attempt": "2026-01-05 10:08:20.000",
        }

    def test_successes_after_failures_are_found(self):
        records = [*self.records(), assumed("Role3"), assumed("Free")]
        rows = rows_of("aws_role_successes_after_failures_query", records, parameters=ALERT)
        assert [row["target"] for row in rows] == [role_arn("Role3")]
        assert rows[0]["seconds_between"] == 1200 - 90

    def test_other_principals_on_the_same_targets_are_found(self):
        query = "aws_role_targets_other_principals_query"
        rows = rows_of(query, self.records(), parameters=ALERT)
        assert {(row["principal"], row["outcome"], row["calls"]) for row in rows} == {
            (BOB["arn"], "failure", 1),
            (BOB["arn"], "success", 1),
        }

    def test_activity_from_an_address_is_counted_by_caller_and_call(self):
        elsewhere = call("ListBuckets", BOB, sourceIPAddress="192.0.2.99")
        parameters = {"address": "203.0.113.10", "alert_time": ALERT["alert_time"]}
        query = "aws_activity_from_address_query"
        rows = rows_of(query, [*self.records(), elsewhere], parameters=parameters)
        assert rows[0]["caller"] == ALICE["arn"] and rows[0]["calls"] == 13
        assert "ListBuckets" not in {row["event_name"] for row in rows}


PEOPLE = [
    ALICE,
    BOB,
    identity(PrincipalKind.ROLE, "Deploy", "s1"),
    identity(PrincipalKind.ROLE, "Deploy", "s2"),
    identity(PrincipalKind.SSO, "dana@example.com", ""),
    identity(PrincipalKind.SSO, "eve@example.com", ""),
    identity(PrincipalKind.FEDERATED, "carol", ""),
    {
        k: v
        for k, v in identity(PrincipalKind.ROLE, "Deploy", "s3").items()
        if k != "sessionContext"
    },
    service("lambda.amazonaws.com"),
]


@st.composite
def attacks(draw):
    """Bursts of several callers near the threshold, with discovery near or far or none."""
    records = []
    for who in draw(st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=4)):
        start = START + draw(st.integers(0, 4)) * 1800 + draw(st.integers(-2, 2))
        count, step = draw(st.integers(8, 13)), draw(st.sampled_from([1, 60, 300, 400]))
        make = draw(st.sampled_from([denied, denied_update]))
        for i in range(count):
            name = f"R{i % draw(st.sampled_from([9, 12, 99]))}"
            tail = {"errorCode": "Throttling"} if draw(st.integers(0, 30)) == 0 else {}
            target = role_arn(name) if make is denied else name
            records.append(make(target, who, start + i * step, **tail))
        if draw(st.booleans()):
            offset = draw(st.sampled_from([-9000, -5400, -60, 0, 3600, 5400, 5401, 9000]))
            records.append(call("ListRoles", who, start + offset))
    return records


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(attacks())
def test_the_hunt_and_the_streaming_detection_agree(tmp_path, records):
    """Two independent implementations of one definition: SQL over the lake, and rules over the
    stream with state in the key-value store."""
    records = [record | {"eventID": str(i)} for i, record in enumerate(records)]
    trail = tmp_path / f"{next(NUMBERS)}.jsonl"
    trail.write_text("".join(json.dumps(record) + "\n" for record in records))
    outcome = replayed(trail)
    assert outcome.complete
    found = rows_of(HUNT, records, now=START + 86_400)
    assert {alert.match_value for alert in correlation_alerts(outcome)} == {
        row["principal"] for row in found if row["discovery_at"]
    }
    signals = defaultdict(int)
    for row in found:
        signals[row["principal"]] += 1
    assert bool(signals) == bool(outcome.signals["AWS.CloudTrail.MultipleFailedRoleAttempts"])


NUMBERS = itertools.count()
