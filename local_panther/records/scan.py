"""Scans CloudTrail files: counts every record, and copies out those that rules may want."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import simdjson

from local_panther.records.documents import UnreadableFile, documents
from local_panther.records.files import STANDARD_INPUT, opened
from local_panther.records.model import Tally
from local_panther.records.panther_fields import panther_fields
from local_panther.records.parsing import RecordBatch, batches
from local_panther.times import parse_time

NOT_AN_OBJECT = "record is not an object"
NO_TIME = "missing or malformed eventTime"
EMPTY = "empty file"

MAX_CACHED_TIMES = 10_000


class ScannedRecord(NamedTuple):
    """A wanted record as it is in a file; duplicates are not recognised yet.

    Attributes:
        time: Its eventTime in seconds since 1970.
        name: Its eventName, or "" if it has none.
        event_id: Its eventID, None if it has none.
        raw: The record as JSON.
        added: The fields that Panther adds, as JSON.
        where: The file and the place in it.
    """

    time: float
    name: str
    event_id: str | None
    raw: bytes
    added: bytes
    where: str


@dataclass
class Scan:
    """What a file holds, or a piece of a long one.

    Attributes:
        tally: Its files, records, times and problems.
        records: The wanted records.
    """

    tally: Tally = field(default_factory=Tally)
    records: list[ScannedRecord] = field(default_factory=list)

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return sum(len(record.raw) for record in self.records)


class Scanner:
    """Scans files, each by itself: the result does not depend on the files before it.

    A record is looked at where it lies in the parsed text, and only a wanted one is copied out.
    That is what makes it fast: of ordinary CloudTrail, rules want less than one record in a
    hundred.
    """

    def __init__(self, wanted: frozenset[str] | None) -> None:
        """Prepare to scan.

        Args:
            wanted: The eventNames that some rule may want; None for all.
        """
        self._wanted = wanted
        self._times: dict[str, float] = {}

    def scan(self, path: str) -> Iterator[Scan]:
        """Yield what a file holds, a bounded piece at a time."""
        scan = Scan(Tally(files=1))
        name = "standard input" if path == STANDARD_INPUT else path
        is_empty = True
        try:
            with opened(path) as file:
                for document in documents(file):
                    if document.text.strip():
                        is_empty = False
                        for batch in batches(document, name, scan.tally.skip):
                            self._collect(batch, scan)
                        yield scan
                        scan = Scan()
            if is_empty:
                scan.tally.skip(name, EMPTY)
        except UnreadableFile as error:
            scan.tally.skip(name, "truncated or oversized file", str(error))
        except OSError as error:
            scan.tally.skip(name, "unreadable file", error.strerror or str(error))
        if scan.tally.problems:
            yield scan

    def _collect(self, batch: RecordBatch, scan: Scan) -> None:
        """Collect the records of a batch: in one go if they are regular, else one by one."""
        if not self._collect_regular(batch, scan):
            for record, where in batch.each():
                self._collect_any(record, where, scan)

    def _collect_regular(self, batch: RecordBatch, scan: Scan) -> bool:
        """Collect records that all have a name and a valid time, one field of all at a time.

        The hot loop of the replay. Returns False, and collects nothing, if any is irregular.
        """
        records = batch.records
        try:
            names = [record["eventName"] for record in records]
            times = {record["eventTime"] for record in records}
        except (KeyError, TypeError):
            return False
        if {*map(type, names), *map(type, times)} - {str}:
            return False
        moments: dict[str, float] = {}
        for text in times:
            if (moment := self._time(text)) is None:
                return False
            moments[text] = moment
        wanted = set(names) if self._wanted is None else self._wanted.intersection(names)
        scan.tally.note_times(moments.values())
        scan.tally.records += len(records)
        if wanted:
            for index, name in enumerate(names):
                if name in wanted:
                    record = records[index]
                    time = moments[record["eventTime"]]
                    scan.records.append(_copied(record, time, name, batch.place(index)))
        return True

    def _collect_any(self, record: Any, where: str, scan: Scan) -> None:
        """Collect one record of any form."""
        scan.tally.records += 1
        if not isinstance(record, (dict, simdjson.Object)):
            scan.tally.skip(where, NOT_AN_OBJECT, f"it is {json.dumps(_plain(record))[:60]}")
            return
        text = record.get("eventTime")
        time = self._time(text) if isinstance(text, str) else None
        if time is None:
            scan.tally.skip(where, NO_TIME, repr(_plain(text))[:60])
            return
        scan.tally.note_times([time])
        name = record.get("eventName")
        name = name if isinstance(name, str) else ""
        if self._wanted is None or name in self._wanted:
            scan.records.append(_copied(record, time, name, where))

    def _time(self, text: str) -> float | None:
        """Return an eventTime in seconds since 1970; None if it is not a time."""
        time = self._times.get(text)
        if time is None and (time := parse_time(text)) is not None:
            if len(self._times) > MAX_CACHED_TIMES:
                self._times.clear()
            self._times[text] = time
        return time


def _copied(record: Any, time: float, name: str, where: str) -> ScannedRecord:
    event_id = record.get("eventID")
    event_id = event_id if isinstance(event_id, str) else None
    is_parsed = isinstance(record, simdjson.Object)
    raw: bytes = record.mini if is_parsed else json.dumps(record).encode()
    values = record.as_dict() if is_parsed else record
    added = json.dumps(panther_fields(values, raw, time)).encode()
    return ScannedRecord(time, name, event_id, raw, added, where)


def _plain(value: Any) -> Any:
    if isinstance(value, simdjson.Array):
        return value.as_list()
    return value.as_dict() if isinstance(value, simdjson.Object) else value
