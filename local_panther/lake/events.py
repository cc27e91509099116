"""Reads records of the lake back as the events that rules get."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_panther.lake.columns import LAKE_TABLE
from local_panther.lake.reading import LakeReader
from local_panther.records.panther_fields import normalised_time

BATCH_EVENTS = 1000


def stored_events(databases: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield the records of the lake in order of arrival, in batches.

    The events have the fields that the lake has columns for: those that CloudTrail documents and
    those that Panther adds.

    Args:
        databases: The folder of the lake's databases.

    Raises:
        duckdb.Error: The records cannot be read.
    """
    reader = LakeReader(databases)
    try:
        with reader.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {LAKE_TABLE}")  # DuckDB keeps the order of insertion
            columns = [(column[0], str(column[1])) for column in cursor.description or ()]
            while rows := cursor.fetchmany(BATCH_EVENTS):
                yield [_event(row, columns) for row in rows]
    finally:
        reader.close()


def _event(row: tuple[Any, ...], columns: list[tuple[str, str]]) -> dict[str, Any]:
    event: dict[str, Any] = {}
    for (name, kind), value in zip(columns, row, strict=True):
        if value is None:
            continue
        if kind == "JSON":
            value = json.loads(value)
        elif isinstance(value, datetime):
            value = normalised_time(value.replace(tzinfo=UTC).timestamp())
        event[name] = value
    return event
