"""Runs correlation rules on their schedules while signals come in, on the clock of event time."""

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
        metadata: Of the rule.
        match: The signals that take part, and the value that binds them.
        found_at: When the run was, in seconds since 1970.
    """

    metadata: Metadata
    match: Match
    found_at: float

    @property
    def value(self) -> str | None:
        """The value that was matched on; None for a rule without match criteria."""
        return ", ".join(self.match.binding) or None

    @property
    def context(self) -> dict[str, Any]:
        """By step ID, the `p_alert_context` of the step's latest signal."""
        return {step: signals[-1].context for step, signals in self.match.signals.items()}

    @cached_property
    def latest(self) -> StepSignal:
        """The latest signal that takes part."""
        return max(self.signals, key=lambda signal: signal.time)

    @property
    def signals(self) -> list[StepSignal]:
        """The signals that take part, by step."""
        return [signal for found in self.match.signals.values() for signal in found]


@dataclass
class _Reported:
    """What a rule's matches of one binding had in them.

    Attributes:
        numbers: Of a Group all signals, of a Sequence the signal that each match began with.
        latest: Time of the latest of these signals, in seconds since 1970.
    """

    numbers: set[int] = field(default_factory=set)
    latest: float = -math.inf


@dataclass
class _State:
    """A correlation rule while it runs.

    Attributes:
        rule: The rule.
        index: The signals that a match can still need.
        fresh: Signals that no run has seen yet, each with its step.
        waiting: By binding, when the run is that decides a match of it.
        reported: By binding.
        next_run: Seconds since 1970; infinity while no run is due.
        tidied: When bindings were last forgotten.
        late: How many signals arrived after every run that looks back to them.
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
        """What the rule looks for."""
        return self.rule.logic

    @property
    def signals(self) -> Mapping[str, Sequence[StepSignal]]:
        """By step ID, the signals that are not forgotten."""
        return self.index.by_step

    def run_by(self, time: float) -> None:
        """Set the next run to a time, unless it is earlier already."""
        self.next_run = min(self.next_run, time)


class CorrelationEngine:
    """The correlation rules of some content.

    A run looks at the signals from the lookback before it until it, and finds matches of which no
    run has reported everything. Each match is a signal of its rule, which other correlation rules
    can have as a step.

    A match that a later signal could contradict, of a step with Absence or MaxMatchCount, waits
    until none can, in a Group and in a Sequence alike. At the latest it is decided by the last run
    that looks at all of its signals. (A low-confidence reading. That an absent signal is looked for
    within the lookback of the match, even if that is before the run's, is part of it: otherwise a
    match would come true when the signal that contradicts it grows too old.)
    """

    def __init__(self, rules: Sequence[CorrelationRule]) -> None:
        """Start with no signals."""
        self._states = [_State(rule) for rule in rules]
        self._steps: dict[str, list[tuple[_State, list[str]]]] = {}  # by rule ID
        for state in self._states:
            by_rule: dict[str, list[str]] = {}
            for step in state.logic.steps:
                by_rule.setdefault(step.rule_id, []).append(step.id)
            for rule_id, steps in by_rule.items():
                self._steps.setdefault(rule_id, []).append((state, steps))
        self._clock = -math.inf

    @property
    def late(self) -> dict[str, int]:
        """By rule ID, how many signals arrived too late to take part in a match of the rule.

        No run that is still to come when such a signal arrives looks back to its time. Signals that
        could not take part at any time are not counted: of steps that must be absent, and those
        that lack a value to be matched on.
        """
        return {state.rule.metadata.rule_id: state.late for state in self._states if state.late}

    def add(self, signal: Signal) -> None:
        """Take a signal of a rule."""
        if signal.metadata.rule_id in self._steps:
            behind = pack([signal.event, signal.context])
            source = StepSignal(signal.time, {}, signal.event_id, behind)
            self._add(signal.metadata.rule_id, source, signal.fields)

    def advance(self, now: float) -> Iterator[CorrelationMatch]:
        """Do the runs that are due before a time, and yield their matches.

        Args:
            now: Seconds since 1970; infinity for all that are still due.
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
        """Pass a match on as a signal of its own rule."""
        if found.metadata.rule_id not in self._steps:
            return
        match, latest = found.match, found.latest
        behind = pack([latest.event, found.context])
        source = StepSignal(match.last, {}, latest.event_id, behind)
        self._add(found.metadata.rule_id, source, _matched_fields(state.logic, match))


def _can_pair(logic: CorrelationLogic, step_id: str, signal: StepSignal) -> bool:
    """Return whether a signal of a step can take part in a match, if a run sees it."""
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
    """Yield the matches of a binding that a run sees and that were not reported.

    Of a Group that is the one with all signals of the run, if any of them is new; of a Sequence one
    for each time at which a chain begins.
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

    That is the first run at or after the time when no later signal can contradict it, or the last
    run that looks at all of its signals.
    """
    settled = logic.schedule.next_run(match.settled)
    return min(settled, logic.schedule.last_run(match.first + logic.lookback))


def _forget(state: _State, now: float) -> None:
    """Drop signals more than two lookbacks old: one is for a match, one for an absence."""
    oldest = now - 2 * state.logic.lookback
    state.index.forget(oldest)
    if now - state.tidied > state.logic.lookback:
        state.tidied = now
        state.reported = {b: r for b, r in state.reported.items() if r.latest >= oldest}
        for reported in state.reported.values():
            reported.numbers.intersection_update(state.index.numbers)


def _matched_fields(logic: CorrelationLogic, match: Match) -> dict[str, Any]:
    """Return what a correlation rule's own signal can be matched on: the fields it matched by."""
    fields: dict[str, Any] = {}
    for criterion, value in zip(logic.criteria, match.binding, strict=True):
        for path in {path for paths in criterion.fields.values() for path in paths}:
            *parents, leaf = path.split(".")
            node = fields
            for parent in parents:
                node = node.setdefault(parent, {})
            node[leaf] = value
    return fields
