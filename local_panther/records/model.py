"""What reading yields."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from local_panther.errors import Problem


class Record(NamedTuple):
    """One CloudTrail record that a rule may want, not yet built.

    Attributes:
        time: Its eventTime in seconds since 1970.
        sequence: Its place in the order of reading, which decides between equal times.
        name: Its eventName, or "" where it has none.
        raw: The record as JSON.
        where: The file and the place in it.
    """

    time: float
    sequence: int
    name: str
    raw: bytes
    where: str


@dataclass
class Tally:
    """What was read, for the summary.

    Attributes:
        records: Records read, duplicates among them.
        wanted: Records handed on to rules.
        duplicates: Records whose eventID was seen before.
        skipped: Records and files that could not be read, by reason.
        problems: Each of them, with its place; not more than MAX_PROBLEMS.
        late: Records that came too late for their place in time.
        first: Earliest eventTime, and `last` the latest, in seconds since 1970.
    """

    MAX_PROBLEMS = 1000

    files: int = 0
    records: int = 0
    wanted: int = 0
    duplicates: int = 0
    late: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    first: float | None = None
    last: float | None = None

    def skip(self, where: str, reason: str, detail: str = "") -> None:
        """Count something that could not be read and remember where it was."""
        self.skipped[reason] += 1
        if len(self.problems) < self.MAX_PROBLEMS:
            self.problems.append(Problem(where, f"{reason}: {detail}" if detail else reason))
