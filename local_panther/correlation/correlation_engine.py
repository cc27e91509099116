"""Runs correlation rules on their schedules as signals arrive, on the clock of event time."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from local_panther.content.correlation_grammar import CorrelationLogic
from local_panther.content.model import CorrelationRule, Metadata
from local_panther.correlation.evaluate import Match
from local_panther.correlation.group import match_within
from local_panther.correlation.index import SignalIndex
from local_panther.correlation.sequence import Chains
from local_panther.correlation.signals import Binding, StepSignal, held, numbers, values_at
from local_panther.detection.signals import Signal
from local_panther.packed import pack


@dataclass(frozen=True)
class CorrelationMatch:
    """A match of a correlation rule, found by one of its runs.

    Attributes:
        metadata: Metadata of the rule.
        match: The signals that take part, and the values that they share.
        found_at: The time of the run, in seconds since 1970.
    """

    metadata: Metadata
    match: Match
    found_at: float

    @property
    def value(self) -> str | None:
        """The values that the signals share, joined by commas; None without match criteria."""
        return ", ".join(self.match.binding) or None

    @property
    def context(self) -> dict[str, Any]:
        """The `p_alert_context` of the latest signal of each step, by step ID."""
        return {step: signals[-1].context for step, signals in self.match.signals.items()}

    @cached_property
    def latest(self) -> StepSignal:
        """The latest signal that takes part."""
        return max(self.signals, key=lambda signal: signal.time)

    @property
    def signals(self) -> list[StepSignal]:
        """The signals that take part, in the order of the steps."""
        return [signal for found in self.match.signals.values() for signal in found]


@dataclass
class _Reported:
    """Signals of matches that a rule has reported for one binding.

    Attributes:
        numbers: Numbers of all signals of a Group; for a Sequence, of the first signal of each
            match.
        latest: Time of the latest signal of these matches, in seconds since 1970.
    """

    numbers: set[int] = field(default_factory=set)
    latest: float = -math.inf


@dataclass
class _State:
    """A correlation rule while it runs.

    Attributes:
        rule: The rule.
        index: The signals that later matches may need.
        fresh: Signals that no run has seen yet, each with its step.
        waiting: The time of the first run that decides a waiting match, by binding.
        reported: Signals of reported matches, by binding.
        next_run: Seconds since 1970; infinity while no run is due.
        tidied: The time when old bindings were last dropped.
        late: Number of signals that arrived too late for every run that looks back to them.
    """

    rule: CorrelationRule
    index: SignalIndex = field(init=False)
    fresh: list[tuple[str, StepSignal]] = field(default_factory=list)
    waiting: dict[Binding, float] = field(default_factory=dict)
    reported: dict[Binding, _Reported] = field(default_factory=dict)
    next_run: float = math.inf
    tidied: float = -math.inf
    late: int = 0

    def __post_init__(self) -> None:
        self.index = SignalIndex(self.logic)

    @property
    def logic(self) -> CorrelationLogic:
        """The parsed `Detection` of the rule."""
        return self.rule.logic

    @property
    def signals(self) -> Mapping[str, Sequence[StepSignal]]:
        """The signals that are still kept, by step ID."""
        return self.index.by_step

    def run_by(self, time: float) -> None:
        """Set the next run to a time, unless an earlier one is due."""
        self.next_run = min(self.next_run, time)


class CorrelationEngine:
    """The correlation rules of some content, with the signals that they have received.

    A run looks at the signals in the lookback before it, and finds matches that are not fully
    reported yet. Each match is a signal of its own rule, which other correlation rules can have as
    a step.

    A step with Absence or MaxMatchCount allows a later signal to contradict a match. Such a match,
    of a Group or a Sequence, waits until no signal can contradict it any more. At the latest, it is
    decided by the last run that looks at all of its signals (low confidence). Signals that can
    contradict a match are searched in the lookback of the match, even before the lookback of the
    run. Otherwise a run would report the match once the signal that contradicts it is too old.
    """

    def __init__(self, rules: Sequence[CorrelationRule]) -> None:
        """Start without signals."""
        self._states = [_State(rule) for rule in rules]
        # States with the IDs of their steps, by ID of the rule whose signals those steps get
        self._steps: dict[str, list[tuple[_State, list[str]]]] = {}
        for state in self._states:
            by_rule: dict[str, list[str]] = {}
            for step in state.logic.steps:
                by_rule.setdefault(step.rule_id, []).append(step.id)
            for rule_id, steps in by_rule.items():
                self._steps.setdefault(rule_id, []).append((state, steps))
        self._clock = -math.inf

    @property
    def late(self) -> dict[str, int]:
        """The number of signals that arrived too late to take part in a match, by rule ID.

        When such a signal arrives, no later run looks back to its time. Signals that could never
        take part are not counted: those of Absence steps, and those without a value to match on.
        """
        return {state.rule.metadata.rule_id: state.late for state in self._states if state.late}

    def add(self, signal: Signal) -> None:
        """Add a signal of a rule."""
        if signal.metadata.rule_id in self._steps:
            packed = pack([signal.event, signal.context])
            source = StepSignal(signal.time, {}, signal.event_id, packed)
            self._add(signal.metadata.rule_id, source, signal.fields)

    def is_due(self, now: float) -> bool:
        """Return whether a run is due before a time."""
        return any(state.next_run < now for state in self._states)

    def advance(self, now: float) -> Iterator[CorrelationMatch]:
        """Execute the runs that are due before a time, and yield their matches.

        Args:
            now: Seconds since 1970; infinity for all outstanding runs.
        """
        while due := [state for state in self._states if state.next_run < now]:
            state = min(due, key=lambda state: state.next_run)
            self._clock = max(self._clock, state.next_run)
            yield from self._run(state)
        if now < math.inf:
            self._clock = max(self._clock, now)

    def _add(self, rule_id: str, source: StepSignal, fields: Mapping[str, Any]) -> None:
        for state, steps in self._steps.get(rule_id, ()):
            values = {path: values_at(fields, path) for path in state.logic.fields}
            next_run = state.logic.schedule.next_run(max(source.time, self._clock))
            is_late = next_run - state.logic.lookback > source.time
            added = [
                (step, StepSignal(source.time, values, source.event_id, source.packed))
                for step in steps
            ]
            for step, signal in added:
                state.index.add(step, signal)
            state.fresh += added
            state.late += is_late and any(_can_pair(state.logic, *one) for one in added)
            state.run_by(next_run)

    def _run(self, state: _State) -> Iterator[CorrelationMatch]:
        now = state.next_run
        fresh, state.fresh = state.fresh, []
        due = [binding for binding, time in state.waiting.items() if time <= now]
        for binding in due:
            del state.waiting[binding]
        state.next_run = min(state.waiting.values(), default=math.inf)
        for binding, by_step in state.index.bindings(fresh, due).items():
            reported = state.reported.get(binding) or _Reported()
            for match in _new_matches(state.logic, binding, by_step, now, reported.numbers):
                decided = _decided_at(state.logic, match)
                if decided > now:
                    earliest = min(decided, state.waiting.get(binding, math.inf))
                    state.waiting[binding] = earliest
                    state.run_by(earliest)
                    continue
                found = CorrelationMatch(state.rule.metadata, match, now)
                reported.numbers |= _identity(state.logic, match)
                reported.latest = max(reported.latest, match.last)
                state.reported[binding] = reported
                self._add_match(state, found)
                yield found
        _forget(state, now)

    def _add_match(self, state: _State, found: CorrelationMatch) -> None:
        """Add a match as a signal of its own rule."""
        if found.metadata.rule_id not in self._steps:
            return
        match, latest = found.match, found.latest
        packed = pack([latest.event, found.context])
        source = StepSignal(match.last, {}, latest.event_id, packed)
        self._add(found.metadata.rule_id, source, _matched_fields(state.logic, match))


def _can_pair(logic: CorrelationLogic, step_id: str, signal: StepSignal) -> bool:
    """Return whether a signal of a step can take part in a match at all."""
    absent = {step.id for step in logic.steps if step.absent}
    criteria = [criterion for criterion in logic.criteria if step_id in criterion.fields]
    return step_id not in absent and all(held(signal, c, step_id) for c in criteria)


def _new_matches(
    logic: CorrelationLogic,
    binding: Binding,
    by_step: Mapping[str, Sequence[StepSignal]],
    now: float,
    reported: set[int],
) -> Iterator[Match]:
    """Yield the matches of a binding that a run sees and that have not been reported.

    A Group has one match, with all signals of the run, if any of them is new. A Sequence has one
    match for each time at which a chain begins.
    """
    first = now - logic.lookback
    if not logic.ordered:
        group = match_within(logic, by_step, first, now)
        if group and _has_new(group[0], reported):
            yield Match(binding, *group)
        return
    chains = Chains(logic, by_step, first, now)
    begun = -math.inf
    for index in chains.starts:
        start = chains.start(index)
        if start.time > begun and start.number not in reported:
            if chain := chains.match_from(index):
                begun = start.time
                yield Match(binding, *chain)
        elif start.number in reported:
            begun = start.time


def _has_new(taking_part: Mapping[str, Sequence[StepSignal]], reported: set[int]) -> bool:
    found = (signal for signals in taking_part.values() for signal in reversed(signals))
    return any(signal.number not in reported for signal in found)


def _identity(logic: CorrelationLogic, match: Match) -> set[int]:
    if not logic.ordered:
        return numbers(match.signals)
    return {next(iter(match.signals.values()))[0].number}


def _decided_at(logic: CorrelationLogic, match: Match) -> float:
    """Return the time of the run that decides a match.

    That is the first run after which no signal can contradict it, or the last run that looks at all
    of its signals, whichever is earlier.
    """
    settled = logic.schedule.next_run(match.settled)
    return min(settled, logic.schedule.last_run(match.first + logic.lookback))


def _forget(state: _State, now: float) -> None:
    """Drop signals and reported matches older than two lookbacks.

    One lookback is for a match, the other for earlier signals that can contradict the match.
    """
    oldest = now - 2 * state.logic.lookback
    state.index.forget(oldest)
    if now - state.tidied > state.logic.lookback:
        state.tidied = now
        state.reported = {b: r for b, r in state.reported.items() if r.latest >= oldest}
        for reported in state.reported.values():
            reported.numbers.intersection_update(state.index.numbers)


def _matched_fields(logic: CorrelationLogic, match: Match) -> dict[str, Any]:
    """Return the fields of a correlation rule's own signal: those that its match criteria name."""
    fields: dict[str, Any] = {}
    for criterion, value in zip(logic.criteria, match.binding, strict=True):
        for path in {path for paths in criterion.fields.values() for path in paths}:
            *parents, leaf = path.split(".")
            node = fields
            for parent in parents:
                node = node.setdefault(parent, {})
            node[leaf] = value
    return fields
