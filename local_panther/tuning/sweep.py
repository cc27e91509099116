"""Counts distinct values in sliding windows, for every threshold and window at once.

Its rows come from the saved query with the tag `Tuning:<RuleID>`: `event_time`; `subject`, who is
counted; `counter`, what is counted apart; `value`; and `part`, which is "counted", or "companion"
for an event that must be near a burst before it alerts.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local_panther.content.schedule import Schedule
from local_panther.times import parse_time

COMPANION = "companion"


@dataclass(frozen=True)
class Series:
    """What one subject did by one counter.

    Attributes:
        sightings: Time in seconds since 1970 and value, in order of time.
        companions: Times of the subject's companion events, in order.
    """

    subject: str
    counter: str
    sightings: list[tuple[float, str]]
    companions: list[float]


@dataclass(frozen=True)
class Pairing:
    """When a burst and a companion are seen together.

    In one of a correlation rule's runs; a streaming rule remembers a companion that came first as
    long as the correlation rules look back.

    Attributes:
        lookback: How far a run looks back, in seconds.
        schedule: When it runs.
    """

    lookback: int
    schedule: Schedule

    def joins(self, time: float, companion: float) -> bool:
        """Return whether a burst and a companion, in seconds since 1970, are seen together."""
        last = self.schedule.next_run(companion) if companion > time else time
        return last - min(time, companion) <= self.lookback


@dataclass(frozen=True)
class Window:
    """The length of time in which values are counted.

    Attributes:
        seconds: Its length; both ends belong to it.
        pairings: The correlation rules, one of which has to see a companion; without any, none
            is needed.
    """

    seconds: int
    pairings: tuple[Pairing, ...]

    def is_paired(self, series: Series, time: float) -> bool:
        """Return whether what a series reached at a time alerts: a companion is near, if needed."""
        if not self.pairings:
            return True
        times = series.companions
        before, after = bisect_right(times, time) - 1, bisect_left(times, time)
        near = [times[place] for place in (before, after) if 0 <= place < len(times)]
        return any(
            pairing.joins(time, companion) for pairing in self.pairings for companion in near
        )


@dataclass(frozen=True)
class Peak:
    """The most distinct values of one series in any window.

    Attributes:
        time: When the window ends, in seconds since 1970.
        paired: True if a companion event is near the window's end, or none is needed.
    """

    subject: str
    counter: str
    count: int
    time: float
    paired: bool


@dataclass(frozen=True)
class Trial:
    """What one threshold and window would have given.

    Attributes:
        window: In seconds.
        alerts: Bursts that alert; `bursts` counts those without a companion too.
        subjects: Who would have caused the alerts.
    """

    threshold: int
    window: int
    alerts: int
    bursts: int
    subjects: tuple[str, ...]


def read_series(rows: Iterable[Mapping[str, Any]]) -> list[Series]:
    """Sort the rows of a tuning query by subject and counter."""
    sightings: dict[tuple[str, str], list[tuple[float, str]]] = defaultdict(list)
    companions: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        time = parse_time(str(row.get("event_time")))
        if time is None:
            continue
        if row.get("part") == COMPANION:
            companions[str(row["subject"])].append(time)
        else:
            key = str(row["subject"]), str(row["counter"])
            sightings[key].append((time, str(row["value"])))
    return [
        Series(subject, counter, sorted(found), sorted(companions.get(subject, ())))
        for (subject, counter), found in sorted(sightings.items())
    ]


def trailing_counts(series: Series, window: int) -> list[tuple[float, int]]:
    """Return for each sighting the distinct values in the window that ends with it, inclusive."""
    inside: Counter[str] = Counter()
    counts: list[tuple[float, int]] = []
    first = 0
    for time, value in series.sightings:
        inside[value] += 1
        while series.sightings[first][0] < time - window:
            left = series.sightings[first][1]
            inside[left] -= 1
            if not inside[left]:
                del inside[left]
            first += 1
        counts.append((time, len(inside)))
    return counts


def peak(series: Series, window: Window) -> Peak:
    """Return the most distinct values of a series in any window, the earliest of equals."""
    time, count = max(trailing_counts(series, window.seconds), key=lambda found: found[1])
    return Peak(series.subject, series.counter, count, time, window.is_paired(series, time))


def sweep(
    found: Sequence[Series], thresholds: Sequence[int], windows: Iterable[Window]
) -> list[Trial]:
    """Return what every threshold and window would have given.

    Hits of one series that are no more than a window apart are one burst.
    """
    trials = []
    for window in windows:
        counted = [
            (series, trailing_counts(series, window.seconds))
            for series in found
            if len({value for _, value in series.sightings}) >= min(thresholds, default=0)
        ]
        for threshold in thresholds:
            alerts, bursts, subjects = 0, 0, set()
            for series, counts in counted:
                hits = [time for time, count in counts if count >= threshold]
                for burst in _bursts(hits, window.seconds):
                    bursts += 1
                    if any(window.is_paired(series, time) for time in burst):
                        alerts += 1
                        subjects.add(series.subject)
            trials.append(Trial(threshold, window.seconds, alerts, bursts, tuple(sorted(subjects))))
    return trials


def _bursts(hits: list[float], window: int) -> list[list[float]]:
    bursts: list[list[float]] = []
    for time in hits:
        if bursts and time - bursts[-1][-1] <= window:
            bursts[-1].append(time)
        else:
            bursts.append([time])
    return bursts
