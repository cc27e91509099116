"""Which part of the lake a scheduled query can see at a run, and when that changes."""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from sqlglot import exp

from local_panther.content.sql import cloudtrail_selects, cloudtrail_tables, is_alone, sources
from local_panther.content.sql_dialect import function_name
from local_panther.errors import FieldError
from local_panther.lake.functions import NOW_FUNCTIONS
from local_panther.lake.macros import TIME_COLUMN, offset_of

SINCE = "p_occurs_since"
OTHER_CLOCKS = {*NOW_FUNCTIONS, "RANDOM", "UUID_STRING"}


@dataclass(frozen=True)
class Windows:
    """The windows of a query.

    Attributes:
        offsets: The lengths of all its windows, in seconds back from the run.
        reach: Seconds back from the run that it can see at most; None if it sees everything.
        repeatable: True if its rows depend on nothing but the records in its windows, so that they
            are the same as long as these are.
    """

    offsets: tuple[float, ...]
    reach: float | None
    repeatable: bool


def windows_of(query: exp.Expr) -> Windows:
    """Return the windows of a query."""
    macros = [m for m in query.find_all(exp.Anonymous) if m.name.lower() == SINCE]
    try:
        offsets = tuple(sorted({offset_of(macro) for macro in macros}))
    except FieldError:
        return Windows((), None, repeatable=False)
    calls = set(map(function_name, query.find_all(exp.Anonymous)))
    tells_time = query.find(exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime, exp.Localtime)
    has_own_clock = bool(tells_time) or not calls.isdisjoint(OTHER_CLOCKS)
    by_event_time = all(_column_of(macro) == TIME_COLUMN for macro in macros)
    tables = {id(table) for table in cloudtrail_tables(query)}
    limits = [limit for part in cloudtrail_selects(query) for limit in _limits(part, tables)]
    known = [limit for limit in limits if limit is not None]
    reach = max(known, default=0.0) if len(known) == len(tables) else None
    return Windows(offsets, reach, repeatable=by_event_time and not has_own_clock)


def _limits(select: exp.Select, wanted: Collection[int]) -> Iterator[float | None]:
    """Yield the window that limits each table of CloudTrail; None for one that is not limited.

    Only conditions that must all hold limit it.

    Args:
        select: A part of a query.
        wanted: Which objects stand for CloudTrail in the query.
    """
    where = select.args.get("where")
    condition = where.this if where else exp.true()
    parts = condition.flatten() if isinstance(condition, exp.And) else [condition]
    macros = [p for p in parts if isinstance(p, exp.Anonymous) and p.name.lower() == SINCE]
    tables = sources(select)
    for table in tables:
        if id(table) in wanted:
            owners = [table.alias_or_name.lower(), *([""] if is_alone(table, tables) else [])]
            own = [macro for macro in macros if _alias_of(macro).lower() in owners]
            yield min(map(offset_of, own), default=None)


def _alias_of(macro: exp.Anonymous) -> str:
    """Return the table that a macro names; "" if it names none."""
    alias = macro.expressions[1] if len(macro.expressions) > 1 else exp.null()
    return "" if isinstance(alias, exp.Null) else alias.name


def _column_of(macro: exp.Anonymous) -> str:
    arguments = macro.expressions
    return arguments[2].name if len(arguments) > 2 else TIME_COLUMN


@dataclass
class Sight:
    """What a query sees, by the times of the records that it could see.

    Attributes:
        windows: Of the query.
        times: Event times of records, in order.
        changed: True after a record arrived that the latest run cannot have seen.
    """

    windows: Windows
    times: list[float] = field(default_factory=list)
    changed: bool = True

    def note(self, time: float) -> None:
        """Take note of a record that arrived."""
        self.changed = True
        if self.windows.offsets:
            insort(self.times, time)

    def is_same(self, earlier: float, later: float) -> bool:
        """Return whether a run sees the same records as an earlier one saw."""
        if self.changed or not self.windows.repeatable:
            return False
        moved = [(earlier - o, later - o, bisect_left) for o in self.windows.offsets]
        moved += [(earlier, later, bisect_right)] if self.windows.offsets else []
        return all(at(self.times, old) == at(self.times, new) for old, new, at in moved)

    def same_until(self, run: float) -> float:
        """Return a time before which all later runs see what a run sees, if nothing arrives."""
        found = [math.inf]
        for offset in self.windows.offsets:
            leaving = self.times[bisect_left(self.times, run - offset) :][:1]
            found += [time + offset for time in leaving]
        if self.windows.offsets:
            found += self.times[bisect_right(self.times, run) :][:1]
        return min(found) if self.windows.repeatable else run

    def forget(self, run: float) -> None:
        """Forget records that no later run can see."""
        if self.windows.offsets:
            del self.times[: bisect_left(self.times, run - self.windows.offsets[-1])]
