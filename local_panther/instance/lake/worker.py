"""Answers queries of the lake, in a process that can be killed at any time.

    python -P -m local_panther.instance.lake.worker DATABASES

One call of DuckDB can take any time and much more memory than DuckDB's own limit counts, and only
killing the process is sure to end it. Each line of standard input is a query, each line of standard
output its outcome, as JSON; the first line of output holds the tables.
"""

import json
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb

from local_panther.errors import FieldError, one_line
from local_panther.lake.ad_hoc import prepare, with_line
from local_panther.lake.reading import LakeReader, fetch
from local_panther.processes import end_with_parent
from local_panther.times import sql_timestamp

MEMORY_BYTES = 2 * 1024**3  # of address space; DuckDB's own limit is 512 MB of buffers
TOO_MUCH = f"the query needs more than {MEMORY_BYTES >> 30} GB of memory"


def main() -> None:
    """Answer queries until standard input ends."""
    end_with_parent()
    with suppress(OSError, ValueError):  # macOS does not support it
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    try:
        reader = LakeReader(Path(sys.argv[1]))
    except duckdb.Error as error:
        _write({"error": one_line(error)})
        return
    try:
        _write(reader.tables)
        for line in sys.stdin:
            _write(_answer(reader, *json.loads(line)))
    finally:
        reader.close()


def _answer(reader: LakeReader, text: str, database: str) -> dict[str, Any]:
    try:
        sql = prepare(text, database, reader.tables)
        values = {"now": sql_timestamp(time.time())} if "$now" in sql else None
        with reader.cursor() as cursor:
            return {"found": vars(fetch(cursor, sql, values))}
    except FieldError as error:
        return {"error": str(error)}
    except (MemoryError, duckdb.OutOfMemoryException):
        return {"error": TOO_MUCH}
    except duckdb.Error as error:
        return {"error": with_line(str(error), text)}
    except RecursionError:
        return {"error": "the query is nested too deeply"}


def _write(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
