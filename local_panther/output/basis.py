"""The basis of an answer: the records that were read, set aside, or could not be read.

Every answer begins with its basis. If nothing was read there is no answer: "nobody" would be false.
"""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from local_panther.records.files import OTHER_TIMES
from local_panther.records.model import Tally
from local_panther.text import in_one_line
from local_panther.times import ALWAYS, Period, iso

MAX_KINDS = 4  # kinds of set-aside files and records to name; a replay's summary names all


def without_answer(tally: Tally) -> str:
    """Return why there is no answer, "" if there is one: nothing was read, or not in the period."""
    if not tally.records:
        reasons = [str(tally.problems[0])] if tally.problems else []
        reasons += [f"{tally.unread - tally.problems[0].count:,} more"] if _has_more(tally) else []
        reasons += [f"set aside {_aside(tally)}"] if tally.other else []
        files = f"no record in {_count(tally.files, 'file')}"
        reason = "; ".join(reasons) or files
        of_period = f" {_in_words(tally.period)}" if tally.other[OTHER_TIMES] else ""
        return in_one_line(f"nothing was read{of_period}: {reason}")
    first, last = tally.first, tally.last
    if first is None or last is None:
        return in_one_line(f"nothing was read: {tally.problems[0]}" if tally.problems else "")
    if first >= tally.period.end or last < tally.period.start:
        records = _count(tally.records, "record")
        times = f"{iso(first)} to {iso(last)}"
        return f"no record {_in_words(tally.period)}: the {records} date from {times}"
    return ""


def basis(tally: Tally) -> str:
    """Return what was read and what was not, in one line."""
    parts = [f"read {_count(tally.records, 'record')} in {_count(tally.files, 'file')}"]
    if tally.first is not None and tally.last is not None:
        parts[0] += f", {iso(tally.first)} to {iso(tally.last)}"
    if tally.period != ALWAYS:
        parts.append(f"period {_in_words(tally.period)}")
    if tally.other:
        parts.append(f"set aside {_aside(tally)}")
    if tally.unread:
        parts.append(f"{tally.unread:,} could not be read")
    return in_one_line("; ".join(parts))


def no_alert(tally: Tally) -> str:
    """Return a sentence that there is no alert, and in how many records."""
    unread = f"; {tally.unread:,} could not be read" if tally.unread else ""
    return f"No alert in {_count(tally.records, 'record')}{unread}."


def print_basis(tally: Tally, console: Console) -> bool:
    """Print the basis of an answer, or why there is none; return whether there is an answer."""
    reason = without_answer(tally)
    console.print(Text(reason or basis(tally), style="bold" if reason else "dim"))
    return not reason


def as_json(tally: Tally) -> Mapping[str, Any]:
    """Return the basis of an answer as plain JSON."""
    return {
        "records": tally.records,
        "files": tally.files,
        "first": None if tally.first is None else iso(tally.first),
        "last": None if tally.last is None else iso(tally.last),
        "set_aside": dict(sorted(tally.other.items())),
        "not_read": dict(sorted(tally.skipped.items())),
    }


def _has_more(tally: Tally) -> bool:
    return bool(tally.problems) and tally.unread > tally.problems[0].count


def _aside(tally: Tally) -> str:
    kinds = [f"{kind} {count:,}" for kind, count in tally.other.most_common(MAX_KINDS)]
    more = len(tally.other) - MAX_KINDS
    shown = ", ".join(kinds) + (f" and {more:,} more kinds" if more > 0 else "")
    return f"{tally.other.total():,} ({shown})"


def _in_words(period: Period) -> str:
    start = f"from {iso(period.start)}" if period.start > ALWAYS.start else ""
    end = f"before {iso(period.end)}" if period.end < ALWAYS.end else ""
    return " to ".join(filter(None, (start, end)))


def _count(number: int, one: str) -> str:
    return f"{number:,} {one}{'s' * (number != 1)}"
