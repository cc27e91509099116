"""Steps of runbooks, with values of the alert filled in."""

import re

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from local_panther.content.filled_sql import fill
from local_panther.content.load import loaded_content
from local_panther.content.sql import parameters_in, parse_sql
from tests.builders.events import REPO, role_arn
from tests.builders.replays import replayed, simulated

MINUTE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trail")
    attack = {"succeed": 2, "blocklisted": role_arn("FullAdminRole")}
    return replayed(simulated(folder, **attack), include_disabled=True)


def steps_of(outcome):
    for incident in outcome.incidents:
        for alert in incident.alerts:
            for step in incident.steps(alert):
                yield alert, step


def test_every_query_of_every_step_gets_the_values_of_the_alert(outcome):
    calls = [call for _, step in steps_of(outcome) for call in step.queries]
    assert len({call.name for call in calls}) >= 8
    assert [(call.name, call.filled.missing) for call in calls if call.filled.missing] == []
    for call in calls:
        columns = parameters_in(parse_sql(call.filled.head + call.filled.rest))
        for name, value in call.values:
            assert columns[name].find(exp.Literal).name == value
    times = {dict(call.values)["alert_time"] for call in calls}
    assert times and all(map(MINUTE.fullmatch, times))


def test_the_last_of_too_many_calls_counts_those_left_out(tmp_path):
    outcome = replayed(simulated(tmp_path / "t", roles=40, succeed=23, ordinary=0))
    (incident,) = outcome.incidents
    calls = [
        call
        for step in incident.steps(incident.alerts[0])
        for call in step.queries
        if call.name == "AWS IAM Changes on a Role"
    ]
    assert len({call.about for call in calls}) == len(calls) == 10
    assert len(calls) + sum(call.others for call in calls) == incident.entered == 23


def test_sessions_issued_after_the_run_of_the_alerts_query_are_included(tmp_path):
    (incident,) = replayed(simulated(tmp_path / "t", succeed=8, ordinary=0)).incidents
    critical = incident.alerts[0]
    calls = [
        call
        for step in incident.steps(critical)
        for call in step.queries
        if call.name == "AWS Role Session Activity"
    ]
    of_alert = critical.context["issued_access_keys"].split(", ")
    asked = [call.about for call in calls]
    assert set(of_alert) < set(asked) == set(incident.roles.issued_keys) and len(asked) == 8
    assert set(asked[: len(of_alert)]) == set(of_alert)


def test_steps_are_separate_and_each_field_appears_once(outcome):
    (critical,) = [a for a in outcome.alerts if a.severity == "CRITICAL"]
    own = [step for alert, step in steps_of(outcome) if alert is critical]
    assert [len(step.queries) for step in own] == [2, 2, 3]  # two roles, two sessions
    assert not any(step.text[0].isdigit() for step in own)
    names = [name for step in own for name, _ in step.facts]
    assert len(set(names)) == len(names) and "issued_access_keys" in names
    keys = [
        dict(call.values)["access_key_id"]
        for step in own
        for call in step.queries
        if "Session" in call.name
    ]
    assert keys == critical.context["issued_access_keys"].split(", ") and len(keys) == 2


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_value_cannot_leave_its_literal(value):
    text = "WITH parameters AS (SELECT 'x' AS a, 'y' AS b, 3 AS c) SELECT * FROM parameters"
    filled = fill(text, {"a": value})
    # Snowflake and DuckDB differ only in backslashes: DuckDB needs E'…' for such a literal.
    sql = (filled.head + filled.rest).replace("SELECT '", "SELECT E'", 1)
    assert duckdb.connect().execute(sql).fetchone() == (value, "y", 3)
    assert filled.missing == ("b",) and filled.names == ("a", "b", "c")


def test_a_query_without_parameters_is_unchanged():
    with loaded_content(REPO) as content:
        text = content.query_texts["AWS Role Escalation Hunt"]
    assert fill(text, {"principal": "x"}).rest == text
