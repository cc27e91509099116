"""Measuring ways of doing one thing side by side."""

import os
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

RUNS = 5
Name = TypeVar("Name", bound=Hashable)
# Of commands that are measured: with Python's compiled files, as users have them
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        name: What was measured.
        value: The figure, and `beside` that of the alternative, in `unit`.
        ratio: How they compare; None if there is no alternative.
        goal: What the ratio or value should be, in words; "" if there is none.
        met: Whether it is.
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

    In turns, so that whatever else the machine does hits all of them alike.

    Args:
        ways: By name.
        runs: Of each way.
        clock: `time.process_time` for what this process alone does: a busy machine changes little.
    """
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(runs):
        for name, run in ways.items():
            start = clock()
            run()
            best[name] = min(best[name], clock() - start)
    return best
