"""Runs correlation rules on their schedules while signals come in, on the clock of event time."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local_panther.alerts.model import Alert
from local_panther.content.model import Metadata
from local_panther.correlation.evaluate import Match, first_match
from local_panther.correlation.grammar import CorrelationRule
from local_panther.correlation.signals import Binding, StepSignal, bound_signals, numbers, values_at
from local_panther.detection.signals import Signal


@dataclass
class _OpenAlert:
    """The latest alert of a binding, and the numbers of the signals in it by step ID."""

    alert: Alert
    members: dict[str, set[int]] = field(default_factory=dict)


@dataclass
class _State:
    """A correlation rule while it runs.

    Attributes:
        signals: By step ID, those that a match can still need.
        fresh: Numbers of the signals that no run has settled yet.
        next_run: Seconds since 1970; None while nothing is fresh.
        open: By binding, the latest alert.
    """

    metadata: Metadata
    rule: CorrelationRule
    signals: dict[str, list[StepSignal]] = field(default_factory=dict)
    fresh: set[int] = field(default_factory=set)
    next_run: float | None = None
    open: dict[Binding, _OpenAlert] = field(default_factory=dict)

    def run_by(self, time: float) -> None:
        """Set the next run to a time, unless it is earlier already."""
        self.next_run = time if self.next_run is None else min(self.next_run, time)


class CorrelationEngine:
    """The correlation rules of some content.

    A run finds matches that hold at least one signal which is new since the last. What repeated
    matches of one value make of an alert is not documented; here a match that overlaps the value's
    latest alert in time joins it, and any other makes a new one.
    """

    def __init__(self, rules: Sequence[tuple[Metadata, CorrelationRule]]) -> None:
        self._states = [_State(metadata, rule) for metadata, rule in rules]
        self._clock = -math.inf
        self.alerts: list[Alert] = []
        self.signals: Counter[str] = Counter()

    def add(self, signal: Signal) -> None:
        """Take a signal of a rule."""
        self._add(signal.metadata.rule_id, signal, signal.fields)

    def advance(self, now: float) -> None:
        """Do the runs that are due before a time, in seconds since 1970."""
        while due := [s for s in self._states if s.next_run is not None and s.next_run < now]:
            state = min(due, key=lambda s: s.next_run)
            self._clock = max(self._clock, state.next_run)
            self._run(state)

    def finish(self) -> None:
        """Do the runs that are still due after the last signal."""
        self.advance(math.inf)

    def _add(self, rule_id: str, source: Signal | StepSignal, fields: Mapping[str, Any]) -> None:
        for state in self._states:
            steps = [step for step in state.rule.steps if step.rule_id == rule_id]
            if not steps:
                continue
            values = {path: values_at(fields, path) for path in state.rule.fields}
            for step in steps:
                signal = StepSignal(
                    source.time, values, source.event_id, source.context, source.event
                )
                state.signals.setdefault(step.id, []).append(signal)
                state.fresh.add(signal.number)
            state.run_by(state.rule.schedule.next_run(max(source.time, self._clock)))

    def _run(self, state: _State) -> None:
        now, rule = state.next_run, state.rule
        state.next_run = None
        unsettled: set[int] = set()
        for binding, by_step in bound_signals(rule, state.signals).items():
            fresh = numbers(by_step) & state.fresh
            reported: set[int] = set()
            waits = False
            for match in _fresh_matches(rule, binding, by_step, fresh):
                if match.settled <= now:
                    self._report(state, match, now)
                    reported |= numbers(match.signals)
                else:
                    waits = True
                    state.run_by(rule.schedule.next_run(match.settled))
            if waits:
                unsettled |= fresh - reported
        state.fresh = unsettled
        _forget(state, now)

    def _report(self, state: _State, match: Match, now: float) -> None:
        """Make an alert of a match or let it join one, and pass its signal on."""
        self.signals[state.metadata.rule_id] += 1
        latest = state.open.get(match.binding)
        if latest is None or match.first > latest.alert.last:
            latest = _OpenAlert(_alert(state.metadata, match, now))
            state.open[match.binding] = latest
            if state.metadata.creates_alert:
                self.alerts.append(latest.alert)
        _join(latest, match)
        alert = latest.alert
        event_id = next(reversed(alert.event_ids), "")
        signal = StepSignal(match.last, {}, event_id, alert.context, alert.event)
        self._add(state.metadata.rule_id, signal, _matched_fields(state.rule, match))


def _fresh_matches(
    rule: CorrelationRule,
    binding: Binding,
    by_step: Mapping[str, Sequence[StepSignal]],
    fresh: set[int],
) -> Iterator[Match]:
    """Yield matches of a binding, each with a fresh signal that no earlier one has."""
    times = [s.time for found in by_step.values() for s in found if s.number in fresh]
    since = min(times, default=math.inf) - rule.lookback
    while fresh and (match := first_match(rule, binding, by_step, since)):
        members = numbers(match.signals)
        if members & fresh:
            fresh = fresh - members
            yield match
        since = math.nextafter(match.first, math.inf)


def _forget(state: _State, now: float) -> None:
    """Drop signals that lie more than two lookbacks back: one for a match, one for an absence."""
    oldest = now - 2 * state.rule.lookback
    for step, signals in state.signals.items():
        state.signals[step] = [s for s in signals if s.time >= oldest or s.number in state.fresh]


def _alert(metadata: Metadata, match: Match, now: float) -> Alert:
    value = ", ".join(match.binding) or None
    return Alert(
        metadata=metadata,
        severity=metadata.severity,
        title=f"{metadata.display_name}: {value}" if value else metadata.display_name,
        dedup=value or metadata.rule_id,
        created_at=now,
        first=match.first,
        last=match.last,
        event_ids={},
        context={},
        event={},
        description=metadata.description,
        runbook=metadata.runbook,
        reference=metadata.reference,
        match_value=value,
    )


def _join(latest: _OpenAlert, match: Match) -> None:
    alert, contexts = latest.alert, dict(latest.alert.context)
    for step, signals in match.signals.items():
        latest.members.setdefault(step, set()).update(signal.number for signal in signals)
        contexts[step] = signals[-1].context
        alert.event_ids.update(dict.fromkeys(s.event_id for s in signals if s.event_id))
    alert.context = contexts
    alert.signals = {step: len(members) for step, members in latest.members.items()}
    alert.event_count = len(alert.event_ids)
    alert.first = min(alert.first, match.first)
    alert.last = max(alert.last, match.last)
    newest = max((s for found in match.signals.values() for s in found), key=lambda s: s.time)
    alert.event = newest.event


def _matched_fields(rule: CorrelationRule, match: Match) -> dict[str, Any]:
    """Return what a correlation rule's own signal can be matched on: the fields it matched by."""
    fields: dict[str, Any] = {}
    for criterion, value in zip(rule.criteria, match.binding, strict=True):
        for path in {path for paths in criterion.fields.values() for path in paths}:
            *parents, leaf = path.split(".")
            node = fields
            for parent in parents:
                node = node.setdefault(parent, {})
            node[leaf] = value
    return fields
