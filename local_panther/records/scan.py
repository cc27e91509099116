"""Scans CloudTrail files: counts every record, and copies those that rules may want."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, compress, groupby, pairwise
from operator import not_
from typing import Any, NamedTuple

import simdjson

from local_panther.records.containers import (
    STANDARD_INPUT,
    UNREADABLE,
    Opener,
    Skip,
    UnreadableFile,
    sources,
)
from local_panther.records.event_times import EventTimes, time_of
from local_panther.records.forms.api import AWS_ENDINGS
from local_panther.records.forms.columns import is_own_form, own_form
from local_panther.records.forms.documents import PIECE_BYTES
from local_panther.records.forms.notation import NotationError
from local_panther.records.forms.parsing import REFUSED_FORM, RecordBatch, unwrapped
from local_panther.records.forms.recognise import (
    NOT_CLOUDTRAIL,
    OTHER_TYPES,
    has_caller,
    is_record,
    other_kind,
)
from local_panther.records.forms.source import read_source
from local_panther.records.forms.tables import plain
from local_panther.records.model import Record, Tally
from local_panther.records.panther_fields import panther_fields, remove_nulls
from local_panther.records.s3 import S3
from local_panther.records.selection import CALLER, Selection, Usual, usual_records

NO_TIME = "missing or malformed eventTime"
UNEXPECTED = "unexpected error"
CANNOT_BE_OPENED = "unreadable file"
NO_CALLER = "records without a caller"
ENCODER = json.JSONEncoder(default=str)
ERROR_FIELDS = ("errorCode", "errorMessage")


class PassedOver(NamedTuple):
    """Consecutive wanted records that a selection leaves out, and that are only counted.

    Attributes:
        times: Their eventTimes as CloudTrail writes them.
        ids: Their eventIDs; None for a record without one.
    """

    times: list[str]
    ids: list[str | None]


class _Callers:
    """A check that the records of a source name their callers; one that does is enough."""

    def __init__(self) -> None:
        self._records = 0
        self._is_found = False

    def note(self, records: Iterable[Any]) -> None:
        """Check records until one has a caller."""
        for record in () if self._is_found else records:
            self._records += 1
            if has_caller(record):
                self._is_found = True
                return

    def report(self, name: str, skip: Skip) -> None:
        """Report a source if none of its records has a caller, as rules then match nobody."""
        if self._records and not self._is_found:
            advice = "none has userIdentity; use the CloudTrail that the trail delivers to S3"
            skip(name, NO_CALLER, f"{self._records:,} records, {advice}")


@dataclass
class Scan:
    """The wanted records of a file, or of one chunk of a large file.

    Attributes:
        tally: Its files, records, times and problems.
        records: The wanted records, in the order of the file.
        path: The path of the file.
    """

    tally: Tally = field(default_factory=Tally)
    records: list[Record | PassedOver] = field(default_factory=list)
    path: str = ""

    @property
    def size(self) -> int:
        """Approximate size in bytes."""
        return sum(len(r.raw) for r in self.records if isinstance(r, Record))

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what pickle writes: records by columns, which takes half the time."""
        if {*map(type, self.records)} != {Record}:
            return Scan, (self.tally, self.records, self.path)
        columns = dict(zip(Record._fields, zip(*self.records, strict=True), strict=True))
        raws = columns.pop("raw")
        return _scan_of, (self.tally, columns, b"".join(raws), list(map(len, raws)), self.path)


def _scan_of(
    tally: Tally, columns: dict[str, Any], raws: bytes, lengths: list[int], path: str
) -> Scan:
    ends = list(accumulate(lengths, initial=0))
    columns["raw"] = [raws[start:end] for start, end in pairwise(ends)]
    rows = zip(*(columns[name] for name in Record._fields), strict=True)
    return Scan(tally, list(map(Record._make, rows)), path)


class Scanner:
    """A scanner of files; the result for a file does not depend on other files.

    Records are checked inside the parsed text, and only wanted ones are copied. That makes it fast,
    as rules want less than one in a hundred records of ordinary CloudTrail.
    """

    def __init__(
        self,
        wanted: frozenset[str] | None,
        s3: S3,
        folder: str = "",
        selection: Selection | None = None,
        *,
        with_added: bool = True,
    ) -> None:
        """Prepare to scan.

        Args:
            wanted: The eventNames that some rule may want; None for all.
            s3: Opens files in S3.
            folder: The folder that relative paths start from.
            selection: The wanted records and fields that are needed; None for all.
            with_added: Compute the fields that Panther adds.
        """
        # glibc's malloc keeps freed blocks up to the largest size freed so far, and returns larger
        # ones to the system, which costs a page fault for every 4 KB of the next file.
        bytearray(PIECE_BYTES)
        self._wanted = wanted
        self._with_added = with_added
        self._selection = selection
        self._opener = Opener(s3, folder)
        self._times = EventTimes()
        self._callers = _Callers()

    def scan(self, path: str) -> Iterator[Scan]:
        """Yield the wanted records of a file, one bounded chunk at a time."""
        scan = Scan(Tally(files=1), path=path)
        was_read = False
        name = "standard input" if path == STANDARD_INPUT else path

        def skip(where: str, reason: str, detail: str = "") -> None:
            scan.tally.skip(where, reason, detail)

        def other(kind: str) -> None:
            scan.tally.set_aside(kind)

        try:
            for source in sources(path, self._opener, skip, other):
                self._callers = _Callers()
                try:
                    for piece in read_source(source, skip, other):
                        was_read = True
                        for batch in piece:
                            self._collect(batch, scan)
                        yield scan
                        scan = Scan(path=path)
                except UnreadableFile as error:
                    skip(source.name, UNREADABLE, str(error))
                self._callers.report(source.name, skip)
        except UnreadableFile as error:
            skip(name, UNREADABLE, str(error))
        except OSError as error:
            skip(name, CANNOT_BE_OPENED, error.strerror or str(error))
        except Exception as error:  # whatever the file contains, the other files are read
            skip(name, UNEXPECTED, f"{type(error).__name__}: {error}; the rest was not read")
        if scan.tally.other and not was_read:
            scan.tally.files -= 1  # already counted by its kind
        if scan.tally != Tally():
            yield scan

    def _collect(self, batch: RecordBatch, scan: Scan) -> None:
        """Collect the records of a batch: together if all are regular, else one by one."""
        if self._collect_regular(batch, scan):
            return
        for inner in unwrapped(batch, scan.tally.skip, scan.tally.set_aside):
            if not self._collect_regular(inner, scan):
                for record, where in inner.each():
                    self._collect_guarded(self._collect_any, record, where, scan)

    def _collect_regular(self, batch: RecordBatch, scan: Scan) -> bool:
        """Collect records that all have a name and a valid time, one field of all at a time.

        This is the hot loop of the replay. It returns False and collects nothing if any record is
        irregular. The service is checked for one record of each eventName only, as services have
        different eventNames.
        """
        records = batch.records
        if not records:
            return True
        try:
            names = [record["eventName"] for record in records]
            times = {record["eventTime"] for record in records}
            by_name = dict(zip(names, records, strict=True))
            services = {record["eventSource"] for record in by_name.values()}
            kinds = {record["eventType"] for record in by_name.values()}
        except (KeyError, TypeError):
            return False
        if {*map(type, by_name), *map(type, times), *map(type, services)} - {str}:
            return False
        if (
            not all(service.endswith(AWS_ENDINGS) for service in services)
            or kinds & OTHER_TYPES.keys()
        ):
            return False
        ends = self._times.ends(times)
        if ends is None:
            return False
        wanted = set(names) if self._wanted is None else self._wanted.intersection(by_name)
        self._callers.note(records)
        scan.tally.note_times(ends)
        scan.tally.records += len(records)
        indexes = [index for index, name in enumerate(names) if name in wanted] if wanted else []
        if self._selection or not self._with_added:
            self._collect_together(batch, indexes, scan)
        else:
            for index in indexes:
                position = batch.position(index)
                self._collect_guarded(self._collect_wanted, records[index], position, scan)
        return True

    def _collect_together(self, batch: RecordBatch, indexes: list[int], scan: Scan) -> None:
        """Collect wanted records, those of the usual form without parsing them."""
        records = batch.records
        rest = set(indexes)  # without the records that are passed over
        copied: dict[int, Record] = {}
        with_callers = self._selection is not None and self._selection.reads_callers
        for usual in usual_records(records, indexes, with_callers=with_callers):
            if self._selection:
                possible = self._selection.possible_in(usual)
                rest.difference_update(compress(usual.indexes, map(not_, possible)))
                chosen = compress(usual.indexes, possible)
                copied |= self._narrowed(self._selection, usual.names, chosen, batch)
            else:
                copied |= self._copied(usual, batch)
        for is_rest, run in groupby(indexes, rest.__contains__):
            if not is_rest:
                passed = [records[index] for index in run]
                times = [record["eventTime"] for record in passed]
                scan.records.append(PassedOver(times, _event_ids(passed)))
                continue
            for index in run:
                if index in copied:
                    scan.records.append(copied[index])
                else:
                    position = batch.position(index)
                    self._collect_guarded(self._collect_wanted, records[index], position, scan)

    def _narrowed(
        self,
        selection: Selection,
        names: frozenset[str],
        indexes: Iterable[int],
        batch: RecordBatch,
    ) -> dict[int, Record]:
        """Return the needed fields of usual records, by index; without those to copy whole."""
        narrowed = {}
        for index in indexes:
            record = batch.records[index]
            time = self._times.read_usual(record["eventTime"])
            found = None if time is None else selection.narrowed(record, names, time)
            if time is not None and found:
                name, (event_id,) = record["eventName"], _event_ids([record])
                where = batch.position(index)
                narrowed[index] = Record(time, name, event_id, *found, where)
        return narrowed

    def _copied(self, usual: Usual, batch: RecordBatch) -> dict[int, Record]:
        """Return usual records without nulls, by index, and without the fields that Panther adds.

        `_collect_wanted` would return the same: nothing in them has to be changed.
        """
        copied = {}
        has_failed = not usual.names.isdisjoint(ERROR_FIELDS)
        ids = _event_ids(usual.records)
        columns = usual.indexes, usual.records, usual.times, ids
        for index, record, moment, event_id in zip(*columns, strict=True):
            raw = record.mini
            time = self._times.read_usual(moment)
            if time is None or b"null" in raw:
                continue
            caller = record[CALLER] if CALLER in usual.names else None
            caller_type = caller.get("type") if isinstance(caller, simdjson.Object) else None
            copied[index] = Record(
                time,
                record["eventName"],
                event_id,
                raw,
                b"",
                batch.position(index),
                record["eventSource"],
                caller_type if isinstance(caller_type, str) else "",
                has_failed,
            )
        return copied

    def _collect_any(self, record: Any, where: str, scan: Scan) -> None:
        """Collect one record of any form."""
        scan.tally.records += 1
        self._callers.note([record])
        value = record.get("eventTime")
        time = self._times.read(value) if isinstance(value, str) else time_of(plain(value))
        if time is None:
            scan.tally.skip(where, NO_TIME, repr(plain(value))[:60])
            return
        scan.tally.note_times([time])
        name = record.get("eventName")
        name = name if isinstance(name, str) else ""
        if self._wanted is None or name in self._wanted:
            self._collect_wanted(record, where, scan)

    def _collect_guarded(
        self, collect: Callable[[Any, str, Scan], None], record: Any, where: str, scan: Scan
    ) -> None:
        """Collect a record; if that fails, report it and lose no other."""
        try:
            collect(record, where, scan)
        except NotationError as error:
            scan.tally.skip(where, REFUSED_FORM, str(error))
        except Exception as error:  # whatever the record contains, the others are read
            scan.tally.skip(where, UNEXPECTED, f"{type(error).__name__}: {error}")

    def _collect_wanted(self, record: Any, where: str, scan: Scan) -> None:
        """Copy a record whose name is wanted.

        If an object repeats a key, the last value wins here, as in other parsers, while simdjson
        finds the first. So a record that repeats eventName is missed if no rule wants the first
        one; looking for others would cost a sixth of the time of reading.
        """
        is_parsed = isinstance(record, simdjson.Object)
        raw: bytes = record.mini if is_parsed else ENCODER.encode(record).encode()
        values = record.as_dict() if is_parsed else record
        if not _is_of_aws(values) and ((kind := other_kind(values)) or not is_record(values)):
            scan.tally.records -= 1
            scan.tally.set_aside(kind or NOT_CLOUDTRAIL)
            return
        if not is_own_form(values, raw):
            values = own_form(values)
            raw = ENCODER.encode(values).encode()
        name, event_id, value = (values.get(key) for key in ("eventName", "eventID", "eventTime"))
        time = self._times.read(value) if isinstance(value, str) else time_of(value)
        if time is None:
            scan.tally.skip(where, NO_TIME, repr(value)[:60])
            return
        name = name if isinstance(name, str) else ""
        if b"null" in raw:
            remove_nulls(values)
            raw = ENCODER.encode(values).encode()
        added = b""
        if self._with_added:
            added = json.dumps(panther_fields(values, raw, time)).encode()
        source, identity = values.get("eventSource"), values.get("userIdentity")
        caller_type = identity.get("type") if isinstance(identity, dict) else None
        scan.records.append(
            Record(
                time,
                name,
                _id_of(values, event_id),
                raw,
                added,
                where,
                source if isinstance(source, str) else "",
                caller_type if isinstance(caller_type, str) else "",
                any(name in values for name in ERROR_FIELDS),
            )
        )


def _event_ids(records: list[Any]) -> list[str | None]:
    """Return the eventIDs of records that are not addenda; None for a record without one."""
    try:
        ids = [record["eventID"] for record in records]
    except KeyError:
        ids = [record.get("eventID") for record in records]
    if {*map(type, ids)} == {str}:
        return ids
    return [event_id if isinstance(event_id, str) else None for event_id in ids]


def _is_of_aws(record: Any) -> bool:
    """Return whether a record comes from an AWS service and is an ordinary CloudTrail event."""
    source = record.get("eventSource")
    is_one = isinstance(source, str) and source.endswith(AWS_ENDINGS)
    return is_one and not other_kind(record)


def _id_of(record: Mapping[str, Any], event_id: Any) -> str | None:
    """Return the ID of an event; for an addendum, the ID of the original event.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
    """
    addendum = record.get("addendum")
    if isinstance(addendum, dict) and isinstance(addendum.get("originalEventID"), str):
        event_id = addendum["originalEventID"]
    return event_id if isinstance(event_id, str) else None
