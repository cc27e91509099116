"""Runs correlation rules on their schedules while signals come in, on the clock of event time."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from local_panther.content.correlation import CorrelationLogic
from local_panther.content.model import CorrelationRule, Metadata
from local_panther.correlation.evaluate import Match, first_match
from local_panther.correlation.signals import Binding, StepSignal, bound_signals, numbers, values_at
from local_panther.detection.signals import Signal


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
        signals = (signal for found in self.match.signals.values() for signal in found)
        return max(signals, key=lambda signal: signal.time)

    @property
    def event_ids(self) -> list[str]:
        """The IDs of the events behind it, each once."""
        signals = (signal for found in self.match.signals.values() for signal in found)
        return list(dict.fromkeys(signal.event_id for signal in signals if signal.event_id))


@dataclass
class _State:
    """A correlation rule while it runs.

    Attributes:
        rule: The rule.
        signals: By step ID, those that a match can still need.
        fresh: Numbers of the signals that no run has settled yet.
        next_run: Seconds since 1970; infinity while no run is due.
    """

    rule: CorrelationRule
    signals: dict[str, list[StepSignal]] = field(default_factory=dict)
    fresh: set[int] = field(default_factory=set)
    next_run: float = math.inf

    @property
    def logic(self) -> CorrelationLogic:
        """What the rule looks for."""
        return self.rule.logic

    def run_by(self, time: float) -> None:
        """Set the next run to a time, unless it is earlier already."""
        self.next_run = min(self.next_run, time)


class CorrelationEngine:
    """The correlation rules of some content.

    A run finds matches that hold at least one signal which is new since the last run. Each match is
    a signal of its rule, which other correlation rules can have as a step.
    """

    def __init__(self, rules: Sequence[CorrelationRule]) -> None:
        """Start with no signals."""
        self._states = [_State(rule) for rule in rules]
        self._clock = -math.inf

    def add(self, signal: Signal) -> None:
        """Take a signal of a rule."""
        source = StepSignal(signal.time, {}, signal.event_id, signal.context, signal.event)
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

    def _add(self, rule_id: str, source: StepSignal, fields: Mapping[str, Any]) -> None:
        for state in self._states:
            steps = [step for step in state.logic.steps if step.rule_id == rule_id]
            if not steps:
                continue
            values = {path: values_at(fields, path) for path in state.logic.fields}
            for step in steps:
                signal = StepSignal(
                    source.time, values, source.event_id, source.context, source.event
                )
                state.signals.setdefault(step.id, []).append(signal)
                state.fresh.add(signal.number)
            state.run_by(state.logic.schedule.next_run(max(source.time, self._clock)))

    def _run(self, state: _State) -> Iterator[CorrelationMatch]:
        now, logic = state.next_run, state.logic
        state.next_run = math.inf
        unsettled: set[int] = set()
        for binding, by_step in bound_signals(logic, state.signals).items():
            fresh = numbers(by_step) & state.fresh
            reported: set[int] = set()
            waits = False
            for match in _fresh_matches(logic, binding, by_step, fresh):
                if match.settled <= now:
                    found = CorrelationMatch(state.rule.metadata, match, now)
                    self._add_match(state, found)
                    reported |= numbers(match.signals)
                    yield found
                else:
                    waits = True
                    state.run_by(logic.schedule.next_run(match.settled))
            if waits:
                unsettled |= fresh - reported
        state.fresh = unsettled
        _forget(state, now)

    def _add_match(self, state: _State, found: CorrelationMatch) -> None:
        """Pass a match on as a signal of its own rule."""
        match, latest = found.match, found.latest
        source = StepSignal(match.last, {}, latest.event_id, found.context, latest.event)
        self._add(found.metadata.rule_id, source, _matched_fields(state.logic, match))


def _fresh_matches(
    logic: CorrelationLogic,
    binding: Binding,
    by_step: Mapping[str, Sequence[StepSignal]],
    fresh: set[int],
) -> Iterator[Match]:
    """Yield matches of a binding, each with a fresh signal that no earlier one has."""
    times = [s.time for found in by_step.values() for s in found if s.number in fresh]
    since = min(times, default=math.inf) - logic.lookback
    while fresh and (match := first_match(logic, binding, by_step, since)):
        members = numbers(match.signals)
        if members & fresh:
            fresh = fresh - members
            yield match
        since = math.nextafter(match.first, math.inf)


def _forget(state: _State, now: float) -> None:
    """Drop signals more than two lookbacks old: one is for a match, one for an absence."""
    oldest = now - 2 * state.logic.lookback
    for step, signals in state.signals.items():
        state.signals[step] = [s for s in signals if s.time >= oldest or s.number in state.fresh]


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
