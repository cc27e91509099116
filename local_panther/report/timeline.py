"""The timeline of an alert: what its saved query returned, laid out to scale.

Its columns: `event_time`; `lane`, the row to draw in; `mark`, one of discovery, failure, success,
crossing or any other word; `detail`, the error or the like.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local_panther.alerts.model import Alert
from local_panther.times import clock, parse_time

CROSSING = "crossing"
FAILURE, SUCCESS = "failure", "success"
MIN_LENGTH = 60  # seconds
MARGIN = 0.02  # of the span, on both sides
MAX_TICKS = 6
TICK_STEPS = (1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)
MAX_LANES = 60
MAX_MARKS = 200  # drawn in one lane


@dataclass(frozen=True)
class Mark:
    """One thing that happened: `left` is its place in percent of the width."""

    left: float
    time: float
    kind: str
    detail: str


@dataclass
class Lane:
    """One row of a timeline and what the table says of it."""

    name: str
    marks: list[Mark] = field(default_factory=list)

    @property
    def failures(self) -> list[Mark]:
        """The failed attempts in it."""
        return [mark for mark in self.marks if mark.kind == FAILURE]

    @property
    def errors(self) -> str:
        """Its distinct errors."""
        return ", ".join(sorted({mark.detail for mark in self.failures if mark.detail}))

    @property
    def success_after(self) -> float | None:
        """When it first succeeded after having failed; None if it did not."""
        first = min((mark.time for mark in self.failures), default=math.inf)
        later = (mark.time for mark in self.marks if mark.kind == SUCCESS and mark.time >= first)
        return min(later, default=None)


@dataclass(frozen=True)
class Timeline:
    """A timeline, ready to be drawn.

    Attributes:
        lanes: In order of their first mark.
        lines: Times that go through all lanes, as marks: crossings and the alert itself.
        ticks: Places in percent and the times written there.
        hidden: Lanes that are in the table only.
    """

    lanes: list[Lane]
    lines: list[Mark]
    ticks: list[tuple[float, str]]
    hidden: int

    @property
    def drawn(self) -> list[Lane]:
        """The lanes to draw."""
        return self.lanes[:MAX_LANES]

    def label(self, lane: Lane) -> str:
        """Return a lane's name without what all targets have in common, up to a colon."""
        names = [target.name for target in self.targets]
        prefixes = {name[: name.rfind(":") + 1] for name in names}
        return lane.name.removeprefix(prefixes.pop()) if len(prefixes) == 1 else lane.name

    @property
    def targets(self) -> list[Lane]:
        """The lanes that something failed in: the rows of the table."""
        return [lane for lane in self.lanes if lane.failures]


def lay_out(rows: Iterable[Mapping[str, Any]], alert: Alert) -> Timeline | None:
    """Lay out the rows of a timeline query; None if there is nothing to draw."""
    events = [(time, row) for row in rows if (time := _time(row.get("event_time"))) is not None]
    if not events:
        return None
    times = [time for time, _ in events] + [alert.created_at]
    missing = max(MIN_LENGTH - (max(times) - min(times)), 0)
    first, last = min(times) - missing / 2, max(times) + missing / 2
    margin = (last - first) * MARGIN
    start, length = first - margin, last - first + 2 * margin

    def mark(time: float, kind: str, detail: str) -> Mark:
        return Mark(round(100 * (time - start) / length, 3), time, kind, detail)

    lanes: dict[str, Lane] = {}
    lines = [mark(alert.created_at, "alert", "alert")]
    for time, row in sorted(events, key=lambda event: event[0]):
        kind, name = str(row.get("mark")), str(row.get("lane"))
        if kind == CROSSING:
            lines.append(mark(time, kind, f"threshold crossed ({name})"))
        else:
            lane = lanes.setdefault(name, Lane(name))
            lane.marks.append(mark(time, kind, str(row.get("detail") or "")))
    hidden = max(len(lanes) - MAX_LANES, 0)
    return Timeline(list(lanes.values()), lines, _ticks(start, length), hidden)


def _ticks(start: float, length: float) -> list[tuple[float, str]]:
    step = next((s for s in TICK_STEPS if length / s <= MAX_TICKS), TICK_STEPS[-1])
    first = -(-start // step) * step
    count = int((start + length - first) // step) + 1
    form = "%H:%M:%S" if step < 60 else "%H:%M" if length < 86_400 else "%m-%d %H:%M"
    return [
        (round(100 * (first + i * step - start) / length, 3), clock(first + i * step, form))
        for i in range(min(count, 2 * MAX_TICKS))
    ]


def _time(value: Any) -> float | None:
    return parse_time(value) if isinstance(value, str) else None
