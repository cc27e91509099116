"""Records of files that are delivered one after the other, as if all had been there at once.

AWS delivers the files of regions and accounts side by side, so that they overlap in time, and one
can come before another that sorts before it. So the latest records wait: their order is settled
once no earlier record is expected. What is yielded is in the order in which `Reader` and
`in_time_order` yield the records of all the files; where that cannot be had any more,
`OutOfPlace` says so, and everything has to be read again.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from local_panther.errors import one_line
from local_panther.records.files import in_order_of_delivery
from local_panther.records.model import Record, Tally
from local_panther.records.order import (
    BUFFER_BYTES,
    BUFFER_RECORDS,
    REMEMBERED_IDS,
    RecentIds,
    TimeBuffer,
)
from local_panther.records.reader import Reader
from local_panther.records.s3 import S3
from local_panther.records.scan import Scan

# From an event until no earlier one is expected: CloudTrail delivers within a quarter of an hour.
WAITING_SECONDS = 30 * 60.0

File = tuple[str, str]  # what files are sorted by


class OutOfPlace(Exception):
    """A file that changes the order of what is settled; the message says how.

    Attributes:
        behind: Seconds by which its record is older than the latest one; 0 if that is not why.
    """

    def __init__(self, message: str, behind: float = 0.0) -> None:
        super().__init__(message)
        self.behind = behind


@dataclass
class _Span:
    """What a file holds: its first and last time, and how many records of how many bytes."""

    first: float = float("inf")
    last: float = float("-inf")
    records: int = 0
    size: int = 0

    def add(self, record: Record) -> None:
        self.first = min(self.first, record.time)
        self.last = max(self.last, record.time)
        self.records += 1
        self.size += len(record.raw)


class Arrivals:
    """Reads files as they are delivered."""

    def __init__(
        self,
        tally: Tally,
        workers: int = 1,
        s3: S3 | None = None,
        *,
        waiting_seconds: float = WAITING_SECONDS,
        size: int = BUFFER_RECORDS,
        remembered_ids: int = REMEMBERED_IDS,
    ) -> None:
        """Start with no files.

        Args:
            tally: Takes the counts and problems.
            workers: Processes that look through files.
            s3: Opens files that are in S3.
            waiting_seconds: How much older than the latest record one is whose order is settled.
            size: Records that wait at most.
            remembered_ids: See `RecentIds`.
        """
        self._reader = _SourcedReader(tally, workers, s3, remembered_ids)
        self._buffer = TimeBuffer(tally, size)
        self._size = size
        self._waiting_seconds = waiting_seconds
        self._spans: dict[File, _Span] = {}
        self._last_file: File = ("", "")
        self._latest = float("-inf")  # time of a record

    def __len__(self) -> int:
        """Return the number of records that wait."""
        return len(self._buffer)

    def read(self, files: Sequence[str]) -> Generator[Record]:
        """Read files that were not there before, and yield what does not wait as it is too much.

        Raises:
            OutOfPlace: What was yielded is in another order than it would be with these files.
        """
        files = sorted(files, key=in_order_of_delivery)
        with closing(self._reader.read(files)) as records:
            for record in records:
                file = self._reader.file
                self._check(record, file)
                self._spans.setdefault(file, _Span()).add(record)
                yield from self._buffer.add(record, file)
        for file in map(in_order_of_delivery, files):
            if file < self._last_file and file in self._spans:
                self._check_overlap(file)
            self._last_file = max(self._last_file, file)

    def settle(self) -> Iterator[Record]:
        """Yield the records whose order is settled."""
        self._latest = max((span.last for span in self._spans.values()), default=self._latest)
        yield from self._buffer.until(self._latest - self._waiting_seconds)

    def rest(self) -> Iterator[Record]:
        """Yield the records that wait, after which no file can be read."""
        yield from self._buffer.rest()

    def _check(self, record: Record, file: File) -> None:
        """Refuse a record that comes before a settled one.

        One that only comes before what did not wait as it was too much is late in the same way
        when all files are read at once, if its file is the last of them (`_check_overlap`).
        """
        if (record.time, file, record.sequence) < self._buffer.settled:
            behind = max(0.0, self._latest - record.time)
            raise OutOfPlace(f"{record.where}: is {behind / 60:,.0f} minutes late", behind)

    def _check_overlap(self, file: File) -> None:
        """Refuse a file that comes before others if a record of theirs could become late by it.

        No record is late of which at most `size` others happened at its time or later.
        """
        after = [span for other, span in self._spans.items() if other >= file]
        first = min(span.first for span in after)
        spans = [span for span in self._spans.values() if span.last >= first]
        is_small = sum(span.size for span in spans) <= BUFFER_BYTES
        if not is_small or sum(span.records for span in spans) > self._size:
            raise OutOfPlace(f"{file[1]}: comes before others, with too many records beside it")


class _SourcedReader(Reader):
    """A reader that knows which file a record is of.

    Attributes:
        file: Of the record that was yielded last.
    """

    def __init__(self, tally: Tally, workers: int, s3: S3 | None, remembered_ids: int) -> None:
        super().__init__(None, tally, workers, s3=s3)
        self.file: File = ("", "")
        self._ids = self._sourced = _SourcedIds(remembered_ids)

    def _records(self, scan: Scan) -> Iterator[Record]:
        self.file = self._sourced.file = in_order_of_delivery(scan.path)
        yield from super()._records(scan)


class _SourcedIds(RecentIds):
    """Recent IDs that know which file the record is of that was yielded.

    Attributes:
        file: The one that is being read.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._current: dict[str, File] = {}  # type: ignore[assignment]
        self._previous: dict[str, File] = {}  # type: ignore[assignment]
        self.file: File = ("", "")

    def is_repeated(self, event_id: str) -> bool:
        """Return whether an ID was seen before, and remember it.

        Raises:
            OutOfPlace: The one that was seen is in a file that comes after this one.
        """
        known = self._current.get(event_id)
        if known is None:
            known = self._previous.get(event_id)
            self._current[event_id] = known or self.file
            if len(self._current) >= self._capacity:
                self._previous, self._current = self._current, {}
        if known is not None and known > self.file:
            name = one_line(event_id)
            raise OutOfPlace(f"{self.file[1]}: holds {name}, which {known[1]} held, too")
        return known is not None
