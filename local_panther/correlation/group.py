"""Evaluates Groups: steps in any order within the lookback."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

from local_panther.content.correlation_grammar import CorrelationLogic, Step
from local_panther.correlation.signals import StepSignal

Signals = Mapping[str, Sequence[StepSignal]]
Found = tuple[dict[str, Sequence[StepSignal]], float]


def group_match(rule: CorrelationLogic, signals: Signals) -> Found | None:
    """Find a window of the lookback's length in which a Group holds.

    A window begins at a signal. A step holds if the window has at least MinMatchCount of its
    signals, and if no more than MaxMatchCount (0 for Absence) are within the lookback of all
    signals of the window. The Group holds if at least its MinMatchCount steps hold; an Absence step
    counts as one of them (low confidence).

    Args:
        rule: A Group.
        signals: Signals of one binding by step ID, in order of time.

    Returns:
        The signals that take part by step ID, and the time from which no signal can contradict the
        match.
    """
    present = [step for step in rule.steps if not step.absent]
    starts = {signal.time for step in present for signal in signals[step.id]}
    for start in sorted(starts, reverse=rule.newest_first):
        if found := match_within(rule, signals, start, start + rule.lookback):
            return found
    return None


def match_within(
    rule: CorrelationLogic, signals: Signals, first: float, last: float
) -> Found | None:
    """Return the match of a Group among the signals from `first` to `last`, both inclusive.

    It has all signals in that period, because further signals cannot make a match invalid.
    """
    present = [step for step in rule.steps if not step.absent]
    window = {step.id: between(signals[step.id], first, last) for step in present}
    filled = [found for found in window.values() if found]
    if not filled:
        return None
    begin = min(found[0].time for found in filled)
    end = max(found[-1].time for found in filled)
    holding = [step for step in rule.steps if _holds(step, window, signals, begin, end, rule)]
    taking_part = {step.id: window[step.id] for step in holding if not step.absent}
    if len(holding) < rule.min_steps or not taking_part:
        return None
    if any(step.max_count is not None for step in rule.steps):
        earliest = min(found[0].time for found in taking_part.values())
        return taking_part, earliest + rule.lookback
    return taking_part, end


def _holds(
    step: Step, window: Signals, signals: Signals, begin: float, end: float, rule: CorrelationLogic
) -> bool:
    if not step.absent and len(window[step.id]) < step.min_count:
        return False
    if step.max_count is None:
        return True
    return count(signals[step.id], end - rule.lookback, begin + rule.lookback) <= step.max_count


def between(signals: Sequence[StepSignal], first: float, last: float) -> Sequence[StepSignal]:
    """Return the signals from `first` to `last`, both inclusive; they must be in order of time."""
    return signals[index_from(signals, first) : index_after(signals, last)]


def count(signals: Sequence[StepSignal], first: float, last: float) -> int:
    """Return the number of signals from `first` to `last`, both inclusive."""
    return max(0, index_after(signals, last) - index_from(signals, first))


def index_from(signals: Sequence[StepSignal], time: float) -> int:
    """Return the index of the first signal at or after a time."""
    return 0 if time == -math.inf else bisect_left(signals, time, key=_time)


def index_after(signals: Sequence[StepSignal], time: float) -> int:
    """Return the index of the first signal after a time."""
    return bisect_right(signals, time, key=_time)


def _time(signal: StepSignal) -> float:
    return signal.time
