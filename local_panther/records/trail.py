"""Recorded CloudTrail that a command reads: where it lies, which part of it, and how."""

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

Watch = Callable[[Tally, int], None]  # gets the counts so far and the number of files


@dataclass(frozen=True)
class Trail:
    """Where records are, and how they are read; what is found does not depend on the latter.

    Attributes:
        paths: Files and folders of CloudTrail, `s3://bucket/prefix`, "-" for standard input.
        period: Only records that happened in it count.
        workers: Processes that look through files.
        cluster: The address of a Dask scheduler whose workers do that instead; "" for none.
        requester_pays: Accept to pay for requests to buckets that ask for it.
        watch: Is called with each file that is taken.
    """

    paths: Sequence[str]
    period: Period = ALWAYS
    workers: int = 1
    cluster: str = ""
    requester_pays: bool = False
    watch: Watch | None = None

    def opened(self, tally: Tally) -> "OpenTrail":
        """Return the trail with its connection to S3, before content gets a fake AWS.

        Args:
            tally: Takes the counts and problems.
        """
        return OpenTrail(self, tally, s3_for(self.paths, requester_pays=self.requester_pays))


class OpenTrail:
    """A trail that is being read; as a context manager it ends its threads.

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
        """Yield the files, and tell of each as it is taken, whatever is found in it."""
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
        """Return what reads CloudTrail's records from `taken`.

        Args:
            wanted: The eventNames that are wanted; None for all.
            keep_repeated: Yield a record again whose eventID was seen before.
            selection: What is needed of wanted records; None for all.
            with_added: Have the workers make the fields that Panther adds.
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
        """Return what reads events of another log type from `taken`.

        Args:
            schema: The log type.
            keep_repeated: Yield an event again whose line was there before.
        """
        from local_panther.records.json_lines import JsonLines  # few runs have one

        period = self._trail.period
        return JsonLines(schema, self.tally, self._s3, period, keep_repeated=keep_repeated)

    def __enter__(self) -> "OpenTrail":
        """Return itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End the threads."""
        self._s3.close()
