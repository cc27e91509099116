"""Advice on a threshold, with its reasons and evidence."""

from collections.abc import Sequence
from dataclasses import dataclass

from local_panther.tuning.habits import Habit

LOWEST = 5  # lowest threshold that is advised; fewer distinct values are everyday work
MIN_RECORDS = 10_000
MIN_DAYS = 7  # a week covers releases, on-call and weekends
MAX_NAMES = 5


@dataclass(frozen=True)
class Evidence:
    """The evidence for an advice.

    Attributes:
        records: Number of CloudTrail records that were read.
        days: Number of UTC days with calls that the tuning query reads.
        principals: Number of subjects that made such calls.
        unread: Number of records and files that could not be read.
    """

    records: int
    days: int
    principals: int
    unread: int

    def __str__(self) -> str:
        return (
            f"{_count(self.records, 'record')}, {_count(self.days, 'day')} with relevant calls, "
            f"{_count(self.principals, 'principal')} counted"
        )

    @property
    def objection(self) -> str:
        """Why the evidence is not enough for advice; "" if it is."""
        if self.unread:
            return (
                f"No advice: {_count(self.unread, 'record or file', 'records or files')} could not "
                "be read, and their content could change it."
            )
        if self.records < MIN_RECORDS or self.days < MIN_DAYS:
            return (
                f"Not enough data: advice needs at least {MIN_RECORDS:,} records and "
                f"{MIN_DAYS} days with relevant calls."
            )
        return ""


@dataclass(frozen=True)
class Advice:
    """An advised threshold with its reasons.

    Attributes:
        threshold: Threshold to set; None if there is not enough evidence.
        headline: The advice in one sentence.
        reasons: Further sentences.
        automation: Subjects that alert on two or more days at the current threshold.
        threshold_without: Threshold to set if these are exempt; None if there are none.
    """

    threshold: int | None
    headline: str
    reasons: tuple[str, ...] = ()
    automation: tuple[str, ...] = ()
    threshold_without: int | None = None


def advise(found: Sequence[Habit], threshold: int, evidence: Evidence) -> Advice:
    """Advise a threshold for the window in which the habits were counted.

    It is the lowest threshold, from LOWEST on, at which no subject alerts on two or more days: what
    repeats is ordinary work, and what happens once deserves a look.

    Args:
        found: Habits, one for each subject.
        threshold: Current threshold.
        evidence: Counts of what was read.
    """
    automation = tuple(h.subject for h in found if h.repeated >= threshold)
    if evidence.objection:
        return Advice(None, evidence.objection, tuple(_alerting(found, threshold)), automation)
    advised = _above(found)
    rest = [habit for habit in found if habit.subject not in automation]
    without = _above(rest) if automation else None
    reasons = [*_alerting(found, threshold), *_changes(found, threshold, advised)]
    headline = _headline(found, threshold, advised)
    return Advice(advised, headline, tuple(reasons), automation, without)


def some(names: Sequence[str]) -> str:
    """Return names in one line; beyond MAX_NAMES, only the number of the others."""
    shown = ", ".join(names[:MAX_NAMES])
    more = len(names) - MAX_NAMES
    return f"{shown} and {more:,} more" if more > 0 else shown


def _above(found: Sequence[Habit]) -> int:
    return max([LOWEST, *(habit.repeated + 1 for habit in found)])


def _headline(found: Sequence[Habit], threshold: int, advised: int) -> str:
    act = "Keep the threshold at" if advised == threshold else "Set the threshold to"
    top = max(found, key=lambda habit: habit.repeated, default=None)
    if top is None or top.repeated < LOWEST:
        why = f"nobody reaches {LOWEST}, the lowest threshold advised, on two or more days"
    else:
        days = top.days(top.repeated)
        why = (
            "the lowest at which nobody alerts on two or more days "
            f"({top.subject} reaches {top.repeated} on {days} days)"
        )
    return f"{act} {advised}: {why}."


def _alerting(found: Sequence[Habit], threshold: int) -> list[str]:
    repeating = [
        f"{h.subject} ({h.days(threshold)} days)" for h in found if h.repeated >= threshold
    ]
    once = [h.subject for h in found if h.once >= threshold > h.repeated]
    lines = []
    if repeating:
        count = _count(len(repeating), "principal alerts", "principals alert")
        lines.append(
            f"At {threshold}, {count} on two or more days, as automation does: {some(repeating)}."
        )
    if once:
        count = _count(len(once), "principal alerts", "principals alert")
        lines.append(f"At {threshold}, {count} on one day, which deserves a look: {some(once)}.")
    return lines


def _changes(found: Sequence[Habit], threshold: int, advised: int) -> list[str]:
    between = range(min(threshold, advised), max(threshold, advised))
    changed = [
        f"{h.subject} ({h.once})" for h in found if h.once in between and h.repeated < threshold
    ]
    if not changed or advised == threshold:
        return []
    if advised < threshold:
        return [f"At {advised} the rule would also alert on one day for: {some(changed)}."]
    return [f"At {advised} the rule would miss what happened once: {some(changed)}."]


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
