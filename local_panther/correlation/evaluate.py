"""Evaluates correlation rules over signals, for unit tests; the replay uses the same parts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from local_panther.content.correlation_grammar import CorrelationLogic
from local_panther.correlation.group import group_match
from local_panther.correlation.sequence import sequence_match
from local_panther.correlation.signals import Binding, StepSignal, bound_signals


@dataclass(frozen=True)
class Match:
    """Signals that satisfy a correlation rule.

    Attributes:
        binding: The value of each match criterion, in the rule's order.
        signals: The signals that take part, by step ID and in order of time.
        settled: The time, in seconds since 1970, from which no later signal can contradict it.
    """

    binding: Binding
    signals: Mapping[str, Sequence[StepSignal]]
    settled: float

    @property
    def first(self) -> float:
        """The time of the earliest signal."""
        return min(signal.time for signals in self.signals.values() for signal in signals)

    @property
    def last(self) -> float:
        """The time of the latest signal."""
        return max(signal.time for signals in self.signals.values() for signal in signals)


def find_matches(
    rule: CorrelationLogic, signals: Mapping[str, Sequence[StepSignal]]
) -> Iterable[Match]:
    """Find one match for each binding that satisfies a rule, as unit tests need it.

    There is no schedule, and all signals are known. The signals of a match lie within any window of
    the lookback's length.

    Args:
        rule: The parsed `Detection` of the rule.
        signals: Signals by step ID, in any order.

    Yields:
        The earliest match of each binding; the latest for `ReverseChronological`, which is taken
        for an order of search that never decides whether there is a match (low confidence).
    """
    search = sequence_match if rule.ordered else group_match
    for binding, by_step in bound_signals(rule, signals).items():
        if found := search(rule, by_step):
            yield Match(binding, *found)
