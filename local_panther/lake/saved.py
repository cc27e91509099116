"""Runs a saved query over recorded CloudTrail."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from local_panther.content.saved_queries import SavedQuery
from local_panther.content.sql import scanned_event_names
from local_panther.errors import FieldError, one_line
from local_panther.lake.dialect import transpiled, written
from local_panther.lake.lake import QUERY_SECONDS, Lake, TooManyRowsError
from local_panther.lake.selecting import needed_columns, selection_of
from local_panther.records.model import Tally
from local_panther.records.trail import Trail


@dataclass(frozen=True)
class Answer:
    """The answer of a query.

    Attributes:
        rows: The rows, each by column name.
        tally: The counts of what was read.
        refused: Number of records that could not be stored.
        reasons: The reasons for that.
    """

    rows: list[dict[str, Any]]
    tally: Tally
    refused: int
    reasons: str = ""

    @property
    def complete(self) -> bool:
        """True if all records were read and stored."""
        return not (self.tally.skipped or self.refused)


def run_saved(query: SavedQuery, trail: Trail, values: Mapping[str, str]) -> Answer:
    """Run a query as a person would in the console, just after the last record.

    Args:
        query: The query.
        trail: The records.
        values: Parameter values by name.

    Raises:
        ContentError: The query cannot be run over CloudTrail.
        QueryError: The query fails.
        UnusableCluster: The cluster does not exist or has no usable worker.
    """
    tally = Tally()
    names = scanned_event_names(query.sql)
    try:
        translated = transpiled(query.sql, values)
        sql = written(translated)
    except FieldError as error:
        raise QueryError(f"{query.name}: {one_line(error)}") from error
    columns = needed_columns(translated)
    with trail.opened(tally) as opened, Lake(columns=columns) as lake:
        latest = 0.0
        reader = opened.reader(names, selection=selection_of(translated))
        for record in reader.read(opened.taken()):
            lake.add(record)
            latest = max(latest, record.time)
        try:
            rows = lake.query(sql, max(latest, reader.latest_passed) + 1)
        except duckdb.InterruptException as error:
            raise QueryError(f"{query.name}: took more than {QUERY_SECONDS:.0f} s") from error
        except (duckdb.Error, TooManyRowsError) as error:
            raise QueryError(f"{query.name}: {one_line(error)}") from error
        return Answer(rows, tally, lake.refused, "; ".join(lake.reasons))


class QueryError(Exception):
    """A query failed; the message says why."""
