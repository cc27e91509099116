"""Tables as CSV: exports of Athena, CloudTrail Lake and the console's Event history."""

from __future__ import annotations

import csv
import io
import itertools
from typing import TYPE_CHECKING

from local_panther.records.containers import BROKEN, Skip, Source, UnreadableFile
from local_panther.records.forms.columns import Columns
from local_panther.records.parsing import RecordBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH_ROWS = 1000
DELIMITERS = ",;\t"
MAX_LINE_CHARACTERS = 64 * 1024 * 1024
MAX_FIELD_CHARACTERS = 16 * 1024 * 1024


def is_csv(head: bytes) -> bool:
    """Return whether a file begins with a header of CloudTrail's columns."""
    header = head.decode("utf-8-sig", errors="replace").partition("\n")[0]
    try:
        names = next(csv.reader([header], delimiter=_delimiter(header)), [])
    except csv.Error:
        return False
    return Columns(names).is_cloudtrail


def read_csv(source: Source, skip: Skip) -> Iterator[list[RecordBatch]]:
    """Yield the rows of a table as batches of records.

    Raises:
        UnreadableFile: After everything that could be read was yielded.
    """
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    text = io.TextIOWrapper(source.stream, "utf-8-sig", errors="replace", newline="")
    try:
        lines = _lines(text)
        header = next(lines)
        rows = csv.DictReader(itertools.chain([header], lines), delimiter=_delimiter(header))
        columns = Columns(rows.fieldnames or ())
        first = 1
        while batch := [columns.record(row) for row in itertools.islice(rows, BATCH_ROWS)]:
            yield [_batch(batch, source.name, first)]
            first += len(batch)
    except csv.Error as error:
        raise UnreadableFile(f"broken CSV: {error}") from error
    except BROKEN as error:
        raise UnreadableFile(f"broken {source.packing or 'file'}: {error}") from error
    finally:
        text.detach()


def _batch(records: list[object], name: str, first: int) -> RecordBatch:
    return RecordBatch(records, lambda index: f"{name}, row {first + index}")


def _delimiter(header: str) -> str:
    return max(DELIMITERS, key=header.count)


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(MAX_LINE_CHARACTERS):
        if len(line) == MAX_LINE_CHARACTERS:
            raise UnreadableFile(f"a line of more than {MAX_LINE_CHARACTERS >> 20} MB")
        yield line
