"""Reads CloudTrail files into one stream of the records that rules may want, each once."""

from collections.abc import Generator, Iterable, Iterator
from itertools import compress

from local_panther.records.event_times import EventTimes
from local_panther.records.model import Record, Tally
from local_panther.records.order import RecentIds
from local_panther.records.pool import processes
from local_panther.records.s3 import S3
from local_panther.records.scan import PassedOver, Scan
from local_panther.records.selection import Selection
from local_panther.records.workers import Places, scans
from local_panther.times import ALWAYS, Period


class Reader:
    """A reader of files into one stream of records.

    The result does not depend on the number of workers: they scan files, and their results are
    joined here in the order of the files.

    Args:
        wanted: The eventNames that some rule may want; None for all.
        tally: Collects counts and problems.
        workers: Number of processes that scan files.
        cluster: The address of a Dask scheduler whose workers scan instead; "" for none.
        s3: Opens files in S3.
        keep_repeated: Yield records whose eventID was seen before; they are counted either way.
        period: Yield only records in this period.
        selection: The records and fields that a query can need; None for all. Other wanted records
            are counted but not yielded.
        with_added: Have the workers compute the fields that Panther adds. Otherwise `Record.event`
            computes them.

    Attributes:
        latest_passed: The time of the latest record that was counted but not yielded, in seconds
            since 1970; 0 before the first.
    """

    def __init__(
        self,
        wanted: frozenset[str] | None,
        tally: Tally,
        workers: int = 1,
        *,
        cluster: str = "",
        s3: S3 | None = None,
        keep_repeated: bool = False,
        period: Period = ALWAYS,
        selection: Selection | None = None,
        with_added: bool = True,
    ) -> None:
        self.latest_passed = 0.0
        self._selection = selection
        self._with_added = with_added
        self._times = EventTimes()
        self._keep_repeated = keep_repeated
        self._period = period
        self._wanted = wanted
        self._tally = tally
        tally.period = period
        self._s3 = s3 or S3()
        self._places = _cluster(cluster) if cluster else processes(workers, self._s3)
        self._ids = RecentIds()

    def read(self, files: Iterable[str]) -> Generator[Record]:
        """Yield the wanted records of all files in the order of reading, repeated ones if kept."""
        found = scans(
            files,
            self._wanted,
            self._s3,
            self._places,
            self._selection,
            with_added=self._with_added,
        )
        for scan in found:
            yield from self._records(scan)

    def _records(self, scan: Scan) -> Iterator[Record]:
        tally = self._tally
        tally.add(scan.tally)
        is_limited = self._period != ALWAYS
        for found in scan.records:
            if isinstance(found, PassedOver):
                self._count(found)
                continue
            if is_limited and found.time not in self._period:
                tally.outside += 1
                continue
            if found.event_id is not None and self._ids.is_repeated(found.event_id):
                tally.duplicates += 1
                if not self._keep_repeated:
                    continue
            tally.wanted += 1
            yield found

    def _count(self, passed: PassedOver) -> None:
        """Count records that were passed over as if they had been yielded."""
        tally, (times, ids) = self._tally, passed
        if self._period != ALWAYS:
            inside = [self._times.read(time) in self._period for time in times]
            tally.outside += inside.count(False)
            times, ids = list(compress(times, inside)), list(compress(ids, inside))
        if not self._ids.add_if_new([event_id for event_id in ids if event_id is not None]):
            new = [event_id is None or not self._ids.is_repeated(event_id) for event_id in ids]
            tally.duplicates += new.count(False)
            times = times if self._keep_repeated else list(compress(times, new))
        tally.wanted += len(times)
        if times:  # the texts of the times sort in order of time
            self.latest_passed = max(self.latest_passed, self._times.read(max(times)) or 0.0)


def _cluster(address: str) -> Places:
    from local_panther.records.cluster import cluster  # imported late: few runs use a cluster

    return cluster(address)
