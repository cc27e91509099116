"""Works out which records a scheduled query can see at a run, and when they change."""

import math
from bisect import bisect_left, bisect_right, insort
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from local_panther.content.model import Query
from local_panther.remembered import found_before


@dataclass(frozen=True)
class Needs:
    """Conditions without which a query, or a part of it, has no rows.

    Attributes:
        window: Seconds before the run in which there must be a record; infinity if not known.
        parts: Names of its CTEs that must have rows.
        gate: Name of one of these that sees shorter windows than the query; "" if none does.
        gate_window: The longest window of the gate, in seconds.
    """

    window: float = math.inf
    parts: frozenset[str] = frozenset()
    gate: str = ""
    gate_window: float = math.inf

    def and_(self, other: "Needs") -> "Needs":
        """Return the needs of rows that need both."""
        # A record in the shorter window is also in the longer one.
        return Needs(min(self.window, other.window), self.parts | other.parts)

    def or_(self, other: "Needs") -> "Needs":
        """Return the needs that hold for rows of either kind."""
        return Needs(max(self.window, other.window), self.parts & other.parts)


NOTHING_NEEDED = Needs()


class Gate(NamedTuple):
    """A cheaper query that has a row whenever a scheduled query can have one.

    Attributes:
        sql: The gate in DuckDB's dialect.
        of_failures: The same gate over the table of failed calls alone, if calls without an error
            cannot change its result; otherwise "".
        needs_calls: True if it never has a row without any call.
    """

    sql: str
    of_failures: str = ""
    needs_calls: bool = False


@dataclass(frozen=True)
class Windows:
    """The windows of a query.

    Attributes:
        offsets: The lengths of all its windows, in seconds before the run.
        reach: The most seconds before the run that it can see; None if it sees everything.
        repeatable: True if its rows depend only on the records in its windows.
        needs: Conditions without which it has no rows.
    """

    offsets: tuple[float, ...]
    reach: float | None
    repeatable: bool
    needs: Needs = NOTHING_NEEDED


def windows_of(query: Query) -> Windows:
    """Return the windows of a query."""
    found = found_before("windows", query.text, lambda: _as_json(query))
    needs = Needs(**found["needs"] | {"parts": frozenset(found["needs"]["parts"])})
    return Windows(**found | {"offsets": tuple(found["offsets"]), "needs": needs})


def _as_json(query: Query) -> dict[str, Any]:
    from local_panther.lake.query_windows import find_windows

    windows = find_windows(query.sql)
    values = asdict(windows)
    values["needs"]["parts"] = sorted(windows.needs.parts)
    return values


@dataclass
class Sight:
    """The records that a query can see, by their event times.

    Attributes:
        windows: The windows of the query.
        times: Event times of records, in order.
        changed: True if a record has arrived since the latest run.
    """

    windows: Windows
    times: list[float] = field(default_factory=list)
    changed: bool = True

    def note(self, time: float) -> None:
        """Record the arrival of a record, by its event time."""
        self.changed = True
        if self.windows.offsets:
            insort(self.times, time)

    def is_same(self, earlier: float, later: float, longest: float = math.inf) -> bool:
        """Return whether a run sees the same records as an earlier run.

        Args:
            earlier: The time of the earlier run.
            later: The time of the run.
            longest: Ignore windows longer than this, in seconds.
        """
        if self.changed or not self.windows.repeatable:
            return False
        moved = [
            (earlier - o, later - o, bisect_left) for o in self.windows.offsets if o <= longest
        ]
        moved += [(earlier, later, bisect_right)] if self.windows.offsets else []
        return all(at(self.times, old) == at(self.times, new) for old, new, at in moved)

    def lacks_need(self, run: float) -> bool:
        """Return whether a run has no rows because the window that they need has no record."""
        window = self.windows.needs.window
        first, end = bisect_left(self.times, run - window), bisect_right(self.times, run)
        return window < math.inf and first == end

    def lacks_need_until(self, run: float) -> float:
        """Return until when later runs lack their needs too, given a run that does.

        This assumes that no record arrives.
        """
        return min(self.times[bisect_right(self.times, run) :][:1], default=math.inf)

    def same_until(self, run: float) -> float:
        """Return the time before which later runs see the same records, if none arrive."""
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
