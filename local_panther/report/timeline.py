"""Timelines of incidents, laid out to scale.

A timeline is drawn from the rows of the content's timeline queries, else from the role calls that
were read, else from the events of the alerts. A timeline query has these columns: `event_time`;
`lane`, the row to draw in; `mark`, which is discovery, failure, success, crossing or any other
word; `detail`, such as an error code.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from local_panther.alerts.incidents import Incident
from local_panther.alerts.model import Alert
from local_panther.packed import unpack
from local_panther.times import clock, parse_time

CROSSING, ALERT = "crossing", "alert"
DISCOVERY, FAILURE, SUCCESS = "discovery", "failure", "success"
MIN_LENGTH = 60  # seconds
MARGIN = 0.02  # share of the span that is left free on each side
MAX_TICKS = 6
TICK_STEPS = (1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)
MAX_LANES = 20  # lanes that are drawn one by one
PLACES = 200  # places in a lane; marks of one kind at the same place are drawn as one
BINS = 100  # bins of a density
MIN_EVENTS = 3  # different times of events; with fewer, a table says as much as a drawing


@dataclass(frozen=True)
class Moment:
    """An event of a timeline: its time, lane, kind and detail."""

    time: float
    lane: str
    kind: str
    detail: str


@dataclass(frozen=True)
class Mark:
    """A moment placed on a timeline, `left` percent of the width from its left end."""

    left: float
    time: float
    kind: str
    detail: str


@dataclass
class Lane:
    """A row of a timeline, with its facts for the table of targets."""

    name: str
    marks: list[Mark] = field(default_factory=list)

    @property
    def failures(self) -> list[Mark]:
        """Marks of failed attempts."""
        return [mark for mark in self.marks if mark.kind == FAILURE]

    @property
    def errors(self) -> str:
        """Distinct errors of the failed attempts, separated by commas."""
        return ", ".join(sorted({mark.detail for mark in self.failures if mark.detail}))

    @property
    def entered(self) -> float | None:
        """Time of the first success; None if there is none."""
        return next((mark.time for mark in self.marks if mark.kind == SUCCESS), None)

    @property
    def is_target(self) -> bool:
        """True for a target, on which an attempt failed or succeeded."""
        return any(mark.kind in (FAILURE, SUCCESS) for mark in self.marks)

    @property
    def drawn(self) -> list[Mark]:
        """Marks to draw: the first of each kind at each place."""
        places = {(mark.kind, round(mark.left * PLACES / 100)): mark for mark in self.marks[::-1]}
        return sorted(places.values(), key=lambda mark: mark.time)

    @property
    def rank(self) -> tuple[int, float, float]:
        """Key to sort by: other lanes, then entered targets, then targets by most failures."""
        if not self.is_target:
            return 0, self.marks[0].time, 0
        if self.entered is not None:
            return 1, self.entered, 0
        return 2, -len(self.failures), self.marks[0].time


@dataclass(frozen=True)
class Density:
    """Many lanes drawn as one histogram.

    Attributes:
        lanes: Number of lanes.
        kind: Kind of the marks that are counted: failure or success.
        bins: Left end and width of each bin in percent of the timeline, and its count in percent of
            the highest count.
        marks: Number of marks.
    """

    lanes: int
    kind: str
    bins: list[tuple[float, float, float]]
    marks: int


@dataclass(frozen=True)
class Timeline:
    """A timeline, ready to be drawn.

    Attributes:
        lanes: Lanes in the order of their rank.
        lines: Marks that are drawn through all lanes: crossings of a threshold, and alerts.
        ticks: Place of each tick in percent, and its label.
        outside: Number of attempts too long before or after the incident to be part of it.
    """

    lanes: list[Lane]
    lines: list[Mark]
    ticks: list[tuple[float, str]]
    outside: int = 0

    @property
    def drawn(self) -> list[Lane]:
        """Lanes to draw one by one."""
        return self.lanes[:MAX_LANES]

    @property
    def densities(self) -> list[Density]:
        """Densities of the other lanes: one of entered targets, one of all others."""
        rest = self.lanes[MAX_LANES:]
        entered = [lane for lane in rest if lane.entered is not None]
        others = [lane for lane in rest if lane.entered is None]
        found = [_density(entered, SUCCESS), _density(others, FAILURE)]
        return [density for density in found if density.marks]

    @cached_property
    def targets(self) -> list[Lane]:
        """Lanes of targets, which are the rows of the table."""
        return [lane for lane in self.lanes if lane.is_target]

    @cached_property
    def common(self) -> str:
        """Common prefix of all targets' names, up to a colon; "" if the prefixes differ."""
        prefixes = {lane.name[: lane.name.rfind(":") + 1] for lane in self.targets}
        return prefixes.pop() if len(prefixes) == 1 else ""

    def label(self, lane: Lane) -> str:
        """Return a lane's name without the common prefix."""
        return lane.name.removeprefix(self.common)


def incident_timeline(incident: Incident) -> Timeline | None:
    """Return the timeline of an incident; None if there is nothing to draw."""
    rows = {id(alert.timeline): alert.timeline for alert in incident.alerts if alert.timeline}
    moments = list(dict.fromkeys(m for found in rows.values() for m in _row_moments(found)))
    outside = 0
    if incident.roles and moments:
        near = [m for m in moments if m.kind not in (FAILURE, SUCCESS) or _is_within(m, incident)]
        moments, outside = near, len(moments) - len(near)
    elif incident.roles:
        calls = incident.roles.calls
        moments = [Moment(c.time, c.role or c.api, c.outcome, c.error) for c in calls]
    if not moments:
        moments = list(_event_moments(incident.alerts))
        if len({moment.time for moment in moments}) < MIN_EVENTS:
            return None
    return lay_out(moments, incident.alerts, outside)


def lay_out(
    moments: Sequence[Moment], alerts: Sequence[Alert], outside: int = 0
) -> Timeline | None:
    """Return a timeline of moments and alerts; None if there are no moments."""
    if not moments:
        return None
    times = [*(moment.time for moment in moments), *(alert.created_at for alert in alerts)]
    missing = max(MIN_LENGTH - (max(times) - min(times)), 0)
    first, last = min(times) - missing / 2, max(times) + missing / 2
    margin = (last - first) * MARGIN
    start, length = first - margin, last - first + 2 * margin

    def mark(time: float, kind: str, detail: str) -> Mark:
        return Mark(round(100 * (time - start) / length, 2), time, kind, detail)

    lanes: dict[str, Lane] = {}
    crossings: dict[str, Mark] = {}
    for moment in sorted(moments, key=lambda moment: moment.time):
        if moment.kind == CROSSING:
            detail = f"threshold crossed ({moment.lane})"
            crossings.setdefault(moment.lane, mark(moment.time, CROSSING, detail))
        else:
            lane = lanes.setdefault(moment.lane, Lane(moment.lane))
            lane.marks.append(mark(moment.time, moment.kind, moment.detail))
    made = {alert.created_at: mark(alert.created_at, ALERT, ALERT) for alert in alerts}
    lines = sorted([*crossings.values(), *made.values()], key=lambda line: line.time)
    ordered = sorted(lanes.values(), key=lambda lane: lane.rank)
    return Timeline(ordered, lines, _ticks(start, length), outside)


def _row_moments(rows: Iterable[Mapping[str, Any]]) -> Iterator[Moment]:
    for row in rows:
        value = row.get("event_time")
        time = parse_time(value) if isinstance(value, str) else None
        if time is not None:
            detail = str(row.get("detail") or "")
            yield Moment(time, str(row.get("lane")), str(row.get("mark")), detail)


def _event_moments(alerts: Iterable[Alert]) -> Iterator[Moment]:
    for event in map(unpack, dict.fromkeys(p for alert in alerts for p in alert.packed_events)):
        value, name = event.get("eventTime"), event.get("eventName")
        time = parse_time(value) if isinstance(value, str) else None
        if time is not None and name:
            error = str(event.get("errorCode") or event.get("errorMessage") or "")
            yield Moment(time, str(name), "error" if error else "event", error)


def _is_within(moment: Moment, incident: Incident) -> bool:
    return math.floor(incident.first) <= moment.time <= math.ceil(incident.last)


def _density(lanes: Sequence[Lane], kind: str) -> Density:
    marks = [mark for lane in lanes for mark in lane.marks if mark.kind == kind]
    counts = Counter(min(int(mark.left * BINS / 100), BINS - 1) for mark in marks)
    most, width = max(counts.values(), default=0), 100 / BINS
    bins = [(place * width, width, 100 * count / most) for place, count in sorted(counts.items())]
    return Density(len(lanes), kind, bins, len(marks))


def _ticks(start: float, length: float) -> list[tuple[float, str]]:
    step = next((s for s in TICK_STEPS if length / s <= MAX_TICKS), TICK_STEPS[-1])
    first = -(-start // step) * step
    count = int((start + length - first) // step) + 1
    form = "%H:%M:%S" if step < 60 else "%H:%M" if length < 86_400 else "%m-%d %H:%M"
    return [
        (round(100 * (first + i * step - start) / length, 2), clock(first + i * step, form))
        for i in range(min(count, 2 * MAX_TICKS))
    ]
