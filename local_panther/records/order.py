"""Puts records in order of time and recognises duplicates, both in bounded memory."""

import heapq
from collections.abc import Iterable, Iterator, Sequence

from local_panther.records.model import Record, Tally

BUFFER_RECORDS = 20_000
BUFFER_BYTES = 128 * 1024 * 1024
REMEMBERED_IDS = 200_000


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
    heap: list[Record] = []
    newest, held = float("-inf"), 0
    for record in records:
        heapq.heappush(heap, record)
        held += len(record.raw)
        while len(heap) > size or (held > size_bytes and len(heap) > 1):
            record = heapq.heappop(heap)
            held -= len(record.raw)
            tally.late += record.time < newest
            newest = max(newest, record.time)
            yield record
    while heap:
        yield heapq.heappop(heap)


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
