"""Tests of scheduled queries and rules in the replay."""

import math

import pytest
import yaml
from aws_role_escalation_config import THRESHOLD

from local_panther.content.left_out import Reason
from local_panther.content.load import loaded_content
from local_panther.content.sql import parse_sql
from local_panther.errors import RunErrors
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.lake import Lake
from local_panther.lake.scheduled import ScheduledQueries
from local_panther.simulate.identities import PrincipalKind
from local_panther.simulate.scenario import role_names
from tests.builders.content import write_lines
from tests.builders.events import START, call, read_record, role_arn
from tests.builders.replays import replayed, simulated

SUCCEEDED = "AWS.CloudTrail.RoleEscalationSucceeded"
ROLES = THRESHOLD + 2


def critical(outcome):
    return [alert for alert in outcome.alerts if alert.metadata.rule_id == SUCCEEDED]


def test_an_attack_that_succeeds_raises_one_critical_alert_with_every_role(
    tmp_path, content_without_exemptions
):
    trail = simulated(
        tmp_path / "t", succeed=2, principal=PrincipalKind.ROLE, shuffle=True, roles=ROLES
    )
    (alert,) = critical(replayed(trail, content=content_without_exemptions))
    assert alert.severity == "CRITICAL"
    gained = [role_arn(name) for name in role_names(ROLES)[-2:]]
    assert alert.context["roles"] == ", ".join(sorted(gained))
    assert alert.context["roles_failed_before"] == alert.context["roles"]
    assert alert.title.endswith(f"got into at least 2 roles after failing on {ROLES}")


def test_an_attack_that_fails_raises_no_critical_alert(tmp_path):
    assert not critical(replayed(simulated(tmp_path / "t")))


def test_later_runs_that_see_the_same_success_join_the_alert(tmp_path):
    """Ordinary role calls continue for hours, and each half hour has a run."""
    trail = simulated(tmp_path / "t", succeed=1, ordinary=2000, roles=ROLES)
    (alert,) = critical(replayed(trail))
    assert alert.event_count > 1


def add_query(content, sql, rule="def rule(event):\n    return True\n", **fields):
    query = {
        "AnalysisType": "scheduled_query",
        "QueryName": "Own Query",
        "Enabled": True,
        "Query": sql,
        "Schedule": {"RateMinutes": 60, "TimeoutMinutes": 5},
    }
    spec = {
        "AnalysisType": "scheduled_rule",
        "RuleID": "Own.Rule",
        "Enabled": True,
        "Filename": "own.py",
        "ScheduledQueries": ["Own Query"],
        "Severity": "Low",
    }
    (content / "queries" / "own.yml").write_text(yaml.safe_dump(query | fields))
    (content / "rules" / "own.yml").write_text(yaml.safe_dump(spec))
    (content / "rules" / "own.py").write_text(rule)


def own(outcome):
    return [alert for alert in outcome.alerts if alert.metadata.rule_id == "Own.Rule"]


def test_any_query_over_cloudtrail_runs_on_its_schedule(tmp_path, content_copy):
    table = "panther_logs.public.aws_cloudtrail"
    add_query(
        content_copy,
        f"SELECT eventName, COUNT(*) AS calls FROM {table} "
        "WHERE p_occurs_since('1 h') AND eventName = 'ListBuckets' GROUP BY eventName",
        "def rule(event):\n    return event['calls'] > 5\n",
    )
    outcome = replayed(simulated(tmp_path / "t", ordinary=4000), content=content_copy)
    assert own(outcome)
    assert all(alert.created_at % 3600 == 0 for alert in own(outcome))
    assert outcome.tally.wanted > 100


def test_a_query_that_joins_cloudtrail_with_itself_sees_both_sides(tmp_path, content_copy):
    table = "panther_logs.public.aws_cloudtrail"
    add_query(
        content_copy,
        f"SELECT b.eventName FROM {table} a JOIN {table} b "
        "ON a.userIdentity:arn::string = b.userIdentity:arn::string "
        "WHERE a.eventName = 'ConsoleLogin' AND b.eventName = 'DeleteTrail'",
    )
    records = [call("ConsoleLogin", eventID="1"), call("DeleteTrail", eventID="2")]
    outcome = replayed(write_lines(tmp_path / "t.jsonl", records), content=content_copy)
    assert len(own(outcome)) == 1 and not outcome.errors.counts


def test_objects_and_lists_reach_a_rule_as_objects_and_lists(tmp_path, content_copy):
    rule = """def rule(event):
    return event["requestParameters"]["a"][0] == 1 and bool(event["userIdentity"]["arn"])
def title(event):
    return event["p_any_usernames"][0]
"""
    add_query(content_copy, "SELECT * FROM aws_cloudtrail WHERE eventName = 'GetUser'", rule)
    trail = write_lines(tmp_path / "t.jsonl", [call("GetUser", requestParameters={"a": [1]})])
    (alert,) = own(replayed(trail, content=content_copy))
    assert alert.title == "alice"


def test_a_query_that_fails_is_reported_and_everything_else_runs(tmp_path, content_copy):
    table = "panther_logs.public.aws_cloudtrail"
    add_query(content_copy, f"SELECT (1 / COUNT(*) - 1)::int / 0 FROM {table}")
    trail = simulated(tmp_path / "t", succeed=1, roles=ROLES)
    outcome = replayed(trail, content=content_copy)
    assert not outcome.complete and outcome.errors.counts["Own Query"]
    assert "Division by zero" in outcome.errors.examples[0].message
    assert critical(outcome)


def test_a_query_that_fails_only_over_no_records_is_valid(tmp_path, content_copy):
    add_query(content_copy, "SELECT (10 / COUNT(*))::int / COUNT(*) AS n FROM aws_cloudtrail")
    trail = simulated(tmp_path / "t", succeed=1, roles=ROLES)
    assert not replayed(trail, content=content_copy).content.problems


def test_an_invalid_query_is_left_out_and_everything_else_runs(tmp_path, content_copy):
    add_query(content_copy, "SELECT no_such_column FROM aws_cloudtrail")
    outcome = replayed(simulated(tmp_path / "t", succeed=1, roles=ROLES), content=content_copy)
    (problem,) = outcome.content.problems
    assert "there is no column no_such_column" in problem.message and not outcome.complete
    assert critical(outcome)


def test_a_query_over_other_tables_is_listed_as_not_replayed(tmp_path, content_copy):
    add_query(content_copy, "SELECT * FROM panther_logs.public.okta_systemlog")
    outcome = replayed(simulated(tmp_path / "t"), content=content_copy)
    assert {"Own Query", "Own.Rule"} <= set(
        outcome.content.ids_left_out(Reason.TABLES, Reason.NO_QUERY)
    ) and outcome.complete


def stored(*records):
    lake = Lake()
    for record in records:
        lake.add(read_record(record))
    return lake


def test_the_lake_has_the_columns_of_an_instance():
    record = call(
        "ListRoles",
        readOnly=True,
        requestParameters={"a": {"b": [1, "x"]}},
        resources=[{"ARN": "arn:aws:iam::123456789012:role/x"}],
    )
    with stored(record) as lake:
        sql = """SELECT eventName, readOnly, p_event_time, requestParameters:a.b[1]::string AS b,
            resources[0]:ARN::string AS arn, responseElements IS NULL AS nothing, p_log_type,
            p_any_usernames FROM panther_logs.public.aws_cloudtrail"""
        (row,) = lake.query(transpile_sql(parse_sql(sql)))
    assert row["eventName"] == "ListRoles" and row["readOnly"] is True and row["nothing"] is True
    assert row["p_event_time"] == "2026-01-05 10:00:00.000"
    assert row["b"] == "x" and row["arn"].endswith("role/x")
    assert row["p_log_type"] == "AWS.CloudTrail" and row["p_any_usernames"] == ["alice"]


def test_the_lake_has_the_columns_of_newer_records():
    record = call(
        "ListRoles",
        sessionCredentialFromConsole="true",
        vpcEndpointAccountId="123456789012",
        edgeDeviceDetails={"type": "snow"},
        eventContext={"requestContext": {"aws:CurrentTime": "now"}},
        insightDetails={"state": "Start"},
    )
    with stored(record) as lake:
        sql = """SELECT SessionCredentialFromConsole AS console, vpcEndpointAccountId AS account,
            edgeDeviceDetails:type AS device, eventContext['requestContext'] AS context,
            insightDetails:state AS state, p_schema_version FROM aws_cloudtrail"""
        assert lake.query(transpile_sql(parse_sql(sql))) == [
            {
                "console": "true",
                "account": "123456789012",
                "device": "snow",
                "context": {"aws:CurrentTime": "now"},
                "state": "Start",
                "p_schema_version": 0,
            }
        ]


def test_a_record_with_a_lone_surrogate_is_stored_with_a_question_mark_for_it():
    odd = b'{"eventName": "ListRoles", "userAgent": "a\\ud800\\u0000b"}'
    with stored(call("ListRoles"), odd, call("ListRoles")) as lake:
        rows = lake.query("SELECT userAgent FROM panther_logs.public.aws_cloudtrail")
        assert len(rows) == 3 and {"userAgent": "a??b"} in rows and lake.refused == 0


@pytest.mark.parametrize("value", [None, 2.5, 2**64, "", "x", "\0", [1], {"a": {"b": [None]}}])
def test_fields_of_any_type_are_stored(value):
    odd = {name: value for name in call("ListRoles") if name not in ("eventTime", "eventName")}
    more = dict.fromkeys(("readOnly", "errorCode", "p_event_time", "EVENTNAME"), value)
    with stored(call("ListRoles", **odd, **more)) as lake:
        rows = lake.query("SELECT readOnly FROM panther_logs.public.aws_cloudtrail")
        assert rows == [{"readOnly": None}] and lake.refused == 0


def test_queries_can_read_nothing_but_the_lake(tmp_path, content_copy):
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with stored(call("ListRoles")) as lake:
        try:
            rows = lake.query(f"SELECT * FROM read_csv('{secret}')")
        except Exception as error:
            assert "disabled" in str(error)
        else:
            raise AssertionError(rows)


def test_a_late_record_is_seen_by_later_runs(content_copy):
    table = "panther_logs.public.aws_cloudtrail"
    add_query(content_copy, f"SELECT eventID FROM {table} WHERE eventName = 'ListBuckets'")
    with loaded_content(content_copy) as content, Lake() as lake:
        scheduled = ScheduledQueries(content, lake, RunErrors())
        runs, latest = [], -math.inf
        for name, minutes in (("ListBuckets", 10), ("ListUsers", 70), ("ListBuckets", -50)):
            record = read_record(call(name, time=START + minutes * 60))
            latest = max(latest, record.time)
            runs += [signal.time for signal in scheduled.advance(latest)]
            lake.add(record, latest)
            scheduled.note(record.name, record.time)
        runs += [signal.time for signal in scheduled.finish(latest)]
    assert [(run - START) / 3600 for run in runs] == [1, 2, 2]  # the second run has both rows
