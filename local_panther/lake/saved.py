"""Runs a saved query over recorded CloudTrail."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from local_panther.content.saved_queries import SavedQuery
from local_panther.content.sql import scanned_event_names
from local_panther.errors import FieldError, one_line
from local_panther.lake.dialect import transpiled, written
from local_panther.lake.lake import QUERY_SECONDS, Lake, TooManyRowsError
from local_panther.lake.selecting import needed_columns, selection_of
from local_panther.records.files import find_files
from local_panther.records.model import Tally
from local_panther.records.reader import Reader
from local_panther.records.s3 import s3_for
from local_panther.times import ALWAYS, Period


@dataclass(frozen=True)
class Answer:
    """What a query found.

    Attributes:
        rows: By the names of its columns.
        tally: What was read.
        refused: Number of records that could not be stored.
        reasons: Why.
    """

    rows: list[dict[str, Any]]
    tally: Tally
    refused: int
    reasons: str = ""

    @property
    def complete(self) -> bool:
        """True if everything was read."""
        return not (self.tally.skipped or self.refused)


def run_saved(
    query: SavedQuery,
    paths: Sequence[str],
    values: Mapping[str, str],
    watch: Callable[[Tally, int], None] | None = None,
    *,
    workers: int = 1,
    cluster: str = "",
    period: Period = ALWAYS,
    requester_pays: bool = False,
) -> Answer:
    """Run a query as a person runs it in the console, at the end of what was recorded.

    Args:
        query: The query.
        paths: Files and folders of CloudTrail.
        values: Of its parameters, by name.
        watch: Called now and then with the counts so far and the number of files.
        workers: Processes that look through files.
        cluster: The address of a Dask scheduler whose workers do that instead; "" for none.
        period: Only records that happened in it are there.
        requester_pays: Accept to pay for requests to buckets that ask for it.

    Raises:
        ContentError: The query cannot be run over CloudTrail.
        QueryError: It fails.
        UnusableCluster: There is no such cluster, or it has no worker that can be used.
    """
    tally = Tally()
    names = scanned_event_names(query.sql)
    try:
        translated = transpiled(query.sql, values)
        sql = written(translated)
    except FieldError as error:
        raise QueryError(f"{query.name}: {one_line(error)}") from error
    columns = needed_columns(translated)
    with s3_for(paths, requester_pays=requester_pays) as s3, Lake(columns=columns) as lake:
        files = find_files(paths, tally, s3, period)
        latest = 0.0
        reader = Reader(
            names,
            tally,
            workers,
            cluster=cluster,
            s3=s3,
            period=period,
            selection=selection_of(translated),
        )
        for record in reader.read(_watched(files, tally, watch) if watch else files):
            lake.add(record)
            latest = max(latest, record.time)
        try:
            rows = lake.query(sql, max(latest, reader.latest_passed) + 1)
        except duckdb.InterruptException as error:
            raise QueryError(f"{query.name}: took more than {QUERY_SECONDS:.0f} s") from error
        except (duckdb.Error, TooManyRowsError) as error:
            raise QueryError(f"{query.name}: {one_line(error)}") from error
        return Answer(rows, tally, lake.refused, "; ".join(lake.reasons))


def _watched(
    files: Sequence[str], tally: Tally, watch: Callable[[Tally, int], None]
) -> Iterator[str]:
    """Yield files, and tell of the progress as they are taken, whatever is found in them."""
    for path in files:
        watch(tally, len(files))
        yield path


class QueryError(Exception):
    """A query that cannot be answered; the message says why."""
