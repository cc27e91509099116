"""Signals of correlation rules, and the values that bind them together."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local_panther.content.correlation_grammar import CorrelationLogic, Criterion
from local_panther.packed import pack, unpack

Binding = tuple[str, ...]  # one value for each match criterion of a rule
NOTHING = pack([{}, {}])


@dataclass(frozen=True, eq=False, slots=True)
class StepSignal:
    """A signal of one step of a correlation rule.

    A flood makes tens of thousands of them, so event and context are stored compressed.

    Attributes:
        time: Event time in seconds since 1970.
        values: Values of the fields to match on, by field path; every entry of a list is a value.
        event_id: The eventID of its CloudTrail event.
        packed: The event and the context, packed.
        number: A unique number.
    """

    time: float
    values: Mapping[str, frozenset[str]]
    event_id: str = ""
    packed: bytes = NOTHING
    number: int = field(default_factory=itertools.count().__next__)

    @property
    def event(self) -> dict[str, Any]:
        """Its event, unpacked on each access."""
        found: dict[str, Any] = unpack(self.packed)[0]
        return found

    @property
    def context(self) -> dict[str, Any]:
        """Its `p_alert_context`, unpacked on each access."""
        found: dict[str, Any] = unpack(self.packed)[1]
        return found


def numbers(signals: Mapping[str, Sequence[StepSignal]]) -> set[int]:
    """Return the numbers of all signals of several steps."""
    return {signal.number for found in signals.values() for signal in found}


def values_at(fields: Mapping[str, Any], path: str) -> frozenset[str]:
    """Return the values at a dotted path that can be matched on.

    Each entry of a list is a value. Objects are not. Null and the empty string are not either: two
    records that both lack something are not connected by that (low confidence).
    """
    value: Any = fields
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    entries = value if is_list else [value]
    return frozenset(
        str(entry) for entry in entries if isinstance(entry, (str, int, float)) and entry != ""
    )


def bound_signals(
    rule: CorrelationLogic, signals: Mapping[str, Sequence[StepSignal]]
) -> dict[Binding, dict[str, list[StepSignal]]]:
    """Group the signals of each step by the values that bind them.

    Args:
        rule: The rule with the match criteria.
        signals: Signals by step ID.

    Returns:
        The signals of each step in order of time, by binding. A step that no criterion names takes
        part in every binding. Without criteria, the only binding is the empty one.
    """
    found: dict[Binding, dict[str, list[StepSignal]]] = {(): {}}
    for criterion in rule.criteria:
        by_value = _by_value(criterion, signals)
        found = {
            (*binding, value): _narrowed(by_step, criterion, by_value[value])
            for binding, by_step in found.items()
            for value in _candidates(by_step, criterion, by_value)
        }
    for by_step in found.values():
        for step in rule.steps:
            by_step.setdefault(step.id, list(signals.get(step.id, ())))
            by_step[step.id].sort(key=lambda signal: signal.time)
    return found


def _by_value(
    criterion: Criterion, signals: Mapping[str, Sequence[StepSignal]]
) -> dict[str, dict[str, list[StepSignal]]]:
    found: dict[str, dict[str, list[StepSignal]]] = defaultdict(lambda: defaultdict(list))
    for step in criterion.fields:
        for signal in signals.get(step, ()):
            for value in held(signal, criterion, step):
                found[value][step].append(signal)
    return found


def held(signal: StepSignal, criterion: Criterion, step: str) -> frozenset[str]:
    """Return the values that a signal has in all fields of a criterion for its step."""
    held = (signal.values.get(path, frozenset()) for path in criterion.fields[step])
    return frozenset.intersection(*held)


def _candidates(
    by_step: Mapping[str, list[StepSignal]], criterion: Criterion, by_value: Mapping[str, Any]
) -> Iterable[str]:
    """Return the values that can extend a binding: those that its own signals hold."""
    shared = by_step.keys() & criterion.fields.keys()
    if not shared:
        return list(by_value)
    return {
        value
        for step in shared
        for signal in by_step[step]
        for value in held(signal, criterion, step)
    }


def _narrowed(
    by_step: Mapping[str, list[StepSignal]],
    criterion: Criterion,
    with_value: Mapping[str, list[StepSignal]],
) -> dict[str, list[StepSignal]]:
    narrowed = dict(by_step)
    for step in criterion.fields:
        holding = with_value.get(step, [])
        if step in narrowed:
            numbers = {signal.number for signal in holding}
            narrowed[step] = [signal for signal in narrowed[step] if signal.number in numbers]
        else:
            narrowed[step] = list(holding)
    return narrowed
