"""A threshold to set, and the reason."""

from collections.abc import Sequence
from dataclasses import dataclass

from local_panther.tuning.sweep import Peak

LOWEST = 5  # fewer distinct values than this are everyday work


@dataclass(frozen=True)
class Advice:
    """A threshold and why."""

    threshold: int
    reason: str


def advise(peaks: Sequence[Peak], threshold: int) -> Advice:
    """Recommend a threshold for the window that the peaks were counted in.

    Args:
        peaks: One for each series, in any order.
        threshold: What is set now.
    """
    alerting = sorted({p.subject for p in peaks if p.count >= threshold and p.paired})
    below = max((p for p in peaks if p.count < threshold), key=lambda p: p.count, default=None)
    who = f"{len(alerting)} would have alerted: {', '.join(alerting)}. " if alerting else ""
    if below is None:
        reason = f"{who}Nobody else failed at all, so {threshold} is as good as any."
        return Advice(threshold, reason)
    others = "The busiest of the others" if alerting else "The busiest"
    comes_to = f"{others}, {below.subject}, comes to {below.count} of {threshold}"
    if below.count * 2 > threshold:
        return Advice(
            threshold,
            f"{who}{comes_to}: look at it. If it is automation, leave it out with an inline "
            f"filter and keep {threshold}; if nobody can explain it, {below.count} would have "
            "caught it.",
        )
    lower = max(LOWEST, 2 * below.count)
    if lower < threshold:
        return Advice(
            lower,
            f"{who}{comes_to}. Twice that is {lower}: it sees smaller bursts and "
            "still leaves ordinary work alone.",
        )
    return Advice(threshold, f"{who}{comes_to}, no more than half.")
