"""Items of a repository that do not run here, with the reasons, and the lines that report them.

An invalid item is left out with a `Problem`. An item with a doubtful value (see `doubtful`) runs,
and so is not among them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from local_panther.errors import Problem

MAX_NAMED = 3  # items listed by name for one reason; more are counted
MAX_PROBLEMS = 20


class Reason(StrEnum):
    """The reason why an item does not run, as shown to users."""

    DISABLED = "disabled"
    STATUS = "never uploaded, by Status (experimental or deprecated)"
    LOG_TYPES = "for other log types"
    TABLES = "queries over other tables"
    LANGUAGE = "queries in a language other than SQL"
    NO_QUERY = "scheduled rules without a query that runs here"
    NO_STEPS = "correlation rules that need rules that do not run here"
    POLICY = "policies"
    LOOKUP = "lookup tables"
    DERIVED = "derived from another detection"
    BROKEN = "invalid"


@dataclass(frozen=True)
class LeftOut:
    """An item that does not run.

    Attributes:
        item_id: Its ID.
        reason: The reason.
        problem: The problem of an invalid item; None for any other reason.
    """

    item_id: str
    reason: Reason
    problem: Problem | None = None


def summary_lines(left_out: Iterable[LeftOut]) -> Iterator[str]:
    """Yield lines about items that do not run, except invalid ones: names if few, else counts."""
    reasons: dict[Reason, list[str]] = {}
    for item in left_out:
        if item.problem is None:
            reasons.setdefault(item.reason, []).append(item.item_id)
    for reason in (Reason.DISABLED, Reason.STATUS):
        if ids := reasons.pop(reason, []):
            yield f"{reason}: {named_or_counted(ids)} (--include-disabled runs them)"
    counts = Counter({reason: len(ids) for reason, ids in reasons.items()})
    if 0 < counts.total() <= MAX_NAMED:
        for reason, ids in reasons.items():
            yield f"not replayed, {reason}: {', '.join(ids)}"
    elif counts:
        parts = ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())
        yield f"{counts.total():,} not replayed: {parts}"


def unread_line(unread: Sequence[str]) -> str:
    """Return a line about items in folders that are not read; "" if there are none.

    Args:
        unread: Paths of their YAML files.
    """
    if not unread:
        return ""
    count, first = len(unread), unread[0]
    items = f"{count:,} file{'s' * (count != 1)} with an AnalysisType, such as {first}"
    return f"not read: {items}: panther_analysis_tool reads folders named rules, queries and so on"


def problem_lines(left_out: Iterable[LeftOut]) -> Iterator[str]:
    """Yield a line with the problem of each invalid item, up to MAX_PROBLEMS."""
    problems = [item.problem for item in left_out if item.problem is not None]
    yield from (f"left out: {problem}" for problem in problems[:MAX_PROBLEMS])
    if len(problems) > MAX_PROBLEMS:
        yield f"left out: {len(problems) - MAX_PROBLEMS:,} more (--strict names them all)"


def named_or_counted(ids: list[str]) -> str:
    """Return the IDs of the items, or their number if there are many."""
    return ", ".join(ids) if len(ids) <= MAX_NAMED else f"{len(ids):,} items"
