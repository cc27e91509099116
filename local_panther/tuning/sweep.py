"""Counts distinct values in sliding windows, for every threshold and window at once.

The rows come from the saved query with the tag `Tuning:<RuleID>`. Their columns are `event_time`;
`subject`, who is counted; `counter`, such as an API, whose values are counted separately; `value`;
and `part`, which is "counted", or "companion" for an event that a burst needs nearby to alert.
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
    """The rows of one subject and counter.

    Attributes:
        subject: Who is counted.
        counter: Name of the counter.
        sightings: Times in seconds since 1970 and values, in order of time.
        companions: Times of the subject's companion events, in order.
    """

    subject: str
    counter: str
    sightings: list[tuple[float, str]]
    companions: list[float]


@dataclass(frozen=True)
class Pairing:
    """The condition under which a correlation rule pairs a burst with a companion.

    One run of the correlation rule must see both. A streaming rule remembers an earlier companion
    for as long as the correlation rules look back.

    Attributes:
        lookback: Lookback of a run in seconds.
        schedule: Schedule of the runs.
    """

    lookback: int
    schedule: Schedule

    def joins(self, time: float, companion: float) -> bool:
        """Return whether a burst and a companion at these times (seconds since 1970) are paired."""
        last = self.schedule.next_run(companion) if companion > time else time
        return last - min(time, companion) <= self.lookback


@dataclass(frozen=True)
class Window:
    """A window in which values are counted.

    Attributes:
        seconds: Length of the window, both ends inclusive.
        pairings: Pairings of correlation rules, one of which needs a companion; if empty, no
            companion is needed.
    """

    seconds: int
    pairings: tuple[Pairing, ...]

    def is_paired(self, series: Series, time: float) -> bool:
        """Return whether a burst of a series at a time has a companion, or needs none."""
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
        subject: Who is counted.
        counter: Name of the counter.
        count: Number of distinct values.
        time: End of the window, in seconds since 1970.
        paired: True if a companion event is near the window's end, or none is needed.
    """

    subject: str
    counter: str
    count: int
    time: float
    paired: bool


@dataclass(frozen=True)
class Trial:
    """The counts for one threshold and window.

    Attributes:
        threshold: Distinct values that make a burst.
        window: Length of the window in seconds.
        alerts: Number of bursts that alert.
        bursts: Number of bursts, including those without a companion.
        subjects: Subjects of the alerts.
    """

    threshold: int
    window: int
    alerts: int
    bursts: int
    subjects: tuple[str, ...]


def read_series(rows: Iterable[Mapping[str, Any]]) -> list[Series]:
    """Return the rows of a tuning query as a series for each subject and counter."""
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
    """Return time and number of distinct values of each window that ends with a sighting."""
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
    """Return the peak of a series; the earliest one if several windows have the same count."""
    time, count = max(trailing_counts(series, window.seconds), key=lambda found: found[1])
    return Peak(series.subject, series.counter, count, time, window.is_paired(series, time))


def sweep(
    found: Sequence[Series], thresholds: Sequence[int], windows: Iterable[Window]
) -> list[Trial]:
    """Return a trial for each threshold and window.

    Hits of one series that are at most a window apart are one burst.
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
