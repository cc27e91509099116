"""The recorded CloudTrail of a command: its place, its period, and how to read it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from local_panther.records.files import find_files
from local_panther.records.model import Tally
from local_panther.records.reader import Reader
from local_panther.records.s3 import S3, s3_for
from local_panther.records.selection import Selection
from local_panther.times import ALWAYS, Period

if TYPE_CHECKING:
    from local_panther.content.log_schema import LogSchema
    from local_panther.records.json_lines import JsonLines

Watch = Callable[[Tally, int], None]  # called with the counts so far and the number of files


@dataclass(frozen=True)
class Trail:
    """The place of records, and how to read them; the results depend on paths and period only.

    Attributes:
        paths: Files and folders of CloudTrail, `s3://bucket/prefix`, "-" for standard input.
        period: Only records in this period are read.
        workers: Number of processes that scan files.
        cluster: The address of a Dask scheduler whose workers scan instead; "" for none.
        requester_pays: Accept charges for requester-pays buckets.
        watch: Called for each file before it is read.
    """

    paths: Sequence[str]
    period: Period = ALWAYS
    workers: int = 1
    cluster: str = ""
    requester_pays: bool = False
    watch: Watch | None = None

    def opened(self, tally: Tally) -> "OpenTrail":
        """Return the trail with its connection to S3; call it before content gets a fake AWS.

        Args:
            tally: Collects counts and problems.
        """
        return OpenTrail(self, tally, s3_for(self.paths, requester_pays=self.requester_pays))


class OpenTrail:
    """A trail that is being read, as a context manager that ends its threads.

    Attributes:
        tally: The counts and problems so far.
    """

    def __init__(self, trail: Trail, tally: Tally, s3: S3) -> None:
        self.tally = tally
        self._trail = trail
        self._s3 = s3

    @cached_property
    def files(self) -> list[str]:
        """The paths and URLs of all files to read, in order."""
        return find_files(self._trail.paths, self.tally, self._s3, self._trail.period)

    def taken(self) -> Iterator[str]:
        """Yield the files to read, and call `watch` for each."""
        for path in self.files:
            if self._trail.watch:
                self._trail.watch(self.tally, len(self.files))
            yield path

    def reader(
        self,
        wanted: frozenset[str] | None,
        *,
        keep_repeated: bool = False,
        selection: Selection | None = None,
        with_added: bool = True,
    ) -> Reader:
        """Return a reader of CloudTrail, for the files of `taken`.

        Args:
            wanted: The wanted eventNames; None for all.
            keep_repeated: Yield records whose eventID was seen before.
            selection: The wanted records and fields that are needed; None for all.
            with_added: Have the workers compute the fields that Panther adds.
        """
        trail = self._trail
        return Reader(
            wanted,
            self.tally,
            trail.workers,
            cluster=trail.cluster,
            s3=self._s3,
            keep_repeated=keep_repeated,
            period=trail.period,
            selection=selection,
            with_added=with_added,
        )

    def json_lines(self, schema: "LogSchema", *, keep_repeated: bool = False) -> "JsonLines":
        """Return a reader of another log type, for the files of `taken`.

        Args:
            schema: The log type.
            keep_repeated: Yield events whose line was seen before.
        """
        from local_panther.records.json_lines import JsonLines  # imported late: few runs need it

        period = self._trail.period
        return JsonLines(schema, self.tally, self._s3, period, keep_repeated=keep_repeated)

    def __enter__(self) -> "OpenTrail":
        """Return itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End the threads."""
        self._s3.close()
