"""The rule for the rows of the scheduled query."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panther_core.enriched_event import PantherEvent

from tests.builders.rules import RULES, in_place
from tests.detections.test_role_activity import JSON

SUCCEEDED = "aws_role_escalation_succeeded"
ROW = {
    "principal": "arn:aws:iam::123456789012:user/mallory",
    "role": "arn:aws:iam::123456789012:role/DataAdmin",
    "failed_before": True,
}


@pytest.fixture(scope="module")
def module():
    return in_place(SUCCEEDED, RULES).module


def test_title_tells_whether_it_had_failed_on_the_role(module):
    assert module.title(PantherEvent(ROW)).endswith("that it had failed on")
    other = PantherEvent(ROW | {"failed_before": False})
    assert module.title(other).endswith("after failing on others")


def test_one_principal_and_role_is_one_alert(module):
    later = PantherEvent(ROW | {"event_time": "later"})
    other = PantherEvent(ROW | {"role": "another"})
    assert module.dedup(PantherEvent(ROW)) == module.dedup(later) != module.dedup(other)


@given(st.dictionaries(st.sampled_from([*ROW, "api", "first_failure"]), JSON))
def test_a_row_of_any_shape_gives_answers_not_exceptions(module, row):
    event = PantherEvent(row)
    assert isinstance(module.rule(event), bool)
    assert isinstance(module.title(event), str) and isinstance(module.dedup(event), str)
    json.dumps(module.alert_context(event), default=PantherEvent.json_encoder, allow_nan=False)
