"""Groups: steps in any order within the lookback."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

from local_panther.content.correlation import CorrelationLogic, Step
from local_panther.correlation.signals import StepSignal

Signals = Mapping[str, Sequence[StepSignal]]


def group_match(
    rule: CorrelationLogic, signals: Signals, since: float = float("-inf")
) -> tuple[dict[str, Sequence[StepSignal]], float] | None:
    """Find a window of the lookback's length in which a Group holds.

    A window begins at a signal. A step holds in it with at least MinMatchCount signals in the
    window; a step with MaxMatchCount or Absence holds when no more signals than that lie within the
    lookback of all the signals of the window. At least the group's MinMatchCount steps must hold.
    (That an absent step counts among them is a low-confidence reading.)

    Args:
        rule: A Group.
        signals: By step ID, in order of time, bound to one value.
        since: Earliest beginning of a window, in seconds since 1970.

    Returns:
        The signals that take part by step ID, and the time from when on the match stands.
    """
    present = [step for step in rule.steps if not step.absent]
    times = {signal.time for step in present for signal in signals[step.id]}
    starts = [time for time in times if time >= since]
    for start in sorted(starts, reverse=rule.newest_first):
        window = {
            step.id: between(signals[step.id], start, start + rule.lookback) for step in present
        }
        last = max(signal.time for found in window.values() for signal in found)
        holding = [step for step in rule.steps if _holds(step, window, signals, start, last, rule)]
        if len(holding) >= rule.min_steps and any(not step.absent for step in holding):
            taking_part = {step.id: window[step.id] for step in holding if not step.absent}
            return taking_part, last
    return None


def _holds(
    step: Step, window: Signals, signals: Signals, start: float, last: float, rule: CorrelationLogic
) -> bool:
    if not step.absent and len(window[step.id]) < step.min_count:
        return False
    if step.max_count is None:
        return True
    near = between(signals[step.id], last - rule.lookback, start + rule.lookback)
    return len(near) <= step.max_count


def between(signals: Sequence[StepSignal], first: float, last: float) -> Sequence[StepSignal]:
    """Return the signals from `first` to `last`, both inclusive, of a list in order of time."""
    low = bisect_left(signals, first, key=lambda signal: signal.time)
    high = bisect_right(signals, last, key=lambda signal: signal.time)
    return signals[low:high]
