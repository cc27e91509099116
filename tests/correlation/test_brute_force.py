"""Tests of the engine against a plain definition that executes every run over all signals."""

import math
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from local_panther.content.model import CorrelationRule
from local_panther.correlation.correlation_engine import CorrelationEngine
from tests.builders.correlations import group, parsed, sequence
from tests.builders.signals import metadata, signal
from tests.correlation.test_properties import chain_stands, forbidden_times, run_holds
from tests.scale import examples

LOOKBACK = 20  # minutes
NAMES = "abc"


@dataclass(frozen=True)
class One:
    """A signal.

    Attributes:
        step: The ID of its step.
        time: Its time in seconds.
        number: Its number in the order of arrival.
    """

    step: str
    time: float
    number: int


class Definition:
    """A plain implementation of what a rule reports.

    Attributes:
        found: The time of each run that reports a match, and the numbers of its signals.
    """

    def __init__(self, rule, rate, arrivals):
        self.rule, self.rate = rule, rate * 60
        self.known, self.reported, self.found = [], set(), []
        run, now = -10 * self.rate, -math.inf
        for one in arrivals:
            now = max(now, one.time)
            while run < now:
                self.run(run)
                run += self.rate
            self.known.append(one)
        while run < now + 3 * rule.lookback:
            self.run(run)
            run += self.rate

    def run(self, now):
        seen = [s for s in self.known if now - self.rule.lookback <= s.time <= now]
        (self.run_sequence if self.rule.ordered else self.run_group)(seen, now)

    def is_decided(self, first, settled, now):
        is_last = now + self.rate > first + self.rule.lookback
        return settled <= now or is_last

    def run_group(self, seen, now):
        rule, lookback = self.rule, self.rule.lookback
        present = {s.id for s in rule.steps if not s.absent}
        times = [s.time for s in seen if s.step in present]
        if not times:
            return
        holding, members = 0, []
        for step in rule.steps:
            own = [s for s in seen if s.step == step.id]
            near = [
                s
                for s in self.known
                if s.step == step.id
                and s.time <= now
                and max(s.time, *times) - min(s.time, *times) <= lookback
            ]
            enough = step.absent or len(own) >= step.min_count
            if enough and (step.max_count is None or len(near) <= step.max_count):
                holding += 1
                members += [] if step.absent else own
        if holding < rule.min_steps or not members:
            return
        first = min(s.time for s in members)
        can_be_contradicted = any(step.max_count is not None for step in rule.steps)
        settled = first + lookback if can_be_contradicted else max(times)
        if self.is_decided(first, settled, now) and set(members) - self.reported:
            self.reported |= set(members)
            self.found.append((now, frozenset(s.number for s in members)))

    def run_sequence(self, seen, now):
        rule = self.rule
        begun = set()
        by_time = sorted(seen, key=lambda s: (s.time, s.number))
        first_step = next(step for step in rule.steps if not step.absent)
        own = [s for s in by_time if s.step == first_step.id]
        for start in own:
            if start.time in begun or start in self.reported:
                begun.add(start.time)
                continue
            chain = next(self.chains(by_time, start), None)
            if chain is None:
                continue
            begun.add(start.time)
            timed = [(step, [s.time for s in taken]) for step, taken in chain]
            ends = [timed[-1][1][-1]]
            ends += [forbidden_times(rule, s, timed)[1] for s in rule.steps if s.absent]
            if any(step.max_count is not None for step, _ in chain):
                ends.append(start.time + rule.lookback)
            if self.is_decided(start.time, max(ends), now):
                self.reported.add(start)
                members = frozenset(s.number for _, taken in chain for s in taken)
                self.found.append((now, members))

    def chains(self, seen, start, chosen=()):
        """Yield the chains that begin with a signal, early and short ones first."""
        rule = self.rule
        present = [step for step in rule.steps if not step.absent]
        timed = [(step, [s.time for s in taken]) for step, taken in chosen]
        if len(chosen) == len(present):
            times = {s.id: [o.time for o in self.known if o.step == s.id] for s in rule.steps}
            if chain_stands(rule, times, timed):
                yield list(chosen)
            return
        step = present[len(chosen)]
        own = [s for s in seen if s.step == step.id]
        for begin in range(len(own)):
            if not chosen and own[begin] != start:
                continue
            ends = range(begin + step.min_count, len(own) + 1)
            for end in [begin + 1] if step.min_count == 1 else ends:
                taken = own[begin:end]
                if run_holds(rule, (step, [s.time for s in taken]), timed):
                    yield from self.chains(seen, start, (*chosen, (step, taken)))


def engine_found(rule, arrivals):
    return engine_run(rule, arrivals)[0]


def engine_run(rule, arrivals):
    """Return the matches that the engine reports, and the number of late signals by rule."""
    engine = CorrelationEngine([rule])
    found, now = [], -math.inf

    def advance(time):
        for match in engine.advance(time):
            members = [s for signals in match.match.signals.values() for s in signals]
            found.append((match.found_at, frozenset(int(s.event_id) for s in members)))

    for one in arrivals:
        now = max(now, one.time)
        advance(now)
        engine.add(replace(signal(one.step, one.time / 60), event_id=str(one.number)))
    advance(math.inf)
    return found, engine.late


def late(rule, rate, arrivals):
    """Count the signals that come too late for every run, by a plain search through all runs."""
    count, now = 0, -math.inf
    pairable = {step.id for step in rule.steps if not step.absent}
    for one in arrivals:
        now = max(now, one.time)
        runs = range(0, 10 * 3600, rate * 60)
        seen = any(r - rule.lookback <= one.time <= r and r >= now for r in runs)
        count += one.step in pairable and not seen
    return count


arrivals = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(0, 60), st.sampled_from([0, 0, 0, 8, 30])),
    max_size=10,
).map(
    lambda found: [
        One(step, minute * 60.0, number)
        for number, (step, minute, late) in enumerate(sorted(found, key=lambda f: f[1] + f[2]))
    ]
)
limits = st.sampled_from([{}, {}, {"MinMatchCount": 2}, {"MaxMatchCount": 1}, {"Absence": True}])


@st.composite
def rules(draw):
    steps = [{"ID": name, **draw(limits)} for name in NAMES[: draw(st.integers(2, 3))]]
    steps[draw(st.integers(0, len(steps) - 1))].pop("Absence", None)
    rate = draw(st.sampled_from([5, 7, 15]))
    schedule = {"RateMinutes": rate, "TimeoutMinutes": 2}
    options = {"lookback": LOOKBACK, "matched": draw(st.booleans()), "Schedule": schedule}
    if draw(st.booleans()):
        document = group(*steps, MinMatchCount=draw(st.integers(2, len(steps))), **options)
    else:
        document = sequence(*steps, within=draw(st.sampled_from([None, 6])), **options)
    return document, rate


@settings(max_examples=examples(600, 40_000))
@given(rules(), arrivals)
def test_every_run_reports_the_matches_of_the_definition(document_and_rate, found):
    document, rate = document_and_rate
    rule = CorrelationRule(metadata(document["RuleID"]), parsed(document))
    expected = Definition(rule.logic, rate, found).found
    assert sorted(engine_found(rule, found), key=repr) == sorted(expected, key=repr)


@settings(max_examples=examples(600, 40_000))
@given(rules(), arrivals)
def test_signals_are_late_if_no_later_run_looks_back_to_them(document_and_rate, found):
    document, rate = document_and_rate
    rule = CorrelationRule(metadata(document["RuleID"]), parsed(document))
    expected = late(rule.logic, rate, found)
    assert engine_run(rule, found)[1] == ({document["RuleID"]: expected} if expected else {})
