"""The signals of a correlation rule while it runs, found by the values that bind them."""

from bisect import insort
from collections import defaultdict
from collections.abc import Collection, Iterable

from local_panther.content.correlation_grammar import CorrelationLogic
from local_panther.correlation.group import index_from
from local_panther.correlation.signals import Binding, StepSignal, bound_signals, held, numbers

Lists = dict[str, list[StepSignal]]  # by step ID, each in order of time


class SignalIndex:
    """The signals of a rule's steps in order of time, and by the values that they hold.

    Attributes:
        by_step: By step ID.
    """

    def __init__(self, rule: CorrelationLogic) -> None:
        """Start with no signals."""
        self._rule = rule
        self.by_step: Lists = {}
        self._by_value: list[dict[str, Lists]] = [
            defaultdict(lambda: defaultdict(list)) for _ in rule.criteria
        ]

    @property
    def numbers(self) -> set[int]:
        """The numbers of all signals."""
        return numbers(self.by_step)

    def add(self, step: str, signal: StepSignal) -> None:
        """Take a signal of a step; most come in order of time."""
        _insert(self.by_step.setdefault(step, []), signal)
        for criterion, by_value in zip(self._rule.criteria, self._by_value, strict=True):
            if step in criterion.fields:
                for value in held(signal, criterion, step):
                    _insert(by_value[value][step], signal)

    def forget(self, before: float) -> None:
        """Drop the signals from before a time, in seconds since 1970."""
        for step, signals in self.by_step.items():
            dropped = signals[: index_from(signals, before)]
            del signals[: len(dropped)]
            for criterion, by_value in zip(self._rule.criteria, self._by_value, strict=True):
                if step in criterion.fields:
                    values = {v for signal in dropped for v in held(signal, criterion, step)}
                    for value in values:
                        _forget_value(by_value, value, step, before)

    def bindings(
        self, fresh: Iterable[tuple[str, StepSignal]], waiting: Collection[Binding]
    ) -> dict[Binding, dict[str, list[StepSignal]]]:
        """Return the bindings that new signals can take part in, and others that are waited for.

        Only the signals that share a value with them are looked at.

        Args:
            fresh: New signals, each with its step.
            waiting: Bindings.

        Returns:
            By binding, the signals of each step in order of time.
        """
        fresh = list(fresh)
        touched: dict[int, dict[str, None]] = {}  # by number of the criterion, in order of time
        for number, criterion in enumerate(self._rule.criteria):
            if all(step in criterion.fields for step, _ in fresh):
                values = (v for s, signal in fresh for v in sorted(held(signal, criterion, s)))
                touched[number] = dict.fromkeys([*values, *(b[number] for b in waiting)])
        chosen = {step: self._chosen(step, touched) for step in self.by_step}
        return {
            binding: by_step
            for binding, by_step in bound_signals(self._rule, chosen).items()
            if all(binding[number] in values for number, values in touched.items())
        }

    def _chosen(self, step: str, touched: dict[int, dict[str, None]]) -> list[StepSignal]:
        """Return the signals of a step that can be in a touched binding."""
        for number, values in touched.items():
            if step in self._rule.criteria[number].fields:
                by_value = self._by_value[number]
                lists = [by_value[v][step] for v in values if v in by_value and step in by_value[v]]
                return list(dict.fromkeys(signal for found in lists for signal in found))
        return self.by_step[step]


def _insert(signals: list[StepSignal], signal: StepSignal) -> None:
    if not signals or signals[-1].time <= signal.time:
        signals.append(signal)
    else:
        insort(signals, signal, key=lambda other: other.time)


def _forget_value(by_value: dict[str, Lists], value: str, step: str, before: float) -> None:
    signals = by_value[value][step]
    del signals[: index_from(signals, before)]
    if not signals:
        del by_value[value][step]
        if not by_value[value]:
            del by_value[value]
