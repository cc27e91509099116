"""The records that reading yields, and their counts."""

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import simdjson

from local_panther.errors import Problem
from local_panther.records.panther_fields import panther_fields
from local_panther.times import ALWAYS, Period

REFUSED = (ValueError, RuntimeError)  # raised by simdjson on input that it does not accept

PLACE = re.compile(r"(?:, (?:line|row|record) \d+|:\d+)+$")  # the place of a record in its file

_parser = simdjson.Parser()


class Record(NamedTuple):
    """One CloudTrail record that a rule may want.

    Attributes:
        time: Its eventTime in seconds since 1970.
        name: Its eventName, or "" if it has none.
        event_id: Its eventID; None if it has none, or if the reader did not read it.
        raw: The record as JSON.
        added: The fields that Panther adds, as JSON; empty if the reader did not compute them.
        where: The file and the place in it.
        source: Its eventSource; "" if the reader did not read it.
        caller_type: The type of its caller; "" if the reader did not read it.
        has_failed: False if the reader found neither errorCode nor errorMessage.
    """

    time: float
    name: str
    event_id: str | None
    raw: bytes
    added: bytes
    where: str
    source: str = ""
    caller_type: str = ""
    has_failed: bool = True

    def event(self, fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the event that rules get: the record with the fields that Panther adds.

        Args:
            fields: The result of `fields`, if the caller has it.
        """
        fields = self.fields() if fields is None else fields
        if self.added:
            return {**fields, **_parsed(self.added)}
        return {**fields, **panther_fields(fields, self.raw, self.time)}

    def fields(self) -> dict[str, Any]:
        """Return the record as CloudTrail wrote it, without null fields."""
        fields: dict[str, Any] = _parsed(self.raw)
        return fields


def _parsed(text: bytes) -> Any:
    try:
        return _parser.parse(text, recursive=True)
    except REFUSED:
        return json.loads(text)  # numbers of many digits, lone surrogates


@dataclass
class Tally:
    """Counts and problems of reading.

    Attributes:
        files: Number of files read.
        records: Number of records read, including duplicates.
        wanted: Number of records passed to rules.
        outside: Number of records that rules may want, but that are outside the period.
        duplicates: Number of records that rules may want, but whose eventID was seen before.
        skipped: Number of records and files that could not be read, by reason.
        problems: One for each reason in each file, with its first place and its count; at most
            MAX_PROBLEMS.
        other: Number of files and documents set aside, by kind.
        late: Number of records read too late to be put in order of time.
        first: Earliest eventTime in seconds since 1970; `last` is the latest.
        period: The requested period.
    """

    MAX_PROBLEMS = 1000

    files: int = 0
    records: int = 0
    wanted: int = 0
    outside: int = 0
    duplicates: int = 0
    late: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    other: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    first: float | None = None
    last: float | None = None
    period: Period = ALWAYS
    _causes: dict[tuple[str, str], int] = field(default_factory=dict, repr=False, compare=False)

    def skip(self, where: str, reason: str, detail: str = "") -> None:
        """Count something that could not be read and remember where it was."""
        self.skipped[reason] += 1
        self._remember(Problem(where, f"{reason}: {detail}" if detail else reason))

    def _remember(self, problem: Problem) -> None:
        """Keep a problem, or count it if the file has one with the same cause."""
        cause = PLACE.sub("", problem.where), problem.message.partition(": ")[0]
        known = self._causes.get(cause)
        if known is not None:
            count = self.problems[known].count + problem.count
            self.problems[known] = replace(self.problems[known], count=count)
        elif len(self.problems) < self.MAX_PROBLEMS:
            self._causes[cause] = len(self.problems)
            self.problems.append(problem)

    @property
    def unread(self) -> int:
        """Number of records and files that could not be read."""
        return self.skipped.total()

    @property
    def untold(self) -> int:
        """Number of unread records and files that no problem counts."""
        return self.unread - sum(problem.count for problem in self.problems)

    def set_aside(self, kind: str) -> None:
        """Count something that is not CloudTrail."""
        self.other[kind] += 1

    def note_times(self, times: Collection[float]) -> None:
        """Extend the first and last time to these times, in seconds since 1970."""
        if times:
            earliest, latest = min(times), max(times)
            self.first = earliest if self.first is None else min(self.first, earliest)
            self.last = latest if self.last is None else max(self.last, latest)

    def add(self, other: "Tally") -> None:
        """Add the counts and problems of another tally."""
        for name in ("files", "records", "wanted", "outside", "duplicates", "late"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.skipped.update(other.skipped)
        self.other.update(other.other)
        for problem in other.problems:
            self._remember(problem)
        self.note_times([time for time in (other.first, other.last) if time is not None])
