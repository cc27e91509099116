"""Reads JSON lines of any log type into the events that rules get."""

import hashlib
import json
from collections.abc import Generator, Iterable, Iterator
from typing import Any

from local_panther.content.log_schema import LogSchema
from local_panther.records.containers import Opener, UnreadableFile, sources
from local_panther.records.forms.json_values import parse_json
from local_panther.records.model import Record, Tally
from local_panther.records.order import RecentIds
from local_panther.records.panther_fields import SOURCE_ID, SOURCE_LABEL, normalised_time
from local_panther.records.s3 import S3
from local_panther.times import Period

MAX_LINE_BYTES = 64 * 1024 * 1024


class JsonLines:
    """A reader of plain or compressed files with an event on each line.

    Args:
        schema: The log type.
        tally: Collects counts and problems.
        s3: Opens objects.
        period: Yield only events in this period.
        keep_repeated: Yield events whose line was seen before; they are counted either way.
    """

    def __init__(
        self, schema: LogSchema, tally: Tally, s3: S3, period: Period, *, keep_repeated: bool
    ) -> None:
        self._schema = schema
        self._tally = tally
        tally.period = period
        self._opener = Opener(s3)
        self._period = period
        self._keep_repeated = keep_repeated
        self._rows = RecentIds()

    def read(self, files: Iterable[str]) -> Generator[Record]:
        """Yield the events of all files, in order of reading."""
        for path in files:
            self._tally.files += 1
            try:
                for source in sources(path, self._opener, self._tally.skip, self._tally.set_aside):
                    yield from self._lines(source.stream, source.name)
            except (UnreadableFile, OSError, EOFError, ValueError) as error:
                self._tally.skip(path, "unreadable file", str(error))

    def _lines(self, stream: Any, where: str) -> Iterator[Record]:
        number = 0
        while line := stream.readline(MAX_LINE_BYTES):
            number += 1
            if line.strip():
                yield from self._event(line.strip(), f"{where}:{number}")

    def _event(self, line: bytes, where: str) -> Iterator[Record]:
        tally = self._tally
        try:
            event = parse_json(line)
        except (ValueError, RecursionError) as error:
            tally.skip(where, "not JSON", str(error))
            return
        if not isinstance(event, dict):
            tally.skip(where, "not a JSON object")
            return
        tally.records += 1
        time = self._schema.time_of(event)
        if time is None:
            tally.skip(where, "no event time", "pass a --schema with an isEventTime field")
            return
        tally.note_times([time])
        row = hashlib.sha256(line).hexdigest()[:32]
        if self._rows.is_repeated(row):
            tally.duplicates += 1
            if not self._keep_repeated:
                return
        if time not in self._period:
            return
        tally.wanted += 1
        moment = normalised_time(time)
        added = {
            "p_event_time": moment,
            "p_log_type": self._schema.name,
            "p_row_id": row,
            "p_source_id": SOURCE_ID,
            "p_source_label": SOURCE_LABEL,
            "p_schema_version": 0,
            **self._schema.indicators(event),
        }
        given = {name: value for name, value in event.items() if value is not None}
        name = event.get("eventName")
        yield Record(
            time,
            name if isinstance(name, str) else "",
            None,
            json.dumps(given).encode(),
            json.dumps({n: v for n, v in added.items() if n not in given}).encode(),
            where,
        )
