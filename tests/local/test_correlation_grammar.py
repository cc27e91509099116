"""What a correlation rule may say, and what a wrong one is told."""

import pytest
import yaml

from local_panther.errors import FieldError
from tests.local.correlations import FIELD, group, parsed, sequence, spec


def test_a_group_is_read_with_its_defaults():
    rule = parsed(spec({"Group": [{"RuleID": "A"}, {"RuleID": "B", "ID": "b"}]}))
    assert [(s.id, s.rule_id, s.min_count, s.max_count) for s in rule.steps] == [
        ("A", "A", 1, None),
        ("b", "B", 1, None),
    ]
    assert (rule.lookback, rule.schedule.rate, rule.min_steps) == (15 * 60, 600, 2)
    assert not rule.ordered and not rule.newest_first


def test_the_key_on_is_read_as_yaml_1_1_loaders_give_it():
    text = f"""
    Sequence: [{{RuleID: A}}, {{RuleID: B}}]
    Transitions: [{{From: A, To: B, Match: [{{On: {FIELD}}}]}}]
    """
    detection = yaml.safe_load(text)
    assert True in detection["Transitions"][0]["Match"][0]
    assert parsed(spec(detection)).criteria[0].fields == {"A": (FIELD,), "B": (FIELD,)}


def test_transitions_that_share_a_step_bind_one_value_through_the_chain():
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
        (group("a"), "Detection[0].Group: needs 2 to 50 steps"),
        (group(*[f"s{i}" for i in range(51)]), "needs 2 to 50 steps"),
        (group("a", "a"), "Group[1].ID: a names an earlier step"),
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
        (group("a", "b", Transitions=[]), "Transitions: belongs to a Sequence"),
        (sequence("a", "b", MatchCriteria={}), "MatchCriteria: belongs to a Group"),
        (
            group("a", "b", matched=False, MatchCriteria={"u": [{"GroupID": "x", "Match": "f"}]}),
            "MatchCriteria.u[0].GroupID: 'x' is not a step; the steps are a, b",
        ),
        (
            group("a", "b", matched=False, MatchCriteria={"u": [{"GroupID": "a"}]}),
            "MatchCriteria.u[0]: needs GroupID and Match",
        ),
        (transition(To="x"), "Transitions[0].To: 'x' is not a step"),
        (transition(From="b", To="a"), "Transitions[0].To: a does not come after b"),
        (transition(WithinTimeFrameMinutes=0), "Transitions[0].WithinTimeFrameMinutes: 0"),
        (transition(Match=[{}]), "Transitions[0].Match[0]: needs either On, or From and To"),
        (transition(Match=[{"On": "f", "From": "g"}]), "needs either On, or From and To"),
        (transition(Match=[{"From": "g"}]), "needs either On, or From and To"),
        (group("a", "b", Schedule=None), "Detection[0].Schedule: is missing"),
        (group("a", "b", Schedule={"TimeoutMinutes": 1}), "either RateMinutes or CronExpression"),
        (
            group("a", "b", Schedule={"RateMinutes": 1, "TimeoutMinutes": 1}),
            "Schedule.RateMinutes: 1",
        ),
        (
            group("a", "b", Schedule={"RateMinutes": 5, "TimeoutMinutes": 6}),
            "Schedule.TimeoutMinutes: 6 is more than RateMinutes 5",
        ),
        (
            group("a", "b", Schedule={"CronExpression": "often", "TimeoutMinutes": 6}),
            "Schedule.CronExpression: 'often' is not a schedule",
        ),
    ],
)
def test_a_wrong_rule_is_told_which_key_and_why(document, message):
    with pytest.raises(FieldError) as caught:
        parsed(document)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "schedule, time, run",
    [
        ({"RateMinutes": 30, "TimeoutMinutes": 5}, 0, 0),
        ({"RateMinutes": 30, "TimeoutMinutes": 5}, 1, 1800),
        ({"RateMinutes": 30, "TimeoutMinutes": 5}, 1800, 1800),
        ({"CronExpression": "0 * * * *", "TimeoutMinutes": 5}, 1, 3600),
        ({"CronExpression": "0 * * * *", "TimeoutMinutes": 5}, 3600, 3600),
        ({"CronExpression": "0 * * * *", "TimeoutMinutes": 5}, 3600.5, 7200),
    ],
)
def test_runs_fall_on_the_schedule(schedule, time, run):
    assert parsed(group("a", "b", Schedule=schedule)).schedule.next_run(time) == run
