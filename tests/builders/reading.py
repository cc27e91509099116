"""Reads files of records as a replay does."""

import json
from pathlib import Path
from typing import Any

from local_panther.records.files import find_files
from local_panther.records.model import Record, Tally
from local_panther.records.reader import Reader
from tests.builders.events import START, call


def listings(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Return calls of ListRoles, one each second, with the IDs event-0, event-1 and so on.

    Args:
        count: Number of calls.
        start: Number of the first call.
    """
    numbers = range(start, start + count)
    return [call("ListRoles", time=START + i, eventID=f"event-{i}") for i in numbers]


def read(*paths: Path, wanted: frozenset[str] | None = None) -> tuple[list[Record], Tally]:
    """Return the records of files and folders, and the tally of the reading."""
    tally = Tally()
    return list(Reader(wanted, tally).read(find_files(map(str, paths), tally))), tally


def read_ids(*paths: Path, wanted: frozenset[str] | None = None) -> tuple[list[str], Tally]:
    """Return the event IDs of the records of files and folders, and the tally of the reading."""
    found, tally = read(*paths, wanted=wanted)
    return [json.loads(record.raw)["eventID"] for record in found], tally
