"""Tests of simple detections, which panther_core runs from their transpiled Python."""

import pytest
import yaml
from panther_core.enriched_event import PantherEvent

from local_panther.content.importing import Importer
from local_panther.content.load import loaded_content
from local_panther.content.simple import transpile_detection
from local_panther.errors import FieldError
from tests.builders.replays import replayed, simulated

EVENT = {
    "eventName": "ListRoles",
    "n": 5,
    "null": None,
    "empty": "",
    "userIdentity": {"arn": "arn:aws:iam::123456789012:user/alice", "type": "IAMUser"},
    "resources": [{"type": "role", "id": 1}, {"type": "user", "id": 2}],
    "same": "ListRoles",
}


def rule_of(**fields):
    spec = {"RuleID": "Simple", "AnalysisType": "rule", "Severity": "Low", **fields}
    with Importer() as importer:
        return importer.rule(spec, transpile_detection(spec), None)


def holds(*expressions, event=EVENT) -> bool:
    result = rule_of(Detection=list(expressions)).run(PantherEvent(event), {}, {}, batch_mode=True)
    assert result.fatal_error is None, result.error_message
    return result.trigger_alert


def key(name, condition, **more):
    return {"Key": name, "Condition": condition, **more}


YES, NO = {"Condition": "AlwaysTrue"}, {"Condition": "AlwaysFalse"}


@pytest.mark.parametrize(
    "expression, expected",
    [
        (key("eventName", "Equals", Value="ListRoles"), True),
        (key("eventName", "DoesNotEqual", Value="ListRoles"), False),
        (key("eventName", "IEquals", Value="LISTROLES"), True),
        (key("eventName", "StartsWith", Value="List"), True),
        (key("eventName", "IsIn", Values=["a", "ListRoles"]), True),
        (key("n", "IsGreaterThan", Value=4), True),
        (key("missing", "IsGreaterThan", Value=4), False),
        (key("eventName", "IsGreaterThan", Value=4), False),
        (key("n", "Contains", Value="x"), False),
        ({"KeyPath": "userIdentity.type", "Condition": "Equals", "Value": "IAMUser"}, True),
        ({"KeyPath": "resources[1].type", "Condition": "Equals", "Value": "user"}, True),
        ({"DeepKey": ["resources", 1, "id"], "Condition": "Equals", "Value": 2}, True),
        ({"DeepKey": ["resources", 9, "id"], "Condition": "Equals", "Value": 2}, False),
        (key("null", "Exists"), True),
        (key("missing", "Exists"), False),
        (key("missing", "DoesNotExist"), True),
        ({"KeyPath": "userIdentity.missing", "Condition": "DoesNotExist"}, True),
        ({"KeyPath": "userIdentity.type", "Condition": "Exists"}, True),
        (key("null", "IsNull"), True),
        (key("n", "IsNotNull"), True),
        (key("empty", "IsNullOrEmpty"), True),
        (key("n", "IsNotNullOrEmpty"), True),
        ({"All": [YES, YES]}, True),
        ({"All": [YES, NO]}, False),
        ({"Any": [NO, YES]}, True),
        ({"Any": [NO, NO]}, False),
        ({"OnlyOne": [NO, YES]}, True),
        ({"OnlyOne": [YES, YES]}, False),
        ({"None": [NO, NO]}, True),
        ({"None": [NO, YES]}, False),
        ({"Any": [{"All": [YES, NO]}, {"None": [NO]}]}, True),
        (
            {"Condition": "Equals", "Values": [{"Key": "eventName"}, {"Key": "same"}]},
            True,
        ),
        (
            {"Condition": "Equals", "Values": [{"Key": "eventName"}, {"DeepKey": ["n"]}]},
            False,
        ),
    ],
)
def test_match_expressions(expression, expected):
    assert holds(expression) == expected


@pytest.mark.parametrize(
    "condition, of_role, of_other",
    [
        ("AnyElement", True, False),
        ("AllElements", False, False),
        ("NoElement", False, True),
        ("OnlyOneElement", True, False),
    ],
)
def test_conditions_on_elements_of_lists(condition, of_role, of_other):
    for kind, expected in (("role", of_role), ("other", of_other)):
        inner = [key("type", "Equals", Value=kind)]
        assert holds({"Key": "resources", "Condition": condition, "Expressions": inner}) == expected
        assert not holds({"Key": "n", "Condition": condition, "Expressions": inner})


def test_all_expressions_of_a_detection_must_hold():
    assert holds(YES, YES) and not holds(YES, NO)


def test_title_dedup_context_and_severity_come_from_the_yaml():
    rule = rule_of(
        Detection=[YES],
        AlertTitle="{userIdentity.arn} called {eventName}",
        GroupBy=[{"KeyPath": "userIdentity.type"}, {"Key": "eventName"}],
        AlertContext=[{"KeyName": "who", "KeyValue": {"KeyPath": "userIdentity.arn"}}],
        DynamicSeverities=[
            {"ChangeTo": "HIGH", "Conditions": [key("n", "IsGreaterThan", Value=9)]},
            {"ChangeTo": "MEDIUM", "Conditions": [key("n", "IsGreaterThan", Value=4)]},
        ],
    )
    result = rule.run(PantherEvent(EVENT), {}, {}, batch_mode=True)
    assert result.title_output == "arn:aws:iam::123456789012:user/alice called ListRoles"
    assert result.dedup_output == "IAMUser - ListRoles"
    assert result.alert_context_output == '{"who": "arn:aws:iam::123456789012:user/alice"}'
    assert result.severity_output == "MEDIUM"
    lower = rule.run(PantherEvent(EVENT | {"n": 1}), {}, {}, batch_mode=True)
    assert lower.severity_output == "LOW"


@pytest.mark.parametrize(
    "expressions, message",
    [
        (None, "Detection: must be a list"),
        ([key("a", "Resembles")], "Detection[0].Condition: 'Resembles' is not a known condition"),
        ([{"Condition": "Equals", "Value": 1}], "needs one of Key, DeepKey and KeyPath"),
        ([key("a", "Equals")], "Detection[0]: Equals needs Value or Values"),
        (
            [{"Any": [YES, {"None": [3]}]}],
            "Detection[0].Any[1].None[0]: must be a match expression",
        ),
        (
            [{"Enrichment": {"Table": "t"}, "Condition": "Equals", "Value": 1}],
            "Detection[0].Enrichment: not supported",
        ),
        ([key("a", "AnyElement")], "Detection[0].Expressions: must be a list"),
    ],
)
def test_the_error_for_an_invalid_detection_names_its_place_and_the_reason(expressions, message):
    with pytest.raises(FieldError) as caught:
        transpile_detection({"Detection": expressions})
    assert message in str(caught.value)


def test_a_replay_runs_simple_detections_over_the_events_that_they_can_match(
    tmp_path, content_copy
):
    spec = {
        "AnalysisType": "rule",
        "RuleID": "Simple.ListRoles",
        "Enabled": True,
        "LogTypes": ["AWS.CloudTrail"],
        "Severity": "Low",
        "Detection": [
            key("eventName", "Equals", Value="ListRoles"),
            {"KeyPath": "userIdentity.userName", "Condition": "Equals", "Value": "mallory"},
            key("p_any_aws_account_ids", "Contains", Value="123456789012"),
        ],
        "AlertTitle": "{userIdentity.userName} listed roles",
    }
    (content_copy / "rules" / "simple.yml").write_text(yaml.safe_dump(spec))
    with loaded_content(content_copy) as content:
        (rule,) = [r for r in content.rules if r.metadata.rule_id == "Simple.ListRoles"]
        assert rule.event_names == {"ListRoles"}
    outcome = replayed(simulated(tmp_path / "trail"), content=content_copy)
    (alert,) = [a for a in outcome.alerts if a.metadata.rule_id == "Simple.ListRoles"]
    assert alert.title == "mallory listed roles" and alert.event_count == 3
