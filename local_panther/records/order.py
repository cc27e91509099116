"""Puts records in order of time and recognises duplicates, both in bounded memory."""

import heapq
from collections.abc import Iterable, Iterator, Sequence

from local_panther.records.model import Record, Tally

BUFFER_RECORDS = 20_000
BUFFER_BYTES = 128 * 1024 * 1024
REMEMBERED_IDS = 200_000

Rank = tuple[float, tuple[str, ...], int]  # time, what sorts as its file does, sequence
FIRST: Rank = (float("-inf"), (), 0)


def in_time_order(
    records: Iterable[Record],
    tally: Tally,
    size: int = BUFFER_RECORDS,
    size_bytes: int = BUFFER_BYTES,
) -> Iterator[Record]:
    """Yield records in order of eventTime.

    Holds `size` records at a time, or fewer if they are large. One that comes after a later record
    has left the buffer is handed on at once and counted as late.

    Args:
        records: In order of reading.
        tally: Counts late records.
        size: Records to hold, each with its JSON.
        size_bytes: Bytes of JSON to hold.
    """
    buffer = TimeBuffer(tally, size, size_bytes)
    for record in records:
        yield from buffer.add(record)
    yield from buffer.rest()


class TimeBuffer:
    """Holds records back until no earlier one is expected; see `in_time_order`.

    Attributes:
        settled: The rank of the latest record that has left by `until`: its time, file and
            sequence.
    """

    def __init__(
        self, tally: Tally, size: int = BUFFER_RECORDS, size_bytes: int = BUFFER_BYTES
    ) -> None:
        self._tally = tally
        self._size = size
        self._size_bytes = size_bytes
        self._heap: list[tuple[Rank, Record]] = []
        self._bytes = 0
        self.settled = FIRST
        self._newest = float("-inf")  # time of a record that has left

    def __len__(self) -> int:
        """Return the number of records that are held."""
        return len(self._heap)

    def add(self, record: Record, file: tuple[str, ...] = ()) -> Iterator[Record]:
        """Take a record and yield those that leave.

        Args:
            record: The record.
            file: What sorts as its file does among those of the same time; nothing if all come in
                the order of reading.
        """
        heapq.heappush(self._heap, ((record.time, file, record.sequence), record))
        self._bytes += len(record.raw)
        while len(self._heap) > self._size or (
            self._bytes > self._size_bytes and len(self._heap) > 1
        ):
            _, record = self._pop()
            self._tally.late += record.time < self._newest
            self._newest = max(self._newest, record.time)
            yield record

    def until(self, time: float) -> Iterator[Record]:
        """Yield the records until a time, in seconds since 1970, which leave."""
        while self._heap and self._heap[0][0][0] <= time:
            self.settled, record = self._pop()
            self._newest = max(self._newest, record.time)
            yield record

    def rest(self) -> Iterator[Record]:
        """Yield all that are held, which leave."""
        while self._heap:
            yield self._pop()[1]

    def _pop(self) -> "tuple[Rank, Record]":
        rank, record = heapq.heappop(self._heap)
        self._bytes -= len(record.raw)
        return rank, record


class RecentIds:
    """Remembers the last eventIDs, at least `capacity` and at most twice as many of them."""

    def __init__(self, capacity: int = REMEMBERED_IDS) -> None:
        self._capacity = capacity
        self._current: set[str] = set()
        self._previous: set[str] = set()

    def take_new(self, event_ids: Sequence[str]) -> bool:
        """Remember some IDs and return True, if it is clear that none was seen before.

        Returns:
            False if it is not: then nothing has been remembered.
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
