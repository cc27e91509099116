"""Tests of the grammar of correlation rules, and of the errors for invalid ones."""

import copy
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from local_panther.content.correlation_grammar import Step, Transition
from local_panther.errors import FieldError
from tests.builders.correlations import FIELD, group, parsed, sequence, spec


def test_a_group_is_read_with_its_defaults():
    rule = parsed(spec({"Group": [{"RuleID": "A"}, {"RuleID": "B", "ID": "b"}]}))
    assert [(s.id, s.rule_id, s.min_count, s.max_count) for s in rule.steps] == [
        ("A", "A", 1, None),
        ("b", "B", 1, None),
    ]
    assert (rule.lookback, rule.schedule.rate_seconds, rule.min_steps) == (15 * 60, 600, 2)
    assert not rule.ordered and not rule.newest_first


def test_the_key_on_is_accepted_as_the_boolean_that_yaml_1_1_makes_of_it():
    text = f"""
    Sequence: [{{RuleID: A}}, {{RuleID: B}}]
    Transitions: [{{From: A, To: B, Match: [{{On: {FIELD}}}]}}]
    """
    detection = yaml.safe_load(text)
    assert True in detection["Transitions"][0]["Match"][0]
    assert parsed(spec(detection)).criteria[0].fields == {"A": (FIELD,), "B": (FIELD,)}


def test_transitions_that_share_a_step_need_one_value_in_all_steps():
    rule = parsed(sequence("a", "b", "c"))
    assert [dict(c.fields) for c in rule.criteria] == [dict.fromkeys("abc", (FIELD,))]


def transition(**fields):
    entry = {"From": "a", "To": "b", **fields}
    return sequence("a", "b", Transitions=[entry])


@pytest.mark.parametrize(
    "document, message",
    [
        (spec({}), "Detection[0]: needs either Sequence or Group"),
        (spec({"Group": [], "Sequence": []}), "needs either Sequence or Group"),
        ({"Detection": {"Group": []}}, "Detection: must be a list"),
        ({"Detection": [{"Group": []}, {}]}, "Detection: must be a list with one entry"),
        ({"Detection": ["Group"]}, "Detection[0]: needs either Sequence or Group"),
        (group("a"), "Detection[0].Group: needs 2 to 50 steps"),
        (spec({"Group": {"a": 1, "b": 2}}), "Detection[0].Group: needs 2 to 50 steps"),
        (spec({"Group": ["a", "b"]}), "Detection[0].Group[0].RuleID"),
        (spec({"Group": [{"RuleID": "A", "ID": ["a"]}, {"RuleID": "B"}]}), "Group[0].ID: ['a']"),
        (group(*[f"s{i}" for i in range(51)]), "needs 2 to 50 steps"),
        (group("a", "a"), "Group[1].ID: an earlier step has the ID a; set another ID"),
        (spec({"Group": [{"ID": "a"}, {"RuleID": "B"}]}), "Group[0].RuleID"),
        (group({"ID": "a", "MinMatchCount": 0}, "b"), "Group[0].MinMatchCount: 0"),
        (group({"ID": "a", "MinMatchCount": "2"}, "b"), "Group[0].MinMatchCount: '2'"),
        (
            group({"ID": "a", "MinMatchCount": 3, "MaxMatchCount": 2}, "b"),
            "Group[0].MaxMatchCount: 2 is less than MinMatchCount 3",
        ),
        (group({"ID": "a", "Absence": True}, {"ID": "b", "Absence": True}), "not be an Absence"),
        (group("a", "b", lookback=14), "LookbackWindowMinutes: 14 is not between 15 and 21600"),
        (group("a", "b", lookback=21_601), "LookbackWindowMinutes: 21601"),
        (group("a", "b", MinMatchCount=1), "Detection[0].MinMatchCount: 1"),
        (group("a", "b", MinMatchCount=3), "Detection[0].MinMatchCount: 3"),
        (group("a", "b", EventEvaluationOrder="Random"), "EventEvaluationOrder: 'Random'"),
        (group({"ID": "a", "MaxMatchCount": "2"}, "b"), "Group[0].MaxMatchCount: '2'"),
        (group("a", "b", LookbackWindowMinutes=True), "Detection[0].LookbackWindowMinutes: True"),
        (group("a", "b", MinMatchCount="2"), "Detection[0].MinMatchCount: '2'"),
        (group("a", "b", EventEvaluationOrder=[]), "one of Chronological, ReverseChronological"),
        (group("a", "b", Transitions=[]), "Transitions: is only for a Sequence; remove it"),
        (sequence("a", "b", MinMatchCount=2), "MinMatchCount: is only for a Group; remove it"),
        (sequence("a", "b", MatchCriteria={}), "MatchCriteria: is only for a Group; remove it"),
        (
            group("a", "b", matched=False, MatchCriteria={"u": [{"GroupID": "x", "Match": "f"}]}),
            "MatchCriteria.u[0].GroupID: 'x' is not a step; the steps are a, b",
        ),
        (
            group("a", "b", matched=False, MatchCriteria={"u": [{"GroupID": "a"}]}),
            "MatchCriteria.u[0]: needs GroupID and Match",
        ),
        (group("a", "b", matched=False, MatchCriteria="u"), "MatchCriteria: must be a mapping"),
        (group("a", "b", matched=False, MatchCriteria={"u": {}}), "Criteria.u: must be a list"),
        (group("a", "b", matched=False, MatchCriteria={"u": "a"}), "Criteria.u: must be a list"),
        (
            group("a", "b", matched=False, MatchCriteria={"u": ["a"]}),
            "MatchCriteria.u[0]: needs GroupID and Match",
        ),
        (
            group("a", "b", matched=False, MatchCriteria={"u": [{"GroupID": [1], "Match": "f"}]}),
            "MatchCriteria.u[0].GroupID: [1] is not a step",
        ),
        (sequence("a", "b", Transitions="a"), "Detection[0].Transitions: must be a list"),
        (sequence("a", "b", Transitions=["a"]), "Detection[0].Transitions[0]: must be a mapping"),
        (transition(From="x"), "Detection[0].Transitions[0].From: 'x' is not a step"),
        (transition(To="a"), "Transitions[0].To: step a is not listed after step a"),
        (transition(WithinTimeFrameMinutes="5"), "[0].WithinTimeFrameMinutes: '5' is not a whole"),
        (transition(Match="f"), "Detection[0].Transitions[0].Match: must be a list"),
        (transition(Match=["f"]), "Detection[0].Transitions[0].Match: must be a list"),
        (transition(Match=[{"On": "f"}] * 2), "Transitions[0].Match: must be a list with one"),
        (transition(To="x"), "Transitions[0].To: 'x' is not a step"),
        (transition(From="b", To="a"), "Transitions[0].To: step a is not listed after step b"),
        (transition(WithinTimeFrameMinutes=0), "Transitions[0].WithinTimeFrameMinutes: 0"),
        (transition(Match=[{}]), "Transitions[0].Match[0]: needs either On, or From and To"),
        (transition(Match=[{"On": "f", "From": "g"}]), "needs either On, or From and To"),
        (transition(Match=[{"From": "g"}]), "needs either On, or From and To"),
        (
            group("a", "b", Schedule=None),
            "Detection[0].Schedule: needs RateMinutes or CronExpression, and TimeoutMinutes",
        ),
        (group("a", "b", Schedule={"TimeoutMinutes": 1}), "either RateMinutes or CronExpression"),
        (
            group("a", "b", Schedule={"RateMinutes": 1, "TimeoutMinutes": 1}),
            "Schedule.RateMinutes: must be a whole number of 2 or more, not 1",
        ),
        (
            group("a", "b", Schedule={"RateMinutes": 5, "TimeoutMinutes": 6}),
            "Schedule.TimeoutMinutes: 6 is more than RateMinutes 5",
        ),
        (
            group("a", "b", Schedule={"CronExpression": "often", "TimeoutMinutes": 6}),
            "Schedule.CronExpression: 'often' is not a valid cron expression",
        ),
        *(
            (
                group("a", "b", Schedule={"RateMinutes": 30, "TimeoutMinutes": timeout}),
                f"Schedule.TimeoutMinutes: must be a whole number of 1 or more, not {timeout!r}",
            )
            for timeout in (None, 0, "5", True)
        ),
        *(
            (
                group("a", "b", Schedule={"RateMinutes": rate, "TimeoutMinutes": 1}),
                f"Schedule.RateMinutes: must be a whole number of 2 or more, not {rate!r}",
            )
            for rate in (1, "30", True)
        ),
    ],
)
def test_the_error_for_an_invalid_rule_names_the_key_and_the_reason(document, message):
    with pytest.raises(FieldError) as caught:
        parsed(document)
    assert message in str(caught.value)
    assert re.match(r"Detection(\[0\])?(\.[\w.\[\]]+)?: ", str(caught.value))


@pytest.mark.parametrize(
    "document",
    [
        group(*[f"s{i}" for i in range(50)]),
        group("a", "b", lookback=21_600),
        group("a", "b", Schedule={"RateMinutes": 2, "TimeoutMinutes": 2}),
        group("a", "b", matched=False, MatchCriteria=None),
        sequence("a", "b", Transitions=None),
    ],
)
def test_values_at_the_limits_are_accepted(document):
    parsed(document)


def test_limits_of_a_transition_are_minutes():
    (found,) = parsed(transition(WithinTimeFrameMinutes=7)).transitions
    assert found == Transition("a", "b", 420)


def test_an_absence_step_needs_and_allows_no_signals():
    rule = parsed(group("a", {"ID": "b", "Absence": True}))
    assert rule.steps[1] == Step("b", "Rule.b", min_count=0, max_count=0) and rule.steps[1].absent


def test_a_step_may_match_on_two_fields():
    parts = [{"GroupID": "a", "Match": "x"}, {"GroupID": "a", "Match": "y"}]
    parts.append({"GroupID": "b", "Match": "z"})
    rule = parsed(group("a", "b", matched=False, MatchCriteria={"u": parts}))
    assert rule.criteria[0].fields == {"a": ("x", "y"), "b": ("z",)}
    assert rule.fields == {"x", "y", "z"}


def test_transitions_without_a_common_step_match_on_separate_values():
    pairs = [("a", "b"), ("c", "d")]
    transitions = [{"From": f, "To": t, "Match": [{"On": FIELD}]} for f, t in pairs]
    rule = parsed(sequence("a", "b", "c", "d", Transitions=transitions))
    assert [set(criterion.fields) for criterion in rule.criteria] == [{"a", "b"}, {"c", "d"}]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
DETECTIONS = [
    sequence("a", {"ID": "b", "Absence": True}, "c", within=5)["Detection"],
    group("a", {"ID": "b", "MinMatchCount": 2, "MaxMatchCount": 3}, MinMatchCount=2)["Detection"],
]


def places(value, path=()):
    """Yield the path of everything in a document."""
    yield path
    if isinstance(value, (dict, list)):
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(entry, (*path, key))


@settings(max_examples=500)
@given(st.data(), st.sampled_from(DETECTIONS), ANY)
def test_any_value_in_any_place_is_accepted_or_reported(data, detection, value):
    document = {"Detection": copy.deepcopy(detection)}
    path = data.draw(st.sampled_from([path for path in places(document) if path]))
    inside = document
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    try:
        rule = parsed(document)
    except FieldError as error:
        assert str(error).startswith("Detection")
    else:
        assert len(rule.steps) >= 2 and rule.lookback >= 900


@pytest.mark.parametrize(
    "schedule, time, run",
    [
        ({"RateMinutes": 30, "TimeoutMinutes": 5}, 0, 0),
        ({"RateMinutes": 30, "TimeoutMinutes": 5}, 1, 1800),
        ({"RateMinutes": 30, "TimeoutMinutes": 5}, 1800, 1800),
        ({"CronExpression": "0 9 * * *", "TimeoutMinutes": 5}, 1, 9 * 3600),
        ({"CronExpression": "0 * * * *", "TimeoutMinutes": 5}, 1, 3600),
        ({"CronExpression": "0 * * * *", "TimeoutMinutes": 5}, 3600, 3600),
        ({"CronExpression": "0 * * * *", "TimeoutMinutes": 5}, 3600.5, 7200),
    ],
)
def test_runs_fall_on_the_schedule(schedule, time, run, far_from_greenwich):
    assert parsed(group("a", "b", Schedule=schedule)).schedule.next_run(time) == run
