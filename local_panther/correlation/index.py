"""The signals of a running correlation rule, indexed by the values that bind them.

Most runs have few new signals, and only bindings with a new signal can have a new match. Without
the index, each run would group all signals of the lookback by value again. For 10,000 signals of
2,000 users that takes 120 ms a run; finding the binding of one user takes 0.1 ms.
"""

from bisect import insort
from collections import defaultdict
from collections.abc import Collection, Iterable

from local_panther.content.correlation_grammar import CorrelationLogic
from local_panther.correlation.group import index_from
from local_panther.correlation.signals import Binding, StepSignal, bound_signals, held, numbers

Lists = dict[str, list[StepSignal]]  # signals by step ID, each list in order of time


class SignalIndex:
    """The signals of a rule's steps in order of time, also indexed by the values that they hold.

    Attributes:
        by_step: All signals by step ID.
    """

    def __init__(self, rule: CorrelationLogic) -> None:
        """Start without signals."""
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
        """Add a signal of a step; this is fast if signals come in order of time, as most do."""
        _insert(self.by_step.setdefault(step, []), signal)
        for criterion, by_value in zip(self._rule.criteria, self._by_value, strict=True):
            if step in criterion.fields:
                for value in held(signal, criterion, step):
                    _insert(by_value[value][step], signal)

    def forget(self, before: float) -> None:
        """Drop the signals before a time, in seconds since 1970."""
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
        """Return the bindings that new signals can take part in, and the given ones.

        Only signals that share a value with these are examined.

        Args:
            fresh: New signals, each with its step.
            waiting: Further bindings.

        Returns:
            The signals of each step in order of time, by binding.
        """
        fresh = list(fresh)
        touched: dict[int, dict[str, None]] = {}  # values by number of the criterion, in order
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
        """Return the signals of a step that hold one of the touched values."""
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
