"""Evaluates correlation rules over signals: the one evaluator of replay and unit tests."""

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
        signals: By step ID, the signals that take part, in order of time.
        settled: Seconds since 1970 from which no signal that comes later can contradict it.
    """

    binding: Binding
    signals: Mapping[str, Sequence[StepSignal]]
    settled: float

    @property
    def first(self) -> float:
        """When the earliest signal happened."""
        return min(signal.time for signals in self.signals.values() for signal in signals)

    @property
    def last(self) -> float:
        """When the latest signal happened."""
        return max(signal.time for signals in self.signals.values() for signal in signals)


def find_matches(
    rule: CorrelationLogic, signals: Mapping[str, Sequence[StepSignal]]
) -> Iterable[Match]:
    """Find one match for each binding that satisfies a rule, as its unit tests ask for.

    There is no run, and all signals are known: those of one match are within the lookback of each
    other, wherever that is.

    Args:
        rule: What to look for.
        signals: By step ID, in any order.

    Yields:
        The earliest match of each binding; the latest for `ReverseChronological`, which is read as
        an order of search and so never decides whether there is a match (low confidence).
    """
    search = sequence_match if rule.ordered else group_match
    for binding, by_step in bound_signals(rule, signals).items():
        if found := search(rule, by_step):
            yield Match(binding, *found)
