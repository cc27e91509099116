"""Tests of the evaluator against plain definitions."""

from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from local_panther.correlation.evaluate import find_matches
from tests.builders.correlations import at, group, parsed, sequence, signals
from tests.scale import examples

LOOKBACK = 20
minutes = st.lists(st.integers(0, 60), max_size=8)
few_minutes = st.lists(st.integers(0, 40), max_size=5)


def matched(rule, found) -> bool:
    return any(True for _ in find_matches(rule, found))


def group_holds(steps, times, min_steps) -> bool:
    """Return whether enough steps hold in some window, by the definition.

    A window has the length of the lookback and begins at a signal of a step without Absence.
    """
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
def test_a_group_matches_exactly_if_the_definition_holds(steps, min_steps, a, b, c):
    rule = parsed(group(*steps, lookback=LOOKBACK, MinMatchCount=min_steps))
    expected = group_holds(rule.steps, {"a": a, "b": b, "c": c}, min_steps)
    assert matched(rule, signals(a=a, b=b, c=c)) == expected


def run_holds(rule, run, chosen) -> bool:
    """Return whether a run of signals of one step may follow the runs of the steps before it."""
    step, taken = run
    limits = {(t.source, t.target): t.within for t in rule.transitions}
    for earlier, times in chosen:
        within = limits.get((earlier.id, step.id))
        if taken[0] < times[-1] or taken[0] > times[-1] + (within or rule.lookback):
            return False
    return taken[-1] - (chosen[0][1] if chosen else taken)[0] <= rule.lookback


def forbidden_times(rule, step, chosen) -> tuple[float, float]:
    """Return the first and last time at which a signal of an Absence step breaks a chain."""
    place = rule.steps.index(step)
    before = [run for run in chosen if rule.steps.index(run[0]) < place]
    after = [run for run in chosen if rule.steps.index(run[0]) > place]
    limits = {(t.source, t.target): t.within for t in rule.transitions if t.within}
    starts = [before[-1][1][-1] if before else chosen[-1][1][-1] - rule.lookback]
    ends = [after[0][1][0] if after else chosen[0][1][0] + rule.lookback]
    ends += [t[-1] + limits[s.id, step.id] for s, t in before if (s.id, step.id) in limits]
    starts += [t[0] - limits[step.id, s.id] for s, t in after if (step.id, s.id) in limits]
    return max(starts), min(ends)


def chain_stands(rule, times, chosen) -> bool:
    low, high = chosen[-1][1][-1] - rule.lookback, chosen[0][1][0] + rule.lookback
    for step in rule.steps:
        if step.absent:
            first, last = forbidden_times(rule, step, chosen)
            found, allowed = [t for t in times[step.id] if first <= t <= last], 0
        else:
            found, allowed = [t for t in times[step.id] if low <= t <= high], step.max_count
        if allowed is not None and len(found) > allowed:
            return False
    return True


def chain_exists(rule, times, chosen=()) -> bool:
    """Return whether signals can be chosen for each step, in order and within all limits.

    This tries all possibilities. A step uses one signal or, if it needs several, at least that many
    consecutive ones.
    """
    present = [step for step in rule.steps if not step.absent]
    if len(chosen) == len(present):
        return chain_stands(rule, times, chosen)
    step = present[len(chosen)]
    found = sorted(times[step.id])
    for start in range(len(found)):
        ends = range(start + step.min_count, len(found) + 1)
        for end in [start + 1] if step.min_count == 1 else ends:
            run = (step, found[start:end])
            if run_holds(rule, run, chosen) and chain_exists(rule, times, (*chosen, run)):
                return True
    return False


@st.composite
def sequences(draw):
    """Return a Sequence of three or four steps, with limits between any two of them."""
    names = "abcd"[: draw(st.integers(3, 4))]
    kinds = st.sampled_from([{}, {}, {"MinMatchCount": 2}, {"MaxMatchCount": 2}, {"Absence": True}])
    steps = [{"ID": name, **draw(kinds)} for name in names]
    steps[draw(st.integers(0, len(names) - 1))].pop("Absence", None)
    pairs = draw(st.lists(st.sampled_from(list(combinations(names, 2))), unique=True, max_size=4))
    transitions = [
        {"From": first, "To": second, "WithinTimeFrameMinutes": draw(st.integers(1, LOOKBACK))}
        for first, second in pairs
    ]
    transitions += [{"From": "a", "To": "c"}] if ("a", "c") not in pairs else []
    order = draw(st.sampled_from(["Chronological", "ReverseChronological"]))
    options = {"lookback": LOOKBACK, "EventEvaluationOrder": order, "Transitions": transitions}
    return parsed(sequence(*steps, **options))


@settings(max_examples=examples(1500, 50_000))
@given(sequences(), st.fixed_dictionaries(dict.fromkeys("abcd", few_minutes)))
def test_a_sequence_matches_exactly_if_a_chain_can_be_chosen(rule, times):
    seconds = {step.id: [minute * 60 for minute in times[step.id]] for step in rule.steps}
    assert matched(rule, signals(**times)) == chain_exists(rule, seconds)


@given(st.data(), st.integers(2, 6))
def test_signals_in_order_match_and_each_of_them_is_needed(data, length):
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
def test_each_value_matches_by_its_own_signals_alone(found):
    rule = parsed(group("a", "b", lookback=LOOKBACK))
    by_step = {s: [at(minute, user) for step, minute, user in found if step == s] for s in "ab"}
    values = {match.binding[0] for match in find_matches(rule, by_step)}
    for user in "xyz":
        alone = {s: [at(m, user) for step, m, u in found if step == s and u == user] for s in "ab"}
        assert (user in values) == matched(rule, alone)
