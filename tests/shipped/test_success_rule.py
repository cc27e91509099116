"""The scheduled rule, which judges the rows of the success query."""

import json

import aws_role_escalation_config as config
import pytest
from aws_role_attempt_helpers import FAN_OUT, SEARCH
from hypothesis import given
from hypothesis import strategies as st
from panther_core.enriched_event import PantherEvent

from local_panther.alerts.runbook import QUOTED, STEP
from tests.builders.queries import query_specs
from tests.builders.rules import RULES, in_place
from tests.shipped.test_role_activity import JSON

QUERIES = {spec["QueryName"] for spec in query_specs().values()}
SUCCEEDED = "aws_role_escalation_succeeded"
ROW = {
    "principal": "arn:aws:iam::123456789012:user/mallory",
    "roles": "arn:aws:iam::123456789012:role/DataAdmin",
    "successful_roles": 1,
    "failed_roles": 12,
    "pattern": SEARCH,
    "roles_reopened": 0,
    "most_roles_in_account": 12,
    "last_attempt": "2026-01-05 10:12:30.000",
}


@pytest.fixture(scope="module")
def module():
    return in_place(SUCCEEDED, RULES).module


def row(**fields):
    return PantherEvent(ROW | fields)


def test_title_has_the_numbers_of_roles(module):
    title = "[arn:aws:iam::123456789012:user/mallory] got into at least 1 role after failing on 12"
    assert module.title(row()) == title
    assert "got into at least 3 roles" in module.title(row(successful_roles=3))


@pytest.mark.parametrize(
    "fields, severity",
    [
        ({}, "DEFAULT"),
        ({"successful_roles": 12}, "DEFAULT"),
        ({"successful_roles": 60, "failed_roles": 14}, "DEFAULT"),
        ({"successful_roles": 6, "roles_reopened": 6}, "MEDIUM"),
        ({"successful_roles": 7, "roles_reopened": 6}, "DEFAULT"),
        ({"roles_reopened": None}, "DEFAULT"),
        ({"successful_roles": 0, "roles_reopened": 0}, "DEFAULT"),
        ({"pattern": FAN_OUT, "most_roles_in_account": config.FEW_NAMES}, "MEDIUM"),
        ({"pattern": FAN_OUT, "most_roles_in_account": config.FEW_NAMES + 1}, "DEFAULT"),
        ({"pattern": SEARCH, "most_roles_in_account": config.FEW_NAMES}, "DEFAULT"),
    ],
)
def test_severity_is_medium_only_if_every_role_reopened_or_a_few_were_tried_in_each_account(
    module, fields, severity
):
    assert module.severity(row(**fields)) == severity


def test_one_burst_is_one_alert_whatever_it_got_into(module):
    later = row(roles="others", successful_roles=2, event_time="later")
    assert module.dedup(row()) == module.dedup(later)
    assert module.dedup(row()) != module.dedup(row(principal="another"))


def test_a_second_theft_of_the_same_principal_is_an_alert_of_its_own(module):
    first, later = (row(last_attempt=f"2026-01-05 {hour}:59:59.000") for hour in (10, 13))
    assert module.dedup(first) != module.dedup(later)
    routine = [row(roles_reopened=1, last_attempt=time) for time in ("2026-01-05 10", None)]
    assert len({module.dedup(found) for found in routine}) == 1


def test_a_routine_medium_does_not_swallow_a_critical(module):
    assert module.dedup(row(roles_reopened=1)) != module.dedup(row())


CALLERS = {
    "arn:aws:iam::123456789012:user/mallory": "deactivate its access keys",
    "arn:aws:iam::123456789012:role/Deploy": "revoke its sessions, then fix the workload",
    "arn:aws:sts::123456789012:assumed-role/Shared/al": "revoke the sessions of its role",
    "arn:aws:sts::123456789012:federated-user/al": "called GetFederationToken",
    "arn:aws:iam::123456789012:root": "change the root password",
    "identity-center:dana@example.com": "disable the user in IAM Identity Center",
    "web-identity:https://ci.example.com:app": "take it out of the trust policies",
}


@pytest.mark.parametrize("principal", CALLERS)
def test_the_runbook_says_how_to_stop_this_kind_of_caller_and_no_other(module, principal):
    text = module.runbook(row(principal=principal))
    assert text.startswith(f"1. Stop {principal}: ")
    assert [how for how in CALLERS.values() if how in text] == [CALLERS[principal]]


def test_the_runbook_contains_first_and_asks_first_about_a_medium_alert(module):
    critical, medium = module.runbook(row()), module.runbook(row(roles_reopened=1))
    assert module.severity(row(roles_reopened=1)) == "MEDIUM"
    assert critical.startswith("1. Stop ") and "\n2. Stop " in medium
    assert "deployment" not in critical and "every day" not in critical
    for text in (critical, medium):
        steps = [step for step in STEP.split(text) if step.strip()]
        names = {name for step in steps for name in QUOTED.findall(step)}
        assert len(steps) == 3 and names <= QUERIES


@pytest.mark.parametrize("name", ['a"AWS Role Chain"', "x\n9. Delete all", "x\r- y", "\u2028* z"])
def test_no_name_of_a_caller_passes_for_a_step_or_a_query(module, name):
    ordinary = module.runbook(row(principal="web-identity:ci.example.com:app"))
    text = module.runbook(row(principal=f"web-identity:ci.example.com:{name}"))
    assert len(STEP.split(text)) == len(STEP.split(ordinary))
    assert QUOTED.findall(text) == QUOTED.findall(ordinary)


def test_expected_principals_raise_no_alert(module, monkeypatch):
    assert module.rule(row())
    monkeypatch.setattr(config, "EXPECTED_PRINCIPALS", ["arn:aws:iam::*:user/mallory"])
    assert not module.rule(row())


@given(st.dictionaries(st.sampled_from([*ROW, "apis", "event_time", "eventID"]), JSON))
def test_a_row_of_any_shape_gives_answers_not_exceptions(module, fields):
    event = PantherEvent(fields)
    assert isinstance(module.rule(event), bool)
    assert isinstance(module.title(event), str) and isinstance(module.dedup(event), str)
    assert module.severity(event) in ("DEFAULT", "MEDIUM")
    assert isinstance(module.runbook(event), str)
    json.dumps(module.alert_context(event), default=PantherEvent.json_encoder, allow_nan=False)
