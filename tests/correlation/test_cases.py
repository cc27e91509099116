"""Tests of which cases correlation rules match, by a table with the documented sentence for each.

Assumptions of low confidence, where a sentence leaves something open: signals beyond the lookback
neither break an absence nor exceed a maximum; an absence in a Sequence lasts for the time of its
transition, or else the lookback; the order of evaluation never decides whether there is a match; a
step that is listed without `Matches` has no signals; empty values connect nothing.
"""

from datetime import UTC, date, datetime

import pytest

from local_panther.correlation.evaluate import find_matches
from local_panther.correlation.rule_tests import run_tests
from tests.builders.correlations import FIELD, group, parsed, sequence, spec
from tests.builders.correlations import signals as step_signals

ABSENT_B = {"ID": "b", "Absence": True}
THREE_A = {"ID": "a", "MinMatchCount": 3}
TWO_A = {"ID": "a", "MinMatchCount": 2}
TWO_B = {"ID": "b", "MinMatchCount": 2}
AT_MOST_TWO_B = {"ID": "b", "MaxMatchCount": 2}
AT_MOST_ONE_B = {"ID": "b", "MaxMatchCount": 1}
AT_FIVE = datetime(1970, 1, 1, 0, 5)
NAIVE = AT_FIVE.isoformat()
BERLIN = "1970-01-01T01:05:00+01:00"


def outputs(**by_step):
    """Return RuleOutputs from the minutes of one user, or from minutes by user."""
    return [
        {"ID": step, "Matches": {FIELD: times if isinstance(times, dict) else {"alice": times}}}
        for step, times in by_step.items()
    ]


def both(**users_and_groups):
    """Return RuleOutputs with one signal a step, at minute 0, with a user and another value."""
    return [
        {"ID": step, "Matches": {FIELD: {user: [0]}, OTHER: {other: [0]}}}
        for step, (user, other) in users_and_groups.items()
    ]


def criteria(user_steps, other_steps):
    """Return MatchCriteria for the user in some steps and the other value in other steps."""
    return {
        name: [{"GroupID": step, "Match": field} for step in steps]
        for name, field, steps in (("user", FIELD, user_steps), ("other", OTHER, other_steps))
    }


def limits(*steps, **minutes):
    """Return a Sequence with limits in minutes by pairs of step IDs ("ab"); None for no limit."""
    transitions = [
        {"From": pair[0], "To": pair[1], **({"WithinTimeFrameMinutes": within} if within else {})}
        for pair, within in minutes.items()
    ]
    return sequence(*steps, Transitions=transitions, matched=False)


LIMIT_FROM_BETWEEN = limits("a", "b", "c", "d", bd=12)
LIMITED_ABSENCE = limits("a", ABSENT_B, "c", ac=None, bc=5)
COUNT_AFTER_ABSENCE = limits("a", ABSENT_B, {"ID": "c", "MinMatchCount": 2}, bc=1)
TWICE_LIMITED = limits("a", ABSENT_B, "c", "d", ab=1, bd=1)
LATER_LIMITED = limits("a", ABSENT_B, "c", "d", bd=1)
OTHER = "sourceIPAddress"
TWO_VALUES = group("a", "b", matched=False, MatchCriteria=criteria("ab", "ab"))
TWO_VALUES_OF_THREE = group("a", "b", "c", matched=False, MatchCriteria=criteria("ab", "abc"))


def iso(minute):
    return datetime.fromtimestamp(minute * 60, UTC).isoformat()


CASES = [
    # "A Group is unordered within the lookback"
    ("either order", group("a", "b"), outputs(a=[5], b=[0]), True),
    ("both needed", group("a", "b"), outputs(a=[0]), False),
    # "a step that is not listed has no signals"
    ("nothing listed", group("a", "b"), [], False),
    # "one value must hold through the whole chain"
    ("another value", group("a", "b"), outputs(a={"alice": [0]}, b={"bob": [0]}), False),
    (
        "one value among several",
        group("a", "b"),
        outputs(a={"alice": [0], "bob": [1]}, b={"bob": [2], "carol": [3]}),
        True,
    ),
    # "A Group without MatchCriteria correlates everything together"
    (
        "no criteria",
        group("a", "b", matched=False),
        outputs(a={"alice": [0]}, b={"bob": [5]}),
        True,
    ),
    # "The lookback is a span: all signals of one match lie within LookbackWindowMinutes"
    ("span of exactly the lookback", group("a", "b"), outputs(a=[100], b=[160]), True),
    ("span of more than the lookback", group("a", "b"), outputs(a=[100], b=[161]), False),
    ("a later pair is near enough", group("a", "b"), outputs(a=[0, 150], b=[100]), True),
    # "Counts are per matched value"
    ("count reached", group(THREE_A, "b"), outputs(a=[0, 1, 2], b=[3]), True),
    ("count not reached", group(THREE_A, "b"), outputs(a=[0, 1], b=[3]), False),
    ("the same time counts twice", group(THREE_A, "b"), outputs(a=[0, 0, 0], b=[3]), True),
    (
        "count spread over values",
        group(THREE_A, "b"),
        outputs(a={"alice": [0, 1], "bob": [2]}, b=[3]),
        False,
    ),
    ("count spread beyond the lookback", group(THREE_A, "b"), outputs(a=[0, 1, 61], b=[3]), False),
    ("maximum kept", group("a", AT_MOST_TWO_B), outputs(a=[0], b=[1, 2]), True),
    ("maximum exceeded", group("a", AT_MOST_TWO_B), outputs(a=[0], b=[1, 2, 3]), False),
    # group MinMatchCount: steps that must hold
    ("two of three", group("a", "b", "c", MinMatchCount=2), outputs(a=[0], c=[1]), True),
    ("one of three", group("a", "b", "c", MinMatchCount=2), outputs(c=[1]), False),
    ("all by default", group("a", "b", "c"), outputs(a=[0], c=[1]), False),
    # "Absence means no signal of that step for that value"
    ("absent", group("a", ABSENT_B), outputs(a=[0]), True),
    ("present before", group("a", ABSENT_B), outputs(a=[5], b=[0]), False),
    ("present after", group("a", ABSENT_B), outputs(a=[5], b=[9]), False),
    ("present for another", group("a", ABSENT_B), outputs(a=[5], b={"bob": [5]}), True),
    ("present beyond the lookback", group("a", ABSENT_B), outputs(a=[0], b=[61]), True),
    ("only absence", group("a", ABSENT_B), outputs(), False),
    # two criteria: both must hold, for the same signals
    ("two values", TWO_VALUES, both(a=("alice", "x"), b=("alice", "x")), True),
    ("one of two values", TWO_VALUES, both(a=("alice", "x"), b=("alice", "y")), False),
    (
        "two values crosswise",
        TWO_VALUES,
        both(a=("alice", "x"), b=("alice", "y")) + both(a=("bob", "y"), b=("bob", "x")),
        False,
    ),
    (
        "a step in only one of the criteria",
        TWO_VALUES_OF_THREE,
        both(a=("alice", "x"), b=("alice", "x"), c=("bob", "x")),
        True,
    ),
    (
        "a step with another value of its only criterion",
        TWO_VALUES_OF_THREE,
        both(a=("alice", "x"), b=("alice", "x"), c=("alice", "y")),
        False,
    ),
    ("no value for the second criterion", TWO_VALUES, outputs(a=[0], b=[1]), False),
    # "a Sequence is ordered, not strictly (equal times count as in order)"
    ("in order", sequence("a", "b"), outputs(a=[0], b=[5]), True),
    ("out of order", sequence("a", "b"), outputs(a=[5], b=[0]), False),
    ("equal times", sequence("a", "b"), outputs(a=[5], b=[5]), True),
    ("a later one is in order", sequence("a", "b"), outputs(a=[5], b=[0, 9]), True),
    ("three in order", sequence("a", "b", "c"), outputs(a=[0], b=[5], c=[9]), True),
    ("middle out of order", sequence("a", "b", "c"), outputs(a=[0], b=[10], c=[9]), False),
    (
        "a count that ends after the next",
        sequence(THREE_A, "b"),
        outputs(a=[0, 1, 9], b=[5]),
        False,
    ),
    ("a count, then the next", sequence(THREE_A, "b"), outputs(a=[0, 1, 2], b=[5]), True),
    # "WithinTimeFrameMinutes is inclusive", default: the lookback
    ("within", sequence("a", "b", within=5), outputs(a=[0], b=[5]), True),
    ("not within", sequence("a", "b", within=5), outputs(a=[0], b=[6]), False),
    ("within the lookback", sequence("a", "b"), outputs(a=[0], b=[60]), True),
    ("not within the lookback", sequence("a", "b"), outputs(a=[0], b=[61]), False),
    ("chain longer than lookback", sequence("a", "b", "c"), outputs(a=[0], b=[40], c=[61]), False),
    ("the right pair is found", sequence("a", "b", within=5), outputs(a=[0, 8], b=[7, 12]), True),
    # values through a Sequence
    ("another user", sequence("a", "b"), outputs(a={"alice": [0]}, b={"bob": [5]}), False),
    (
        "no match asked for",
        sequence("a", "b", matched=False),
        outputs(a={"alice": [0]}, b={"bob": [5]}),
        True,
    ),
    # "Absence … works first or last in a sequence"
    ("not before", sequence(ABSENT_B, "a", within=10), outputs(a=[20]), True),
    ("before", sequence(ABSENT_B, "a", within=10), outputs(a=[20], b=[10]), False),
    ("long before", sequence(ABSENT_B, "a", within=10), outputs(a=[20], b=[9]), True),
    ("not after", sequence("a", ABSENT_B, within=10), outputs(a=[20]), True),
    ("after", sequence("a", ABSENT_B, within=10), outputs(a=[20], b=[30]), False),
    ("long after", sequence("a", ABSENT_B, within=10), outputs(a=[20], b=[31]), True),
    ("not between", sequence("a", ABSENT_B, "c"), outputs(a=[0], c=[9]), True),
    ("between", sequence("a", ABSENT_B, "c"), outputs(a=[0], b=[5], c=[9]), False),
    ("outside", sequence("a", ABSENT_B, "c"), outputs(a=[2], b=[1, 10], c=[9]), True),
    # MaxMatchCount in a Sequence: over all signals of the step within the lookback of the match
    ("maximum kept in a sequence", sequence("a", AT_MOST_TWO_B), outputs(a=[0], b=[1, 2]), True),
    ("maximum exceeded", sequence("a", AT_MOST_TWO_B), outputs(a=[9], b=[1, 10, 11]), False),
    ("maximum, long ago", sequence("a", AT_MOST_TWO_B), outputs(a=[90], b=[1, 99, 100]), True),
    ("one at the most", sequence("a", AT_MOST_ONE_B), outputs(a=[0], b=[1]), True),
    # Absence: false is a step like any other
    ("no absence", group("a", {"ID": "b", "Absence": False}), outputs(a=[0], b=[1]), True),
    ("no absence, no signal", group("a", {"ID": "b", "Absence": False}), outputs(a=[0]), False),
    # limits and counts that later steps depend on
    (
        "a limit from a step between",
        LIMIT_FROM_BETWEEN,
        outputs(a=[0], b=[1, 9], c=[11], d=[20]),
        True,
    ),
    ("a count over the whole lookback", sequence(TWO_A, "b"), outputs(a=[0, 60], b=[60]), True),
    ("a count that begins later", sequence(TWO_A, "b"), outputs(a=[0, 70, 71], b=[72]), True),
    ("an absence with a limit", LIMITED_ABSENCE, outputs(a=[0], b=[2], c=[10]), True),
    ("an absence within its limit", LIMITED_ABSENCE, outputs(a=[0], b=[5], c=[10]), False),
    ("a count beyond an absence", COUNT_AFTER_ABSENCE, outputs(a=[0], b=[0], c=[0, 2, 2]), True),
    ("a count within an absence", COUNT_AFTER_ABSENCE, outputs(a=[0], b=[1], c=[2, 2]), False),
    (
        "an absence that a later step limits",
        TWICE_LIMITED,
        outputs(a=[0], b=[0], c=[0], d=[2]),
        True,
    ),
    ("an absence limited backwards", LATER_LIMITED, outputs(a=[0], b=[0], c=[0], d=[2]), True),
    ("an absence not limited enough", LATER_LIMITED, outputs(a=[0], b=[1], c=[1], d=[2]), False),
    ("a count that ends too late", sequence("a", TWO_B), outputs(a=[0], b=[59, 61]), False),
    ("a count that just ends in time", sequence("a", TWO_B), outputs(a=[0], b=[59, 60]), True),
    # the order of evaluation decides which match is found, never whether there is one
    (
        "newest first",
        sequence("a", "b", EventEvaluationOrder="ReverseChronological"),
        outputs(a=[0, 50], b=[5, 55]),
        True,
    ),
    # "the times … of the signals": minute offsets or ISO 8601
    ("ISO times", sequence("a", "b"), outputs(a=[iso(0)], b=[iso(5)]), True),
    ("ISO times out of order", sequence("a", "b"), outputs(a=[iso(5)], b=[iso(0)]), False),
    ("local times", sequence("a", "b"), outputs(a=[4], b=[BERLIN]), True),
    (
        "local times, before",
        sequence("a", "b"),
        outputs(a=[BERLIN], b=[4]),
        False,
    ),
    ("times without a zone are UTC", sequence("a", "b"), outputs(a=[4], b=[NAIVE]), True),
    ("times without a zone, before", sequence("a", "b"), outputs(a=[NAIVE], b=[4]), False),
    ("a time that YAML reads as one", sequence("a", "b"), outputs(a=[4], b=[AT_FIVE]), True),
    ("a day", sequence("a", "b"), outputs(a=[date(1970, 1, 1)], b=[4]), True),
    ("a day after", sequence("a", "b"), outputs(a=[date(1970, 1, 2)], b=[4]), False),
    (
        "a single time, not in a list",
        group("a", "b"),
        outputs(a={"alice": 0}, b={"alice": 1}),
        True,
    ),
    ("the same time many times", group(THREE_A, "b"), outputs(a=[0, 0], b=[3]), False),
    ("ISO times too far apart", group("a", "b"), outputs(a=[iso(0)], b=[iso(61)]), False),
]


@pytest.mark.parametrize("name, rule, signals, expected", CASES, ids=[case[0] for case in CASES])
def test_a_rule_matches_as_the_case_expects(name, rule, signals, expected, far_from_greenwich):
    test = {"Name": name, "ExpectedResult": expected, "RuleOutputs": signals}
    (result,) = run_tests(rule | {"Tests": [test]})
    assert result.error is None and result.name == name
    assert result.passed, f"{name}: expected {expected}"


def test_a_wrong_expectation_fails():
    test = {"Name": "wrong", "ExpectedResult": False, "RuleOutputs": outputs(a=[0], b=[1])}
    (result,) = run_tests(group("a", "b") | {"Tests": [test]})
    assert not result.passed and result.error is None


def differing_fields(transition_match):
    steps = [{"RuleID": "A", "ID": "a"}, {"RuleID": "B", "ID": "b"}]
    transition = {"From": "a", "To": "b", "Match": transition_match}
    return spec({"Sequence": steps, "Transitions": [transition]})


@pytest.mark.parametrize("value, expected", [("alice", True), ("bob", False)])
def test_a_value_may_be_in_fields_of_different_names(value, expected):
    rule = differing_fields([{"From": "user.created", "To": "userIdentity.arn"}])
    signals = [
        {"ID": "a", "Matches": {"user.created": {"alice": [0]}}},
        {"ID": "b", "Matches": {"userIdentity.arn": {value: [1]}}},
    ]
    test = {"Name": "t", "ExpectedResult": expected, "RuleOutputs": signals}
    assert run_tests(rule | {"Tests": [test]})[0].passed


def test_a_step_in_two_transitions_must_have_the_value_in_both_fields():
    steps = [{"RuleID": name.upper(), "ID": name} for name in "abc"]
    transitions = [
        {"From": "a", "To": "b", "Match": [{"From": "x", "To": "y"}]},
        {"From": "b", "To": "c", "Match": [{"On": "z"}]},
    ]
    rule = spec({"Sequence": steps, "Transitions": transitions})

    def result(middle):
        signals = [
            {"ID": "a", "Matches": {"x": {"v": [0]}}},
            {"ID": "b", "Matches": middle},
            {"ID": "c", "Matches": {"z": {"v": [2]}}},
        ]
        test = {"Name": "t", "ExpectedResult": True, "RuleOutputs": signals}
        return run_tests(rule | {"Tests": [test]})[0].passed

    assert result({"y": {"v": [1]}, "z": {"v": [1]}})
    assert not result({"y": {"v": [1]}, "z": {"w": [1]}})


@pytest.mark.parametrize(
    "signals, message",
    [
        ([{"ID": "x"}], "Tests[0].RuleOutputs[0].ID: 'x' is not a step; the steps are a, b"),
        ("text", "Tests[0].RuleOutputs: must be a list"),
        (["text"], "Tests[0].RuleOutputs[0].ID: None is not a step; the steps are a, b"),
        ([{"ID": "a", "Matches": []}], None),
        ([{"ID": "a", "Matches": [1]}], "Matches: must map fields to values"),
        ([{"ID": "a", "Matches": {"f": [1]}}], "Matches.f: must map values to times"),
        ([{"ID": "a", "Matches": {"f": {"v": ["soon"]}}}], "Matches.f.v: 'soon' is neither"),
    ],
)
def test_an_invalid_test_has_a_result_with_the_error(signals, message):
    test = {"Name": "wrong", "ExpectedResult": False, "RuleOutputs": signals}
    (result,) = run_tests(group("a", "b") | {"Tests": [test]})
    if message is None:
        assert result.error is None and result.passed
    else:
        assert message in result.error and result.passed is False and result.name == "wrong"


def test_a_test_without_a_name_is_named_by_its_place():
    results = run_tests(group("a", "b") | {"Tests": [{}, "text", {"Name": "n"}]})
    assert [result.name for result in results] == ["Tests[0]", "Tests[1]", "n"]
    assert not any(result.passed for result in results)
    assert results[1].error.startswith("Tests[1]: must be a mapping")


@pytest.mark.parametrize("order, first", [("Chronological", 0), ("ReverseChronological", 3000)])
@pytest.mark.parametrize("kind", [sequence, group])
def test_the_order_of_evaluation_decides_which_match_is_found(kind, order, first):
    rule = parsed(kind("a", "b", lookback=20, EventEvaluationOrder=order))
    (match,) = find_matches(rule, step_signals(a=[0, 50], b=[5, 55]))
    assert match.first == first
