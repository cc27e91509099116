"""Tests of the package's queries over generated records."""

import itertools
import re
from collections import Counter

import aws_role_activity_helpers as activity
import aws_role_escalation_config as config
import pytest
import yaml

from local_panther.content.sql import scanned_event_names
from local_panther.simulate.identities import ACCOUNT, PrincipalKind, identity, service
from tests.builders.events import (
    ALICE,
    START,
    burst,
    call,
    denied,
    denied_update,
    role_arn,
    user,
)
from tests.builders.queries import (
    HUNT,
    MACROS,
    SUCCEEDED,
    WRITTEN,
    query_specs,
    rows_of,
    sql_of,
    sql_time,
)

SPECS = query_specs()
ALERT = {"principal": ALICE["arn"], "alert_time": "2026-01-05 10:30:00"}
BOB = user("bob")
MINUTE = 60
T, WINDOW = config.THRESHOLD, config.WINDOW_MINUTES * MINUTE
DISCOVERY = set(activity.DISCOVERIES)
ROLE_CALLS = {*activity.ATTEMPTS, *DISCOVERY}


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
