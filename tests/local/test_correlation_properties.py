"""The evaluator against definitions that are written down plainly."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from local_panther.correlation.evaluate import find_matches
from tests.local.correlations import at, group, parsed, sequence, signals

LOOKBACK = 20
minutes = st.lists(st.integers(0, 60), max_size=8)


def matched(rule, found) -> bool:
    return any(True for _ in find_matches(rule, found))


def group_holds(steps, times, min_steps) -> bool:
    """The definition: in some window of the lookback's length that begins at a signal of a step
    that is not absent, enough steps hold."""
    present = [s for s in steps if not s.absent]
    for start in {t for s in present for t in times[s.id]}:
        window = {s.id: [t for t in times[s.id] if start <= t <= start + LOOKBACK] for s in present}
        last = max(t for found in window.values() for t in found)
        holding = []
        for step in steps:
            near = [t for t in times[step.id] if max(t, last) - min(t, start) <= LOOKBACK]
            enough = step.absent or len(window[step.id]) >= step.min_count
            few = step.max_count is None or len(near) <= step.max_count
            if enough and few:
                holding.append(step)
        if len(holding) >= min_steps and any(not step.absent for step in holding):
            return True
    return False


steps_of_a_group = st.tuples(
    st.fixed_dictionaries({"ID": st.just("a")}, optional={"MinMatchCount": st.integers(1, 3)}),
    st.fixed_dictionaries({"ID": st.just("b")}, optional={"Absence": st.booleans()}),
    st.fixed_dictionaries({"ID": st.just("c")}, optional={"MaxMatchCount": st.integers(1, 3)}),
)


@settings(max_examples=400)
@given(steps_of_a_group, st.integers(2, 3), minutes, minutes, minutes)
def test_a_group_matches_as_the_definition_says(steps, min_steps, a, b, c):
    rule = parsed(group(*steps, lookback=LOOKBACK, MinMatchCount=min_steps))
    expected = group_holds(rule.steps, {"a": a, "b": b, "c": c}, min_steps)
    assert matched(rule, signals(a=a, b=b, c=c)) == expected


def chain_exists(steps, times, within, chosen=()) -> bool:
    """The definition: signals can be chosen step by step, in order and within the limits."""
    if len(chosen) == len(steps):
        return True
    for time in times[steps[len(chosen)]]:
        in_order = not chosen or chosen[-1] <= time <= chosen[-1] + within
        in_span = not chosen or time - chosen[0] <= LOOKBACK
        if in_order and in_span and chain_exists(steps, times, within, (*chosen, time)):
            return True
    return False


@settings(max_examples=400)
@given(minutes, minutes, minutes, st.integers(1, LOOKBACK), st.booleans())
def test_a_sequence_matches_where_a_chain_can_be_chosen(a, b, c, within, newest_first):
    order = "ReverseChronological" if newest_first else "Chronological"
    options = {"lookback": LOOKBACK, "within": within, "EventEvaluationOrder": order}
    rule = parsed(sequence("a", "b", "c", **options))
    expected = chain_exists("abc", {"a": a, "b": b, "c": c}, within)
    assert matched(rule, signals(a=a, b=b, c=c)) == expected


@given(st.data(), st.integers(2, 6))
def test_rising_signals_match_and_none_of_them_can_be_left_out(data, length):
    gaps = data.draw(st.lists(st.integers(1, 10), min_size=length, max_size=length))
    names = [f"s{i}" for i in range(length)]
    rule = parsed(sequence(*names, lookback=10 * length + 15))
    times = {name: [sum(gaps[: i + 1])] for i, name in enumerate(names)}
    assert all(first < second for (first,), (second,) in pairwise(times.values()))
    assert matched(rule, signals(**times))
    left_out = data.draw(st.sampled_from(names))
    assert not matched(rule, signals(**{n: t for n, t in times.items() if n != left_out}))


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60), st.sampled_from("xyz"))),
)
def test_each_value_is_judged_by_its_own_signals(found):
    rule = parsed(group("a", "b", lookback=LOOKBACK))
    by_step = {s: [at(minute, user) for step, minute, user in found if step == s] for s in "ab"}
    values = {match.binding[0] for match in find_matches(rule, by_step)}
    for user in "xyz":
        alone = {s: [at(m, user) for step, m, u in found if step == s and u == user] for s in "ab"}
        assert (user in values) == matched(rule, alone)
