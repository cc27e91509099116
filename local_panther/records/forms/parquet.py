"""Tables as parquet: exports of Athena and CloudTrail Lake; DuckDB reads them."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import duckdb

from local_panther.errors import one_line
from local_panther.records.containers import Skip, Source, UnreadableFile, copied
from local_panther.records.forms.columns import Columns
from local_panther.records.forms.recognise import OCSF
from local_panther.records.parsing import REFUSED_FORM, RecordBatch

BATCH_ROWS = 1000
MEMORY_LIMIT = "512MB"
# Older writers of Hive, Impala and Spark leave out that a byte array is text.
TABLE = "read_parquet(?, binary_as_string = true)"


def read_parquet(source: Source, skip: Skip) -> Iterator[list[RecordBatch]]:
    """Yield the rows of a table as batches of records.

    Raises:
        UnreadableFile: After everything that could be read was yielded.
    """
    # With one thread: this process may still fork workers.
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
            if columns.is_ocsf:
                skip(source.name, REFUSED_FORM, OCSF)
            elif not columns.is_cloudtrail:
                skip(source.name, REFUSED_FORM, f"parquet with columns {', '.join(names)[:200]}")
            else:
                # As JSON, in which times and nested values of any type are text that json reads.
                connection.execute(f"SELECT to_json(t) FROM {TABLE} t", [path])
                yield from _rows(connection, columns, source.name)
        except duckdb.Error as error:
            raise UnreadableFile(f"broken parquet: {one_line(error)}") from error


def _rows(
    rows_of: duckdb.DuckDBPyConnection, columns: Columns, name: str
) -> Iterator[list[RecordBatch]]:
    first = 1
    while rows := rows_of.fetchmany(BATCH_ROWS):
        records = [columns.record(json.loads(row[0])) for row in rows]
        yield [_batch(records, name, first)]
        first += len(records)


def _batch(records: list[Any], name: str, first: int) -> RecordBatch:
    return RecordBatch(records, lambda index: f"{name}, row {first + index}")


@contextlib.contextmanager
def _path(source: Source) -> Iterator[str]:
    if not source.packing and source.stream.seekable():
        yield source.stream.name
        return
    with copied(source) as copy:
        yield str(copy)
