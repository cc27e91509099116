"""Reads CloudTrail files: counts every record, and yields those that some rule may want."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import simdjson

from local_panther.records.documents import Document, UnreadableFile, documents
from local_panther.records.files import STANDARD_INPUT, opened
from local_panther.records.model import Record, Tally
from local_panther.records.order import RecentIds

NOT_JSON = "broken JSON"
NOT_AN_OBJECT = "record is not an object"
NO_TIME = "missing or malformed eventTime"
EMPTY = "empty file"

REFUSED = (ValueError, RuntimeError)  # what simdjson raises on text that it does not take
ARRAY_START = re.compile(r'\s*(?:\{\s*"Records"\s*:\s*)?\[\s*')
SPACE = re.compile(r"\s*")
MAX_KNOWN_TIMES = 10_000
MAX_KNOWN_NAMES = 10_000


class Reader:
    """Reads files one after the other into one stream of records.

    A record is looked at where it lies in the parsed text; only a wanted one is copied out. That
    is what makes it fast: of ordinary CloudTrail, rules want less than one record in a hundred.

    Args:
        wanted: Tells by eventName whether any rule may want a record.
        tally: Takes the counts and problems.
    """

    def __init__(self, wanted: Callable[[str], bool], tally: Tally) -> None:
        self._wanted = wanted
        self._tally = tally
        self._unwanted: set[str] = set()  # eventNames
        self._times: dict[str, float] = {}
        # Wanted records are few, so that their IDs are remembered for far longer.
        self._ids = {True: RecentIds(), False: RecentIds()}

    def read(self, files: Iterable[str]) -> Iterator[Record]:
        """Yield the wanted records of all files, in order of reading, each once."""
        for path in files:
            self._tally.files += 1
            name = "standard input" if path == STANDARD_INPUT else path
            try:
                with opened(path) as file:
                    yield from self._read_file(documents(file), name)
            except UnreadableFile as error:
                self._tally.skip(name, "file breaks off", str(error))
            except OSError as error:
                self._tally.skip(name, "file can not be read", error.strerror or str(error))

    def _read_file(self, found: Iterable[Document], name: str) -> Iterator[Record]:
        is_empty = True
        for document in found:
            if not document.text.strip():
                continue
            is_empty = False
            if document.is_lines:
                yield from self._read_lines(document, name)
            else:
                yield from self._read_one(document.text, name, None)
        if is_empty:
            self._tally.skip(name, EMPTY)

    def _read_lines(self, document: Document, name: str) -> Iterator[Record]:
        """Read a document a line, all of them as one array where they are sound."""
        if document.line == 1 and b"\n" not in document.text:
            # The whole file, as AWS delivers it: splitting would copy it all.
            yield from self._read_one(document.text, name, None)
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
                    yield from self._scan(array, lambda i: f"{name}, line {numbers[i]}")
                    return
        for number, line in filled:
            is_whole_file = document.line == 1 and len(filled) == 1
            yield from self._read_one(line, name, None if is_whole_file else number)

    def _read_one(self, text: bytes, name: str, line: int | None) -> Iterator[Record]:
        """Read one document: a record, a list of records, or AWS's `{"Records": […]}`."""
        where = name if line is None else f"{name}, line {line}"
        try:
            document = simdjson.Parser().parse(text)
        except REFUSED as error:
            yield from self._salvage(text, where, str(error))
            return
        if isinstance(document, simdjson.Array):
            yield from self._scan(document, lambda i: f"{where}, record {i + 1}")
        else:
            yield from self._scan([document], lambda i: where)

    def _salvage(self, text: bytes, where: str, error: str) -> Iterator[Record]:
        """Read the sound records at the beginning of a broken list.

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
                self._tally.skip(place, NOT_JSON, error)
        else:
            records = document if isinstance(document, list) else [document]
        yield from self._scan(records, lambda i: f"{where}, record {i + 1}")

    def _scan(self, records: Iterable[Any], place: Callable[[int], str]) -> Iterator[Record]:
        """Look at records and yield the wanted ones. The hot loop of the replay.

        Most records are objects with a text for an ID, of a known time and name, that no rule wants
        and that were not seen before: these are done with in a few look-ups.
        """
        times, unwanted, ids = self._times, self._unwanted, self._ids[False]
        passed = 0
        for index, record in enumerate(records):
            try:
                if record["eventName"] in unwanted and record["eventTime"] in times:
                    event_id = record["eventID"]
                    is_new = event_id not in ids.current and event_id not in ids.previous
                    if is_new and type(event_id) is str:
                        ids.is_repeated(event_id)
                        passed += 1
                        continue
            except (KeyError, TypeError):
                pass  # something is missing or of another type
            self._tally.records += passed
            passed = 0
            yield from self._look_at(record, index, place)
        self._tally.records += passed

    def _look_at(self, record: Any, index: int, place: Callable[[int], str]) -> Iterator[Record]:
        """Look at one record of any form."""
        tally, kind = self._tally, type(record)
        if kind is not simdjson.Object and kind is not dict:
            tally.records += 1
            tally.skip(place(index), NOT_AN_OBJECT, f"it is {json.dumps(_plain(record))[:60]}")
            return
        name = record.get("eventName")
        if name is None and _is_envelope(record):
            yield from self._scan(record["Records"], _inside(place(index)))
            return
        tally.records += 1
        text = record.get("eventTime")
        time = self._time(text) if isinstance(text, str) else None
        if time is None:
            tally.skip(place(index), NO_TIME, repr(_plain(text))[:60])
            return
        name = name if isinstance(name, str) else ""
        wanted = name not in self._unwanted and self._wanted(name)
        if not wanted:
            if len(self._unwanted) > MAX_KNOWN_NAMES:
                self._unwanted.clear()
            self._unwanted.add(name)
        event_id = record.get("eventID")
        if isinstance(event_id, str) and self._ids[wanted].is_repeated(event_id):
            tally.duplicates += 1
        elif wanted:
            tally.wanted += 1
            raw = record.mini if kind is simdjson.Object else json.dumps(record).encode()
            yield Record(time, tally.records, name, raw, place(index))

    def _time(self, text: str) -> float | None:
        """Return an eventTime in seconds since 1970; None where it is none."""
        time = self._times.get(text)
        if time is not None:
            return time
        time = parse_time(text)
        if time is not None:
            if len(self._times) > MAX_KNOWN_TIMES:
                self._times.clear()
            self._times[text] = time
            tally = self._tally
            tally.first = time if tally.first is None else min(tally.first, time)
            tally.last = time if tally.last is None else max(tally.last, time)
        return time


def parse_time(text: str) -> float | None:
    """Return an ISO 8601 time in seconds since 1970, UTC where it has no zone; else None.

    A date alone is no time.
    """
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.timestamp() if len(text) > len("2026-01-05") else None
    except (ValueError, OverflowError):
        return None


def _is_envelope(record: Any) -> bool:
    return isinstance(record.get("Records"), (list, simdjson.Array))


def _inside(where: str) -> Callable[[int], str]:
    return lambda index: f"{where}, record {index + 1}"


def _plain(value: Any) -> Any:
    if isinstance(value, simdjson.Array):
        return value.as_list()
    return value.as_dict() if isinstance(value, simdjson.Object) else value
