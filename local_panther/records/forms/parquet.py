"""Reads tables as parquet, with DuckDB: exports of Athena and CloudTrail Lake."""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import duckdb

from local_panther.errors import one_line
from local_panther.records.containers import Skip, Source, UnreadableFile, copied
from local_panther.records.forms.columns import Columns
from local_panther.records.forms.csv import read_rows, report_missing
from local_panther.records.forms.json_values import parse_json
from local_panther.records.forms.parsing import REFUSED_FORM, RecordBatch
from local_panther.records.forms.recognise import has_record

BATCH_ROWS = 1000
MEMORY_LIMIT = "512MB"
# Older writers of Hive, Impala and Spark do not mark byte arrays as text.
TABLE = "read_parquet(?, binary_as_string = true)"


def read_parquet(source: Source, skip: Skip) -> Iterator[list[RecordBatch]]:
    """Yield the rows of a table as batches of records.

    Raises:
        UnreadableFile: The file is broken; everything readable was yielded before.
    """
    # One thread only, as this process may still fork workers.
    config: Any = {
        "threads": 1,
        "memory_limit": MEMORY_LIMIT,
        "autoinstall_known_extensions": False,
    }
    with _path(source) as path, duckdb.connect(config=config) as connection:
        try:
            described = connection.execute(f"DESCRIBE FROM {TABLE}", [path]).fetchall()
            names = [column[0] for column in described]
            columns = Columns(names)
            # As JSON, so that times and nested values of all types can be parsed.
            connection.execute(f"SELECT to_json(t) FROM {TABLE} t", [path])
            rows = _rows(connection)
            first = next(rows, [])
            if columns.refused:
                skip(source.name, REFUSED_FORM, columns.refused)
            elif columns.is_cloudtrail or any(map(has_record, first)):
                report_missing(columns, source.name, skip)
                yield from _batches(itertools.chain([first], rows), columns, source.name, skip)
            else:
                skip(source.name, REFUSED_FORM, f"parquet with columns {', '.join(names)[:200]}")
        except duckdb.Error as error:
            raise UnreadableFile(f"broken parquet: {one_line(error)}") from error


def _rows(connection: duckdb.DuckDBPyConnection) -> Iterator[list[Any]]:
    while rows := connection.fetchmany(BATCH_ROWS):
        yield [parse_json(row[0]) for row in rows]


def _batches(
    rows: Iterator[list[Any]], columns: Columns, name: str, skip: Skip
) -> Iterator[list[RecordBatch]]:
    first = 1
    for batch in rows:
        yield [read_rows(batch, columns, name, first, skip)]
        first += len(batch)


@contextlib.contextmanager
def _path(source: Source) -> Iterator[str]:
    if not source.packing and source.stream.seekable():
        yield source.stream.name
        return
    with copied(source) as copy:
        yield str(copy)
