"""Rules answer the same for a record as CloudTrail delivers it and as an instance stores it."""

import json
from random import Random

import pytest

from local_panther.simulate.identities import PrincipalKind
from local_panther.simulate.scenario import Api, Scenario, attack
from tests.builders.events import START, event, read_record, role_arn
from tests.builders.rules import (
    BLOCKLIST,
    FAILED_ATTEMPTS,
    LIST_ROLES,
    ROLE_SEARCH,
    from_body,
    in_place,
    matches,
)

RAW_TIME = "eventTime"  # copied into contexts as it is, so the two forms differ


def stored(record):
    """Return the record as an instance stores it: normalised times, no nulls, Panther's fields."""
    found = read_record(record).event()
    assert found[RAW_TIME].startswith("2026-01-05 ")
    assert not [name for name, value in record.items() if value is None and name in found]
    return found


def answers(rule, records):
    found = []
    for record in records:
        result = rule.run(event(record), {}, {}, batch_mode=True)
        assert not result.detection_evaluation_failed, result.error_message
        context = json.loads(result.alert_context_output or "{}")
        context.pop(RAW_TIME, None)
        outputs = (result.title_output, result.dedup_output, result.severity_output)
        found.append((result.trigger_alert, outputs, without_nulls(context)))
    return found


def without_nulls(value):
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", [BLOCKLIST, LIST_ROLES, FAILED_ATTEMPTS, ROLE_SEARCH])
@pytest.mark.parametrize("api", Api)
@pytest.mark.parametrize("principal", PrincipalKind)
def test_a_rule_answers_the_same_on_both_forms(tmp_path, monkeypatch, store, name, api, principal):
    import aws_role_attempt_helpers
    import aws_role_escalation_config
    import distinct_window_helpers

    monkeypatch.setattr(aws_role_escalation_config, "EXPECTED_PRINCIPALS", [])
    scenario = Scenario(
        roles=30,
        api=api,
        principal=principal,
        succeed=1,
        blocklisted=role_arn("FullAdminRole"),
        start=START,
    )
    delivered = list(attack(scenario, Random(1)))
    discovery = in_place(LIST_ROLES)
    assert [matches(discovery, event(record)) for record in delivered].count(True) == 3
    in_delivered_form = answers(in_place(name), delivered)
    # The second run must not remember the first.
    distinct_window_helpers._known.clear()
    aws_role_attempt_helpers._latest.clear()
    start_with_an_empty_store(monkeypatch)
    kept = [stored(record) for record in delivered]
    assert [matches(discovery, event(record)) for record in kept].count(True) == 3
    in_stored_form = answers(from_body(name, tmp_path), kept)
    assert in_stored_form == in_delivered_form
    assert any(matched for matched, _, _ in in_stored_form)


def start_with_an_empty_store(monkeypatch):
    """Prefix every key of the store, so that items of the previous run are not found."""
    import aws_role_attempt_helpers as helpers

    for function in ("_attempts_key", "_marks_key"):
        original = getattr(helpers, function)
        monkeypatch.setattr(helpers, function, lambda *a, key=original: "second " + key(*a))
