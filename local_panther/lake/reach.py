"""Which records of the lake can still be asked for."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

Span = tuple[float, float]  # first and last time, in seconds since 1970


@dataclass(frozen=True)
class Reach:
    """The times of the records that must stay.

    Attributes:
        horizon: Everything that happened at this time or later stays; -infinity for all.
        spans: What happened within one of these stays too. They do not overlap.
    """

    horizon: float = -math.inf
    spans: tuple[Span, ...] = ()

    @classmethod
    def around(cls, times: Iterable[float], seconds: float, horizon: float) -> "Reach":
        """Return the reach of what is asked for around each of several times.

        Args:
            times: In seconds since 1970, in any order.
            seconds: How far it reaches to both sides of each.
            horizon: From here on everything stays.
        """
        spans: list[Span] = []
        for time in sorted(times):
            first, last = time - seconds, min(time + seconds, horizon)
            if spans and first <= spans[-1][1]:
                spans[-1] = spans[-1][0], max(spans[-1][1], last)
            elif first < last:
                spans.append((first, last))
        return cls(horizon, tuple(spans))
