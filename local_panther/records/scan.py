"""Looks through CloudTrail files: counts every record, and copies out those that rules may want."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import simdjson

from local_panther.records.documents import Document, UnreadableFile, documents
from local_panther.records.files import STANDARD_INPUT, opened
from local_panther.records.model import REFUSED, Tally
from local_panther.records.panther_fields import panther_fields

NOT_JSON = "broken JSON"
NOT_AN_OBJECT = "record is not an object"
NO_TIME = "missing or malformed eventTime"
EMPTY = "empty file"

ARRAY_START = re.compile(r'\s*(?:\{\s*"Records"\s*:\s*)?\[\s*')
SPACE = re.compile(r"\s*")
MAX_KNOWN_TIMES = 10_000

Place = Callable[[int], str]


class Sighting(NamedTuple):
    """A wanted record as it lies in a file, not yet told from duplicates.

    Attributes:
        time: Its eventTime in seconds since 1970.
        name: Its eventName, or "" where it has none.
        event_id: Its eventID, None where it has none.
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
        sightings: The wanted records.
    """

    tally: Tally = field(default_factory=Tally)
    sightings: list[Sighting] = field(default_factory=list)

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return sum(len(sighting.raw) for sighting in self.sightings)


class Scanner:
    """Looks through files, each for itself: what is known of other files makes no difference.

    A record is looked at where it lies in the parsed text, and only a wanted one is copied out.
    That is what makes it fast: of ordinary CloudTrail, rules want less than one record in a
    hundred.

    Args:
        wanted: The eventNames that some rule may want; None for all.
    """

    def __init__(self, wanted: frozenset[str] | None) -> None:
        self._wanted = wanted
        self._times: dict[str, float] = {}
        self._scan = Scan()

    def scan(self, path: str) -> Iterator[Scan]:
        """Yield what a file holds, a bounded piece at a time."""
        self._scan = Scan(Tally(files=1))
        name = "standard input" if path == STANDARD_INPUT else path
        try:
            with opened(path) as file:
                for _ in self._documents(documents(file), name):
                    yield self._scan
                    self._scan = Scan()
        except UnreadableFile as error:
            self._scan.tally.skip(name, "file breaks off", str(error))
        except OSError as error:
            self._scan.tally.skip(name, "file can not be read", error.strerror or str(error))
        if self._scan.tally.problems:
            yield self._scan

    def _documents(self, found: Iterable[Document], name: str) -> Iterator[Document]:
        """Scan documents and yield each when it is done."""
        is_empty = True
        for document in found:
            if not document.text.strip():
                continue
            is_empty = False
            if document.is_lines:
                self._scan_lines(document, name)
            else:
                self._scan_one(document.text, name, None)
            yield document
        if is_empty:
            self._scan.tally.skip(name, EMPTY)

    def _scan_lines(self, document: Document, name: str) -> None:
        """Scan a document a line, all of them as one array where they are sound."""
        if document.line == 1 and b"\n" not in document.text:
            # The whole file, as AWS delivers it: splitting would copy it all.
            self._scan_one(document.text, name, None)
            return
        lines = document.text.split(b"\n")
        filled = [(i, line) for i, line in enumerate(lines, document.line) if line.strip()]
        if len(filled) > 1:
            joined = b"[" + b",".join(line for _, line in filled) + b"]"
            try:
                array = simdjson.Parser().parse(joined)
            except REFUSED:
                pass  # one line by one, to find the broken one
            else:
                if len(array) == len(filled):
                    numbers = [i for i, _ in filled]
                    self._scan_all(array, lambda i: f"{name}, line {numbers[i]}")
                    return
        for number, line in filled:
            is_whole_file = document.line == 1 and len(filled) == 1
            self._scan_one(line, name, None if is_whole_file else number)

    def _scan_one(self, text: bytes, name: str, line: int | None) -> None:
        """Scan one document: a record, a list of records, or AWS's `{"Records": […]}`."""
        where = name if line is None else f"{name}, line {line}"
        try:
            document = simdjson.Parser().parse(text)
        except REFUSED as error:
            self._salvage(text, where, str(error))
            return
        if isinstance(document, simdjson.Array):
            self._scan_all(document, lambda i: f"{where}, record {i + 1}")
        else:
            self._look_at(document, 0, lambda i: where)

    def _salvage(self, text: bytes, where: str, error: str) -> None:
        """Scan the sound records at the beginning of a broken list.

        Also what the fast parser refuses and JSON allows, such as numbers of many digits.
        """
        decoder, decoded = json.JSONDecoder(), text.decode("utf-8", errors="replace")
        records: list[Any] = []
        try:
            document = decoder.decode(decoded)
        except (ValueError, RecursionError):
            start = ARRAY_START.match(decoded)
            position = start.end() if start else len(decoded)
            try:
                while True:
                    record, position = decoder.raw_decode(decoded, position)
                    records.append(record)
                    position = SPACE.match(decoded, decoded.index(",", position) + 1).end()
            except (ValueError, RecursionError):
                place = f"{where}, record {len(records) + 1}" if start else where
                self._scan.tally.skip(place, NOT_JSON, error)
        else:
            records = document if isinstance(document, list) else [document]
        self._scan_all(records, lambda i: f"{where}, record {i + 1}")

    def _scan_all(self, records: Iterable[Any], place: Place, in_envelope: bool = False) -> None:
        """Look at records: all in one go where they are regular, else one by one."""
        found = list(records)
        if not self._take_regular(found, place):
            for index, record in enumerate(found):
                self._look_at(record, index, place, in_envelope)

    def _take_regular(self, records: list[Any], place: Place) -> bool:
        """Take records that all have a name and a good time, a field of all at a time.

        The hot loop of the replay. False, and nothing is taken, where they are otherwise.
        """
        try:
            names = [record["eventName"] for record in records]
            times = {record["eventTime"] for record in records}
        except (KeyError, TypeError):
            return False
        if {*map(type, names), *map(type, times)} - {str}:
            return False
        moments = set(map(self._time, times))
        if None in moments:
            return False
        wanted = set(names) if self._wanted is None else self._wanted.intersection(names)
        tally = self._scan.tally
        tally.note_times(moments)
        tally.records += len(records)
        if wanted:
            for index, name in enumerate(names):
                if name in wanted:
                    record = records[index]
                    self._take(record, self._time(record["eventTime"]), name, place(index))
        return True

    def _look_at(self, record: Any, index: int, place: Place, in_envelope: bool = False) -> None:
        """Look at one record of any form, or into an envelope that is in no other."""
        tally, kind = self._scan.tally, type(record)
        if kind is not simdjson.Object and kind is not dict:
            tally.records += 1
            tally.skip(place(index), NOT_AN_OBJECT, f"it is {json.dumps(_plain(record))[:60]}")
            return
        name = record.get("eventName")
        if name is None and not in_envelope and _is_envelope(record):
            self._scan_all(record["Records"], _inside(place(index)), in_envelope=True)
            return
        tally.records += 1
        text = record.get("eventTime")
        time = self._time(text) if isinstance(text, str) else None
        if time is None:
            tally.skip(place(index), NO_TIME, repr(_plain(text))[:60])
            return
        tally.note_times([time])
        name = name if isinstance(name, str) else ""
        if self._wanted is None or name in self._wanted:
            self._take(record, time, name, place(index))

    def _take(self, record: Any, time: float, name: str, where: str) -> None:
        event_id = record.get("eventID")
        event_id = event_id if isinstance(event_id, str) else None
        if isinstance(record, simdjson.Object):
            raw, values = record.mini, record.as_dict()
        else:
            raw, values = json.dumps(record).encode(), record
        added = json.dumps(panther_fields(values, raw, time)).encode()
        self._scan.sightings.append(Sighting(time, name, event_id, raw, added, where))

    def _time(self, text: str) -> float | None:
        """Return an eventTime in seconds since 1970; None where it is none."""
        time = self._times.get(text)
        if time is None and (time := parse_time(text)) is not None:
            if len(self._times) > MAX_KNOWN_TIMES:
                self._times.clear()
            self._times[text] = time
        return time


def parse_time(text: str) -> float | None:
    """Return an ISO 8601 time in seconds since 1970, UTC where it has no zone; else None.

    A date alone is no time.
    """
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.timestamp() if len(text) > len("2026-01-05") else None
    except (ValueError, OverflowError):
        return None


def _is_envelope(record: Any) -> bool:
    return isinstance(record.get("Records"), (list, simdjson.Array))


def _inside(where: str) -> Place:
    return lambda index: f"{where}, record {index + 1}"


def _plain(value: Any) -> Any:
    if isinstance(value, simdjson.Array):
        return value.as_list()
    return value.as_dict() if isinstance(value, simdjson.Object) else value
