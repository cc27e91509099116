"""Figures, and the timing of several ways to do the same thing."""

import os
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

RUNS = 5
Name = TypeVar("Name", bound=Hashable)
# Environment of measured commands: with Python's compiled files, as users have them
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        name: Name of the measurement.
        value: The figure, in `unit`.
        beside: The figure of the alternative, in `unit`; None if there is no alternative.
        ratio: Ratio of the two; None if there is no alternative.
        goal: Goal for the ratio or the value, in words; "" if there is none.
        met: True if the goal is met.
    """

    name: str
    value: float
    unit: str
    beside: float | None = None
    ratio: float | None = None
    goal: str = ""
    met: bool = True


def best_seconds(
    ways: Mapping[Name, Callable[[], Any]],
    runs: int = RUNS,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Name, float]:
    """Run all ways in turns and return the best time of each in seconds.

    They run in turns, so that other work of the machine affects all of them equally.

    Args:
        ways: Functions to measure, by name.
        runs: Number of runs of each way.
        clock: `time.process_time` for work in this process alone, which a busy machine changes
            little.
    """
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(runs):
        for name, run in ways.items():
            start = clock()
            run()
            best[name] = min(best[name], clock() - start)
    return best
