"""The times of records that queries can still see."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

Span = tuple[float, float]  # first and last time, in seconds since 1970


@dataclass(frozen=True)
class Reach:
    """The times of the records that must stay.

    Attributes:
        horizon: Records of this time or later stay; -infinity for all.
        spans: Periods, without overlap, whose records stay too.
    """

    horizon: float = -math.inf
    spans: tuple[Span, ...] = ()

    @classmethod
    def around(cls, times: Iterable[float], seconds: float, horizon: float) -> "Reach":
        """Return the reach of queries around several times.

        Args:
            times: Times in seconds since 1970, in any order.
            seconds: Seconds before and after each time that queries can see.
            horizon: The time from which all records stay, in seconds since 1970.
        """
        spans: list[Span] = []
        for time in sorted(times):
            first, last = time - seconds, min(time + seconds, horizon)
            if spans and first <= spans[-1][1]:
                spans[-1] = spans[-1][0], max(spans[-1][1], last)
            elif first < last:
                spans.append((first, last))
        return cls(horizon, tuple(spans))
