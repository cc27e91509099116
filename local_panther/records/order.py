"""Sorts records by time and recognises duplicates, both in bounded memory."""

import heapq
from collections.abc import Iterable, Iterator, Sequence

from local_panther.records.model import Record, Tally

BUFFER_RECORDS = 20_000
BUFFER_BYTES = 128 * 1024 * 1024
REMEMBERED_IDS = 200_000

Rank = tuple[float, tuple[str, ...]]  # time, sort key of the file
FIRST: Rank = (float("-inf"), ())


def in_time_order(
    records: Iterable[Record],
    tally: Tally,
    size: int = BUFFER_RECORDS,
    size_bytes: int = BUFFER_BYTES,
) -> Iterator[Record]:
    """Yield records in order of eventTime.

    At most `size` records are held at a time, fewer if they are large. If a later record has left
    the buffer already, a record is yielded at once and counted as late.

    Args:
        records: Records in order of reading.
        tally: Counts late records.
        size: Largest number of records to hold.
        size_bytes: Largest size of their JSON, in bytes.
    """
    buffer = TimeBuffer(tally, size, size_bytes)
    for record in records:
        yield from buffer.add(record)
    yield from buffer.rest()


class TimeBuffer:
    """A buffer that holds records until no earlier one is expected; see `in_time_order`.

    Attributes:
        settled: The rank of the latest record that `until` has yielded: its time and file.
    """

    def __init__(
        self, tally: Tally, size: int = BUFFER_RECORDS, size_bytes: int = BUFFER_BYTES
    ) -> None:
        self._tally = tally
        self._size = size
        self._size_bytes = size_bytes
        # time, file and number of each record; the number breaks ties in order of reading
        self._heap: list[tuple[float, tuple[str, ...], int, Record]] = []
        self._added = 0
        self._bytes = 0
        self.settled = FIRST
        self._newest = float("-inf")  # latest time of a record that has left the buffer

    def __len__(self) -> int:
        """Return the number of records in the buffer."""
        return len(self._heap)

    def add(self, record: Record, file: tuple[str, ...] = ()) -> Iterator[Record]:
        """Add a record and yield those that no longer fit.

        Args:
            record: The record.
            file: Sort key of its file, for records of equal time; empty if records are added in
                order of reading.
        """
        self._added += 1
        heapq.heappush(self._heap, (record.time, file, self._added, record))
        self._bytes += len(record.raw)
        while len(self._heap) > self._size or (
            self._bytes > self._size_bytes and len(self._heap) > 1
        ):
            _, record = self._pop()
            self._tally.late += record.time < self._newest
            self._newest = max(self._newest, record.time)
            yield record

    def until(self, time: float) -> Iterator[Record]:
        """Remove and yield the records up to a time, in seconds since 1970, inclusive."""
        while self._heap and self._heap[0][0] <= time:
            self.settled, record = self._pop()
            self._newest = max(self._newest, record.time)
            yield record

    def rest(self) -> Iterator[Record]:
        """Remove and yield all records."""
        while self._heap:
            yield self._pop()[1]

    def _pop(self) -> tuple[Rank, Record]:
        time, file, _, record = heapq.heappop(self._heap)
        self._bytes -= len(record.raw)
        return (time, file), record


class RecentIds:
    """The latest eventIDs: at least `capacity` of them, and at most twice as many."""

    def __init__(self, capacity: int = REMEMBERED_IDS) -> None:
        self._capacity = capacity
        self._current: set[str] = set()
        self._previous: set[str] = set()

    def add_if_new(self, event_ids: Sequence[str]) -> bool:
        """Remember some IDs in one step, if none of them was seen before.

        Returns:
            True if they were remembered; False if one may have been seen, or if there are too many
            to add in one step. The caller must then check each ID.
        """
        fresh = set(event_ids)
        are_new = (
            len(fresh) == len(event_ids) < self._capacity - len(self._current)
            and self._current.isdisjoint(fresh)
            and self._previous.isdisjoint(fresh)
        )
        if are_new:
            self._current |= fresh
        return are_new

    def is_repeated(self, event_id: str) -> bool:
        """Return whether an ID was seen before, and remember it."""
        if event_id in self._current:
            return True
        self._current.add(event_id)
        repeated = event_id in self._previous
        if len(self._current) >= self._capacity:
            self._previous, self._current = self._current, set()
        return repeated
