"""Reads files as they are delivered, with the same result as reading all of them at once.

AWS delivers the files of regions and accounts side by side: they overlap in time, and a file can
arrive before another that sorts before it. So the latest records wait: their order is settled once
no earlier record is expected. Records are yielded in the order in which `Reader` and
`in_time_order` would yield the records of all the files. Once that order is broken, `OutOfPlace` is
raised, and everything has to be read again.
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

# Twice the 15 minutes within which CloudTrail usually delivers an event.
WAITING_SECONDS = 30 * 60.0

File = tuple[str, str]  # the key that files are sorted by


class OutOfPlace(Exception):
    """A file with records that belong before settled ones; the message names the file.

    Attributes:
        behind: Seconds by which its record is older than the latest one; 0 for other reasons.
    """

    def __init__(self, message: str, behind: float = 0.0) -> None:
        super().__init__(message)
        self.behind = behind


@dataclass
class _Span:
    """The first and last time of a file's records, their number, and their size in bytes."""

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
    """A reader of files as they are delivered."""

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
            tally: Collects counts and problems.
            workers: Number of processes that scan files.
            s3: Opens files in S3.
            waiting_seconds: Age at which the order of a record is settled, in seconds before the
                latest record.
            size: Largest number of waiting records.
            remembered_ids: Capacity of `RecentIds`.
        """
        self._reader = _SourcedReader(tally, workers, s3, remembered_ids)
        self._buffer = TimeBuffer(tally, size)
        self._size = size
        self._waiting_seconds = waiting_seconds
        self._spans: dict[File, _Span] = {}
        self._last_file: File = ("", "")
        self._latest = float("-inf")  # time of a record

    def __len__(self) -> int:
        """Return the number of waiting records."""
        return len(self._buffer)

    def read(self, files: Sequence[str]) -> Generator[Record]:
        """Read new files, and yield the records that no longer fit among the waiting ones.

        Raises:
            OutOfPlace: With these files, records yielded before would have another order.
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
        """Yield the waiting records; no file can be read afterwards."""
        yield from self._buffer.rest()

    def _check(self, record: Record, file: File) -> None:
        """Raise OutOfPlace for a record that belongs before a settled one.

        A record can also belong before one that `read` yielded because the buffer was full. If its
        file sorts last, the record is late in the same way when all files are read at once;
        `_check_overlap` handles the other files.
        """
        if (record.time, file) < self._buffer.settled:
            behind = max(0.0, self._latest - record.time)
            raise OutOfPlace(f"{record.where}: is {behind / 60:,.0f} minutes late", behind)

    def _check_overlap(self, file: File) -> None:
        """Raise OutOfPlace if reading a file first could make a record of the files after it late.

        A record is never late if at most `size` others have its time or a later one.
        """
        after = [span for other, span in self._spans.items() if other >= file]
        first = min(span.first for span in after)
        spans = [span for span in self._spans.values() if span.last >= first]
        is_small = sum(span.size for span in spans) <= BUFFER_BYTES
        if not is_small or sum(span.records for span in spans) > self._size:
            raise OutOfPlace(f"{file[1]}: sorts before files already read, among too many records")


class _SourcedReader(Reader):
    """A reader that knows the file of each record.

    Attributes:
        file: The file of the record yielded last.
    """

    def __init__(self, tally: Tally, workers: int, s3: S3 | None, remembered_ids: int) -> None:
        super().__init__(None, tally, workers, s3=s3)
        self.file: File = ("", "")
        self._ids = self._sourced = _SourcedIds(remembered_ids)

    def _records(self, scan: Scan) -> Iterator[Record]:
        self.file = self._sourced.file = in_order_of_delivery(scan.path)
        yield from super()._records(scan)


class _SourcedIds(RecentIds):
    """Recent IDs, each with the first file that contained it.

    Attributes:
        file: The file that is being read.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._current: dict[str, File] = {}  # type: ignore[assignment]
        self._previous: dict[str, File] = {}  # type: ignore[assignment]
        self.file: File = ("", "")

    def is_repeated(self, event_id: str) -> bool:
        """Return whether an ID was seen before, and remember it.

        Raises:
            OutOfPlace: It was seen in a file that sorts after the present one.
        """
        known = self._current.get(event_id)
        if known is None:
            known = self._previous.get(event_id)
            self._current[event_id] = known or self.file
            if len(self._current) >= self._capacity:
                self._previous, self._current = self._current, {}
        if known is not None and known > self.file:
            name = one_line(event_id)
            raise OutOfPlace(f"{self.file[1]}: contains {name}, which was read from {known[1]}")
        return known is not None
