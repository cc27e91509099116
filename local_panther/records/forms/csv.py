"""Reads tables as CSV: exports of Athena, CloudTrail Lake and the console's Event history."""

from __future__ import annotations

import csv
import io
import itertools
import re
from typing import TYPE_CHECKING, Any

from local_panther.records.containers import BROKEN, Skip, Source, UnreadableFile
from local_panther.records.forms.columns import Columns
from local_panther.records.forms.notation import NotationError
from local_panther.records.forms.parsing import REFUSED_FORM, RecordBatch
from local_panther.records.forms.payloads import MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

BATCH_ROWS = 1000
DELIMITERS = ",;\t|"
BEFORE_HEADER = ("#", "sep=")  # PowerShell's #TYPE, and a delimiter for spreadsheets
TOO_FEW_COLUMNS = "table without columns that rules read"
MAX_LINE_CHARACTERS = 64 * 1024 * 1024
MAX_FIELD_CHARACTERS = 16 * 1024 * 1024


def is_csv(head: bytes) -> bool:
    """Return whether a file begins with CloudTrail's columns, or has a record in a cell."""
    lines = _after_remarks(head.decode("utf-8-sig", errors="replace").split("\n"))
    header = next(lines, "")
    delimiter = _delimiter(header)
    try:
        names = next(csv.reader([header], delimiter=delimiter), [])
    except csv.Error:
        return False
    columns = Columns(names)
    if columns.is_cloudtrail or columns.refused:
        return True
    return all(NAME.fullmatch(name.strip()) for name in names) and _has_records(
        names, lines, delimiter
    )


def _has_records(names: Sequence[str], lines: Iterable[str], delimiter: str) -> bool:
    """Return whether a cell of the first row is a record; the head may end inside it."""
    try:
        row = next(csv.reader(lines, delimiter=delimiter), [])
    except csv.Error:
        return False
    return len(row) <= len(names) and any(
        cell.lstrip().startswith("{") and MARK.search(cell) for cell in row
    )


NAME = re.compile(r"[\w.@:\[\]{} -]{1,200}")


def read_csv(source: Source, skip: Skip) -> Iterator[list[RecordBatch]]:
    """Yield the rows of a table as batches of records.

    Raises:
        UnreadableFile: The file is broken; everything readable was yielded before.
    """
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    text = io.TextIOWrapper(source.stream, "utf-8-sig", errors="replace", newline="")
    try:
        lines = _after_remarks(_lines(text))
        header = next(lines)
        rows = csv.DictReader(itertools.chain([header], lines), delimiter=_delimiter(header))
        columns = Columns(rows.fieldnames or ())
        if columns.refused:
            skip(source.name, REFUSED_FORM, columns.refused)
            return
        report_missing(columns, source.name, skip)
        first = 1
        while batch := list(itertools.islice(rows, BATCH_ROWS)):
            yield [read_rows(batch, columns, source.name, first, skip)]
            first += len(batch)
    except csv.Error as error:
        raise UnreadableFile(f"broken CSV: {error}") from error
    except BROKEN as error:
        raise UnreadableFile(f"broken {source.packing or 'file'}: {error}") from error
    finally:
        text.detach()


def read_rows(
    rows: Sequence[Mapping[str, Any]], columns: Columns, name: str, first: int, skip: Skip
) -> RecordBatch:
    """Return the records of rows; rows of unknown columns are returned as they are.

    Args:
        rows: Values by column.
        columns: The columns.
        name: The file.
        first: Number of the first row.
        skip: Called for each row with an object in an unknown notation.
    """
    records: list[Any] = []
    numbers: list[int] = []
    for number, row in enumerate(rows, first):
        row = {column: value for column, value in row.items() if column is not None}
        try:
            records.append(columns.record(row) if columns.is_cloudtrail else row)
            numbers.append(number)
        except NotationError as error:
            skip(f"{name}, row {number}", REFUSED_FORM, str(error))
    return RecordBatch(records, lambda index: f"{name}, row {numbers[index]}")


def report_missing(columns: Columns, name: str, skip: Skip) -> None:
    """Report columns that a table lacks and rules need."""
    if columns.missing:
        missing = ", ".join(columns.missing)
        advice = "its records are read, but rules that need them cannot match; export all columns"
        skip(name, TOO_FEW_COLUMNS, f"{missing}: {advice}, or the records as JSON")


def _delimiter(header: str) -> str:
    return max(DELIMITERS, key=header.count)


def _after_remarks(lines: Iterable[str]) -> Iterator[str]:
    """Yield the header and the rows, without the remarks that some programs write before them."""
    return itertools.dropwhile(lambda line: line.startswith(BEFORE_HEADER), lines)


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(MAX_LINE_CHARACTERS):
        if len(line) == MAX_LINE_CHARACTERS:
            raise UnreadableFile(f"a line of more than {MAX_LINE_CHARACTERS >> 20} MB")
        yield line
