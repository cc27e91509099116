"""Tests of the package's queries over generated records."""

import itertools
import re
from collections import Counter
from unittest.mock import patch

import aws_role_activity_helpers as activity
import aws_role_escalation_config as config
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_panther.content.sql import parse_sql, scanned_event_names
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.lake import Lake
from local_panther.simulate.identities import ACCOUNT, SSO_PATH, PrincipalKind, identity, service
from local_panther.times import event_time
from tests.builders import queries
from tests.builders.content import write_lines
from tests.builders.events import (
    ALICE,
    START,
    burst,
    call,
    denied,
    denied_update,
    discovery,
    event,
    read_record,
    role_arn,
    user,
)
from tests.builders.queries import MACROS, WRITTEN, query_specs, sql_of
from tests.builders.replays import replayed
from tests.scale import examples

SPECS = query_specs()
SUCCEEDED = "aws_role_escalation_succeeded_query"
HUNT = "aws_role_escalation_hunt_query"
ALERT = {"principal": ALICE["arn"], "alert_time": "2026-01-05 10:30:00"}
BOB = user("bob")
MINUTE = 60
T, WINDOW = config.THRESHOLD, config.WINDOW_MINUTES * MINUTE
DISCOVERY = set(activity.DISCOVERIES)
ROLE_CALLS = {*activity.ATTEMPTS, *DISCOVERY}


def rows_of(name, records, now=START + 7200, parameters=None):
    return queries.rows_of(name, records, now, parameters)


def sql_time(time):
    return event_time(time).replace("T", " ").replace("Z", ".000")


def assumed(name, who=ALICE, time=START + 20 * MINUTE):
    return call("AssumeRole", who, time, requestParameters={"roleArn": role_arn(name)})


def trusted(name, who=ALICE, time=START + 20 * MINUTE):
    parameters = {"roleName": name, "policyDocument": "{}"}
    return call("UpdateAssumeRolePolicy", who, time, requestParameters=parameters)


@pytest.mark.parametrize("name", SPECS)
class TestFiles:
    def test_a_query_runs_over_no_records(self, name):
        assert rows_of(name, []) == []

    def test_a_query_describes_what_its_answer_means(self, name):
        assert len(SPECS[name]["Description"]) > 100

    def test_a_query_about_roles_reads_only_calls_on_roles(self, name):
        if name.startswith("aws_role_") and "session" not in name and "iam_changes" not in name:
            assert scanned_event_names(sql_of(name)) == ROLE_CALLS

    def test_a_query_has_a_limit_or_one_row_for_a_burst(self, name):
        if name not in (SUCCEEDED, "aws_role_attempts_tuning_query"):
            assert sql_of(name).args.get("limit")


def sql_written_in(name):
    """Return the SQL of a query, or of the macros, as written in its file."""
    return yaml.safe_load(WRITTEN[name])["SnowflakeQuery"]


def parts_of(text):
    """Yield the name and the body of each CTE that is written out in a text."""
    for found in re.finditer(r"(\w+|\{\{ name \}\}) AS \( *(?:--.*)?\n", text):
        depth, end = 1, found.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        yield found[1], " ".join(text[found.end() : end - 1].split())


class TestWritten:
    """Tests of the text of the files: macros, and queries that import them."""

    def test_no_part_of_a_query_is_written_twice(self):
        """The parameters are an exception, because people set them in the text of a query."""
        found = [
            (name, body)
            for file in WRITTEN
            for name, body in parts_of(sql_written_in(file))
            if name != "parameters"
        ]
        for which in zip(*found, strict=True):
            assert [text for text, count in Counter(which).items() if count > 1] == []
        assert len(found) > 15

    @pytest.mark.parametrize("name", SPECS)
    def test_a_query_imports_the_macros_that_it_uses_and_fits_on_a_screen(self, name):
        text = sql_written_in(name)
        imported = re.findall(r"\w+", "".join(re.findall(r"import '\w+' ([^%]+)%", text)))
        used = set(re.findall(r"(\w+)\(", "".join(re.findall(r"\{\{.*?\}\}", text))))
        assert set(imported) == used - {"p_occurs_since"} and len(imported) == len(set(imported))
        assert WRITTEN[name].count("\n") <= 60

    def test_macros_use_only_what_an_instance_can_render(self):
        """Its language is pongo2: one-line comments, no nested macros, no keyword arguments.

        Arguments of macros may be escaped as HTML, so they must not have quotes or comparisons.
        """
        macros = sql_written_in(MACROS)
        assert all("\n" not in comment for comment in re.findall(r"(?s)\{#.*?#\}", macros))
        assert re.findall(r"\{\{(.*?)\}\}", macros)
        for inserted in re.findall(r"\{\{(.*?)\}\}", macros):
            assert re.fullmatch(r" \w+ ", inserted)
        for name in SPECS:
            for inserted in re.findall(r"\{\{(.*?)\}\}", sql_written_in(name)):
                assert not set("'<>&=") & set(inserted)

    def test_all_files_together_have_fewer_than_a_thousand_lines(self):
        assert sum(text.count("\n") for text in WRITTEN.values()) < 1000


def test_sql_and_python_list_the_same_errors_about_access():
    text = sql_written_in(MACROS)
    refused = text[text.index("WHEN is_open THEN") : text.index("ELSE 'fault'")]
    codes = set(re.findall("'([A-Z][A-Za-z]+)'", refused))
    assert codes == {*activity.REFUSED, *activity.REFUSED_BEGINNINGS}
    opened = text[text.index("IFF( -- with a proper request") : text.index(") AS is_open")]
    assert set(re.findall("'([A-Z][A-Za-z]+)'", opened)) == set(activity.AFTER_AUTHORISATION)
    assert activity.TOO_LONG_SESSION in opened


class TestSucceeded:
    """Tests of the row for a principal's burst, with the roles entered around it."""

    def found(self, *records):
        return rows_of(SUCCEEDED, records)

    def roles(self, *records):
        (row,) = self.found(*records)
        return [target.split("/")[-1] for target in row["roles"].split(", ")]

    def test_the_row_has_roles_times_and_the_parameters_of_other_queries(self):
        who = ALICE | {"sessionContext": {"attributes": {"mfaAuthenticated": "true"}}}
        success = assumed("Role03", who) | {
            "responseElements": {"credentials": {"accessKeyId": "ASIAEXAMPLE0NEW00001"}},
            "requestParameters": {"roleArn": role_arn("Role03"), "roleSessionName": "loot"},
        }
        (row,) = self.found(*burst(T + 2), success)
        assert row == {
            "principal": ALICE["arn"],
            "successful_roles": 1,
            "roles": role_arn("Role03"),
            "roles_failed_before": role_arn("Role03"),
            "roles_reopened": 0,
            "failed_roles": T + 2,
            "most_roles_in_account": T + 2,
            "pattern": "many roles in one account",
            "apis": "AssumeRole",
            "discovery_at": None,
            "first_attempt": "2026-01-05 10:00:00.000",
            "crossed_at": sql_time(START + (T - 1) * 30),
            "last_attempt": sql_time(START + (T + 1) * 30),
            "event_time": "2026-01-05 10:20:00.000",
            "last_success": "2026-01-05 10:20:00.000",
            "eventID": str(T + 2),
            "access_keys": who["accessKeyId"],
            "caller_type": "IAMUser",
            "issued_access_keys": "ASIAEXAMPLE0NEW00001",
            "session_names": "loot",
            "source_identities": "",
            "mfa": "true",
            "sourceIPAddress": "203.0.113.10",
            "userAgent": "generated for a test",
            "awsRegion": "us-east-1",
            "recipientAccountId": "123456789012",
        }

    def test_the_row_lists_every_role_and_those_that_had_failed_before(self):
        other = assumed("Other", time=START + 10 * MINUTE)
        (row,) = self.found(*burst(T + 2), other, assumed("Role03"), assumed("Role03"))
        assert row["roles"] == f"{role_arn('Other')}, {role_arn('Role03')}"
        assert row["roles_failed_before"] == role_arn("Role03") and row["successful_roles"] == 2

    def test_a_changed_trust_policy_of_a_role_that_could_not_be_assumed_counts(self):
        (row,) = self.found(*burst(T + 2), trusted("Role03"))
        assert row["roles_failed_before"] == "123456789012:role/Role03"

    def test_a_role_assumed_after_its_trust_policy_could_not_be_changed_counts(self):
        (row,) = self.found(*burst(T + 2, make=denied_update), assumed("team/Role03"))
        assert row["roles_failed_before"] == role_arn("team/Role03")

    @pytest.mark.parametrize("place", [0, 5])
    def test_a_success_in_the_middle_of_the_burst_counts(self, place):
        """A spray in list order succeeds wherever the role is in the list."""
        records = burst(T + 1)
        records[place] = assumed(f"Role{place}", time=START + place * 30)
        assert self.roles(*records) == [f"Role{place}"]

    @pytest.mark.parametrize(
        "time, counts",
        [
            (START - 10 * MINUTE, True),
            (START - 10 * MINUTE - 1, False),
            (START + (T + 1) * 30 + 60 * MINUTE, True),
            (START + (T + 1) * 30 + 60 * MINUTE + 1, False),
        ],
    )
    def test_successes_count_from_ten_minutes_before_to_an_hour_after_the_burst(self, time, counts):
        rows = self.found(*burst(T + 2), assumed("Other", time=time))
        assert bool(rows) is counts

    def test_a_role_that_had_failed_counts_however_late_it_is_entered(self):
        late = START + (T + 1) * 30 + 60 * MINUTE + 1
        assert self.roles(*burst(T + 2), assumed("Role03", time=late)) == ["Role03"]

    def test_successes_count_from_a_discovery_up_to_an_hour_before_the_burst(self):
        early = assumed("Other", time=START - 50 * MINUTE)
        assert self.found(*burst(T + 2), early) == []
        listing = call("ListRoles", time=START - 51 * MINUTE)
        assert self.roles(*burst(T + 2), early, listing) == ["Other"]
        assert self.found(*burst(T + 2), early, listing | {"userIdentity": BOB}) == []

    @pytest.mark.parametrize(("hours", "counts"), [(-27, True), (-25, False), (-1, False)])
    def test_successes_that_the_principal_also_had_on_the_day_before_are_left_out(
        self, hours, counts
    ):
        """A role must be the same; for trust policies, a change of any role is enough."""
        before = START + hours * 60 * MINUTE
        routine = [assumed("Daily", time=before), trusted("X", time=before)]
        assert bool(self.found(*burst(T + 2), *routine, assumed("Daily"))) is counts
        assert bool(self.found(*burst(T + 2), *routine, trusted("Y"))) is counts
        assert self.roles(*burst(T + 2), *routine, assumed("New")) == ["New"]

    @pytest.mark.parametrize(
        ("more", "reopened"),
        [
            ([], 1),
            ([trusted("Role03", BOB, START + 60)], 0),  # somebody let it in
            ([assumed("Role03", time=START + 80)], 0),  # it had been in before it failed
        ],
    )
    def test_roles_that_open_by_themselves_soon_after_a_refusal_are_counted(self, more, reopened):
        success = assumed("Role03", time=START + 90 + config.PROPAGATION_MINUTES * MINUTE)
        (row,) = self.found(*burst(T + 2), *more, success)
        assert (row["successful_roles"], row["roles_reopened"]) == (1, reopened)
        (row,) = self.found(*burst(T + 2), assumed("Role03", time=START + 9 * MINUTE))
        assert row["roles_reopened"] == 0

    @pytest.mark.parametrize(
        "records",
        [
            burst(T + 2),
            [*burst(T - 1), assumed("Role03")],
            [*burst(T + 2), assumed("Role03", BOB)],
            # a new role that propagates: failed on, assumed within two minutes, no burst
            [denied(role_arn("New"), time=START), assumed("New", time=START + 90)],
            [*burst(T + 2, who=service("lambda.amazonaws.com")), assumed("Role03")],
            [*burst(T + 2, errorCode="ExpiredToken"), assumed("Role03")],
        ],
    )
    def test_there_is_no_row_if_nobody_got_in_around_a_burst(self, records):
        assert self.found(*records) == []

    def test_sessions_of_a_role_count_together(self):
        who = [identity(PrincipalKind.ROLE, "Deploy", f"s{i}") for i in range(T + 3)]
        records = [denied(role_arn(f"R{i}"), who[i], START + i) for i in range(T + 2)]
        assert self.roles(*records, assumed("R1", who[-1])) == ["R1"]

    def test_the_query_looks_back_far_enough_for_the_last_run_that_can_see_a_success(self):
        """That is a window, an hour after it, half an hour for the rate, and the delivery delay."""
        step = (WINDOW - 1) // (T - 1)
        records = burst(T, step=step)
        success = START + (T - 1) * step + 60 * MINUTE
        rows = rows_of(SUCCEEDED, [*records, assumed("R", time=success)], success + 45 * MINUTE)
        assert len(rows) == 1


class TestTriage:
    def records(self):
        listing = call("ListRoles", time=START - 60)
        others = [denied(role_arn("Role01"), BOB), assumed("Role01", BOB), assumed("Free", BOB)]
        return [listing, *burst(T + 2), denied(role_arn("Role00"), time=START + 500), *others]

    def test_calls_of_a_principal_are_listed_in_order_with_the_crossing(self):
        rows = rows_of(
            "aws_role_calls_of_principal_query",
            [*self.records(), assumed("Role03")],
            parameters=ALERT,
        )
        marks = [row["mark"] for row in rows]
        assert marks[0] == "discovery" and marks[-1] == "success"
        assert (marks.count("failure"), marks.count("crossing")) == (T + 3, 1)
        (crossing,) = [row for row in rows if row["mark"] == "crossing"]
        assert crossing["event_time"] == sql_time(START + (T - 1) * 30)

    def test_calls_of_a_principal_have_one_lane_for_a_role_and_both_apis(self):
        records = [denied(role_arn("team/A")), denied_update("A"), trusted("A")]
        rows = rows_of("aws_role_calls_of_principal_query", records, parameters=ALERT)
        assert {row["lane"] for row in rows} == {"123456789012:role/A"}

    def test_targets_are_listed_with_their_attempts(self):
        rows = rows_of("aws_role_attempt_targets_query", self.records(), parameters=ALERT)
        assert len(rows) == T + 2
        assert rows[0] == {
            "role": "123456789012:role/Role00",
            "target": role_arn("Role00"),
            "api": "AssumeRole",
            "attempts": 2,
            "errors": "AccessDenied",
            "may_assume": False,
            "denied_by": "",
            "first_attempt": "2026-01-05 10:00:00.000",
            "last_attempt": "2026-01-05 10:08:20.000",
        }

    def test_targets_show_which_roles_the_caller_may_assume(self):
        error = {"errorCode": "ValidationError", "errorMessage": f"{activity.TOO_LONG_SESSION}."}
        near = assumed("Open") | error
        rows = rows_of("aws_role_attempt_targets_query", [near, *burst(1)], parameters=ALERT)
        assert {row["role"][18:]: row["may_assume"] for row in rows} == {
            "Open": True,
            "Role00": False,
        }

    def test_every_success_around_the_burst_is_found_and_whether_the_role_had_failed(self):
        early = assumed("Role09", time=START - 300)
        records = [*self.records(), early, assumed("Role03"), assumed("Free"), trusted("Role04")]
        late = assumed("Role02", time=START + max((T + 1) * 30, 500) + 61 * MINUTE)
        query = "aws_role_successes_after_failures_query"
        rows = rows_of(query, [*records, late], parameters=ALERT)
        assert [(row["role"][18:], row["api"], row["failed_before"]) for row in rows] == [
            ("Role03", "AssumeRole", True),
            ("Role04", "UpdateAssumeRolePolicy", True),
            ("Role02", "AssumeRole", True),
            ("Role09", "AssumeRole", False),
            ("Free", "AssumeRole", False),
        ]
        assert all(row["new"] for row in rows)
        assert rows[0]["seconds_after_first_failure"] == 1200 - 90
        assert rows[3]["seconds_after_first_failure"] is None

    def test_trust_policy_attacks_show_the_roles_that_were_entered(self):
        records = [*burst(T + 2, make=denied_update), assumed("team/Role03"), trusted("Role04")]
        query = "aws_role_successes_after_failures_query"
        rows = rows_of(query, records, parameters=ALERT)
        assert [(row["target"], row["failed_before"]) for row in rows] == [
            (role_arn("team/Role03"), True),
            ("123456789012:role/Role04", True),
        ]

    @pytest.mark.parametrize("make", [denied, denied_update])
    def test_other_principals_on_the_same_targets_are_found(self, make):
        others = [denied(role_arn("Role01"), BOB), assumed("Role01", BOB), assumed("Free", BOB)]
        query = "aws_role_targets_other_principals_query"
        rows = rows_of(query, [*burst(T + 2, make=make), *others], parameters=ALERT)
        assert {(row["principal"], row["outcome"], row["calls"]) for row in rows} == {
            (BOB["arn"], "failure", 1),
            (BOB["arn"], "success", 1),
        }

    def test_activity_from_an_address_is_counted_by_caller_and_call(self):
        elsewhere = call("ListBuckets", BOB, sourceIPAddress="192.0.2.99")
        parameters = {"address": "203.0.113.10", "alert_time": ALERT["alert_time"]}
        query = "aws_activity_from_address_query"
        rows = rows_of(query, [*self.records(), elsewhere], parameters=parameters)
        assert rows[0]["caller"] == ALICE["arn"] and rows[0]["calls"] == T + 3
        assert "ListBuckets" not in {row["event_name"] for row in rows}

    def test_attempts_without_a_target_are_counted_by_the_shape_of_their_message(self):
        tail = "is not authorized to perform: sts:AssumeRole because no role trust policy allows it"
        unknown = [
            denied("", BOB, errorMessage=f"User: {role_arn(f'x{i}')} {tail}") for i in (1, 2)
        ]
        mfa = denied("", errorMessage="MultiFactorAuthentication failed with invalid MFA code 123.")
        records = [*unknown, mfa, *burst(T + 2), assumed("Role01"), call("ListRoles")]
        rows = rows_of("aws_role_attempts_without_target_query", records)
        assert [(row["message_shape"], row["attempts"]) for row in rows] == [
            (f"User: <arn> {tail}", 2),
            ("MultiFactorAuthentication failed with invalid MFA code <number>.", 1),
        ]

    def test_calls_of_a_session_are_found_by_its_key_and_by_its_arn(self):
        who = identity(PrincipalKind.ROLE, "DataAdmin", "loot") | {"accessKeyId": "ASIAX"}
        mine = [call("GetObject", who, START + 60), call("AssumeRole", who, START + 90)]
        other = call("GetObject", identity(PrincipalKind.ROLE, "DataAdmin", "daily"), START + 60)
        query = "aws_role_session_activity_query"
        for known in ({"access_key_id": "ASIAX"}, {"session_arn": who["arn"]}):
            unknown = {"access_key_id": "", "session_arn": "", **known}
            values = {**unknown, "alert_time": ALERT["alert_time"]}
            rows = rows_of(query, [*mine, other], parameters=values)
            assert [row["event_name"] for row in rows] == ["GetObject", "AssumeRole"]

    def test_iam_changes_on_a_role_are_found(self):
        def change(name, role):
            return call(name, BOB, START - 86_400, requestParameters={"roleName": role})

        records = [
            change("AttachRolePolicy", "DataAdmin"),
            change("UpdateAssumeRolePolicy", "Other"),
            change("GetRole", "DataAdmin"),
        ]
        query, values = "aws_role_iam_changes_query", {"account": "123456789012", "role_name": ""}
        values["alert_time"] = ALERT["alert_time"]
        assert len(rows_of(query, records, parameters=values)) == 2
        (row,) = rows_of(query, records, parameters=values | {"role_name": "DataAdmin"})
        assert row["event_name"] == "AttachRolePolicy" and row["caller"] == BOB["arn"]

    @pytest.mark.parametrize(
        "who, name",
        [
            (BOB, "bob"),
            (identity(PrincipalKind.ROLE, "Deploy", "s1"), "Deploy"),
            (identity(PrincipalKind.SSO, "dana@example.com", ""), "dana@example.com"),
            (identity(PrincipalKind.FEDERATED, "carol", ""), "carol"),
        ],
    )
    def test_history_of_a_principal_is_counted_by_day_address_and_call(self, who, name):
        days = [START - day * 86_400 for day in (0, 1, 29, 31)]
        records = [call("ListRoles", who, day) for day in days] + [call("ListRoles", ALICE)]
        values = {"name": name, "alert_time": ALERT["alert_time"]}
        rows = rows_of("aws_principal_history_query", records, parameters=values)
        assert [row["day"][:10] for row in rows] == ["2026-01-05", "2026-01-04", "2025-12-07"]
        assert {row["calls"] for row in rows} == {1}

    @pytest.mark.parametrize("role", ["FullAdminRole", ""])
    def test_the_console_switch_behind_aws_internal_has_the_real_address(self, role):
        switched = call(
            "SwitchRole",
            {"type": "AssumedRole", "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/FullAdminRole/al"},
            START + 20 * MINUTE,
            eventSource="signin.amazonaws.com",
            sourceIPAddress="198.51.100.7",
            additionalEventData={"SwitchFrom": ALICE["arn"]},
            responseElements={"SwitchRole": "Success"},
        )
        internal = assumed("FullAdminRole") | {"sourceIPAddress": "AWS Internal"}
        values = {"role_name": role, "alert_time": ALERT["alert_time"]}
        query = "aws_console_switch_role_query"
        (row,) = rows_of(query, [internal, switched], parameters=values)
        assert row["address"] == "198.51.100.7" and row["switch_from"] == ALICE["arn"]


class TestChain:
    """Tests of following a chain of roles by the issued keys and by source identity."""

    QUERY = "aws_role_chain_query"

    def session(self, role, key, **more):
        who = identity(PrincipalKind.ROLE, role, "s")
        return {**who, "accessKeyId": key, **more}

    def entered(self, name, who, time, key):
        issued = {"responseElements": {"credentials": {"accessKeyId": key}}}
        return assumed(name, who, time) | issued

    def records(self):
        jump, deep = (
            self.session("Jump", "ASIAEXAMPLEJUMP00001"),
            self.session("Deep", "ASIAEXAMPLEDEEP00001"),
        )
        return [
            self.entered("Jump", ALICE, START, "ASIAEXAMPLEJUMP00001"),
            self.entered("Deep", jump, START + 60, "ASIAEXAMPLEDEEP00001"),
            call("ListRoles", deep, START + 90),
            *burst(3, deep, START + 120),
            assumed("Elsewhere", self.session("Jump", "ASIAEXAMPLEOTHER0001"), START + 70),
        ]

    def found(self, records, **parameters):
        given = {"principal": "", "access_key_id": "", "source_identity": "", **parameters}
        given["alert_time"] = ALERT["alert_time"]
        rows = rows_of(self.QUERY, records, parameters=given)
        return [(r["depth"], r["principal"].rsplit("/")[-1], r["roles_failed_on"]) for r in rows]

    def test_the_chain_follows_the_keys_that_were_issued(self):
        steps = [(0, "alice", 0), (1, "Jump", 0), (2, "Deep", 3)]
        assert self.found(self.records(), principal=ALICE["arn"]) == steps
        key = "ASIAEXAMPLEJUMP00001"
        assert self.found(self.records(), access_key_id=key) == [(0, "Jump", 0), (1, "Deep", 3)]

    def test_callers_of_a_shared_role_are_distinguished_by_source_identity(self):
        people = [
            self.session(
                "Shared",
                f"ASIAEXAMPLE{i:09}",
                sessionContext={"sourceIdentity": f"p{i}@example.com"},
            )
            for i in range(3)
        ]
        records = [denied(role_arn(f"R{i}"), who, START + i) for i, who in enumerate(people)]
        assert [
            failed for _, _, failed in self.found(records, source_identity="p1@example.com")
        ] == [1]

    def test_empty_parameters_find_nobody(self):
        records = [denied(role_arn("R"), {"type": "AssumedRole", "arn": "", "accessKeyId": ""})]
        assert self.found([*records, *self.records()]) == []

    def test_a_circle_of_roles_ends(self):
        who = self.session("Loop", "ASIAEXAMPLELOOP00001")
        again = self.entered("Loop", who, START, "ASIAEXAMPLELOOP00001")
        assert [depth for depth, *_ in self.found([again], principal=role_arn("Loop"))] == [0]


class TestHunt:
    def test_each_burst_has_one_row(self):
        bursts = [burst(T + 2, start=START + day * 86_400) for day in range(3)]
        long = burst(3 * T, BOB, step=WINDOW // T)  # never a whole window without an attempt
        rows = rows_of(HUNT, [*itertools.chain(*bursts), *long], START + 4 * 86_400)
        assert [row["principal"] for row in rows] == [
            *[ALICE["arn"]] * 2,
            *sorted([ALICE["arn"], BOB["arn"]]),
        ]
        assert {row["distinct_targets"] for row in rows} == {T + 2, 3 * T}

    def test_both_apis_of_a_burst_share_a_row(self):
        both = [*burst(T + 2), *burst(T + 2, make=denied_update, start=START + 900)]
        (row,) = rows_of(HUNT, both)
        assert row["apis"] == "AssumeRole, UpdateAssumeRolePolicy"
        assert row["distinct_targets"] == T + 2

    def test_a_row_has_pattern_names_accounts_targets_and_addresses(self):
        records = [
            denied(role_arn("Audit", f"1111222233{i:02}"), time=START + i) for i in range(T + 2)
        ]
        (row,) = rows_of(HUNT, records)
        assert row["pattern"] == "few roles in each of many accounts"
        assert (row["role_names"], row["accounts"]) == (1, T + 2)
        targets = row["sample_targets"].split(", ")
        assert role_arn("Audit", "111122223300") in targets and len(targets) == min(T + 2, 10)
        assert row["addresses"] == "203.0.113.10"

    def test_the_hunt_by_address_joins_principals_that_split_the_work(self):
        people = [user(f"user-{i}") for i in range(T + 2)]
        tries = [denied(role_arn(f"R{i}"), who, START + i) for i, who in enumerate(people)]
        lister = call("GetAccountAuthorizationDetails", BOB, START - 60)
        elsewhere = denied(role_arn("X"), BOB, sourceIPAddress="192.0.2.99")
        assert rows_of(HUNT, [lister, *tries]) == []
        query = "aws_role_escalation_hunt_by_address_query"
        (row,) = rows_of(query, [lister, *tries, elsewhere])
        assert row["address"] == "203.0.113.10" and row["principals"] == T + 2
        assert row["discovery_at"] == "2026-01-05 09:59:00.000"

    def test_the_hunt_by_address_leaves_out_names_of_services(self):
        internal = [record | {"sourceIPAddress": "AWS Internal"} for record in burst(T + 2)]
        assert rows_of("aws_role_escalation_hunt_by_address_query", internal) == []


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


def by_sql(records, collapse=True, person_roles=""):
    """Return the row of the CTE role_calls for each record."""
    text = SPECS[HUNT]["SnowflakeQuery"]
    text = text[: text.index(",\nattempts AS")].replace("30 d", "9000 d")
    settings = f"{str(collapse).upper()} AS collapse_sessions"
    text = re.sub("[A-Z]+ AS collapse_sessions", settings, text)
    text = re.sub("'[^']*' AS person_roles", f"'{person_roles}' AS person_roles", text)
    text += (
        "\nSELECT event_id::int AS number, principal, role, outcome, is_open, denied_by"
        " FROM role_calls ORDER BY 1"
    )
    with Lake() as lake:
        for number, record in enumerate(records):
            lake.add(read_record(record | {"eventID": str(number)}))
        rows = lake.query(transpile_sql(parse_sql(text)), START + 86_400 * 365)
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
