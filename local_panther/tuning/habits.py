"""Habits: the counts that each subject reaches day by day, repeatedly or once."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from local_panther.tuning.sweep import Series, Window, trailing_counts

DAY = 86_400


@dataclass(frozen=True)
class Habit:
    """The highest counts of one subject.

    Attributes:
        subject: Who is counted.
        highs: Most distinct values on each day with counts that could alert, highest first.
    """

    subject: str
    highs: tuple[int, ...]

    @property
    def once(self) -> int:
        """Highest count of any day."""
        return self.highs[0] if self.highs else 0

    @property
    def repeated(self) -> int:
        """Highest count reached on two or more days; 0 if it was active on one day only."""
        return self.highs[1] if len(self.highs) > 1 else 0

    def days(self, threshold: int) -> int:
        """Return the number of days with an alert at a threshold."""
        return sum(high >= threshold for high in self.highs)


def habits(found: Iterable[Series], window: Window) -> list[Habit]:
    """Return the habit of each subject, by highest repeated count.

    Sightings at most a window apart form a run, which belongs to the UTC day on which it began. So
    a burst around midnight does not count as two days. After 24 hours a new run begins.
    """
    highs: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for series in found:
        began = before = float("-inf")
        for time, count in trailing_counts(series, window.seconds):
            if time - before > window.seconds or time - began >= DAY:
                began = time
            before = time
            if window.is_paired(series, time):
                by_day, day = highs[series.subject], int(began // DAY)
                by_day[day] = max(by_day[day], count)
    result = [
        Habit(subject, tuple(sorted(by_day.values(), reverse=True)))
        for subject, by_day in highs.items()
    ]
    return sorted(result, key=lambda h: (-h.repeated, -h.once, h.subject))
