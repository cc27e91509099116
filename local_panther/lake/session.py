"""What every connection to the lake begins with."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

NOW = "CAST($now AS TIMESTAMP)"  # the time of the run, in a query in DuckDB's dialect


def begin(connection: "duckdb.DuckDBPyConnection") -> None:
    """Give a connection the functions of Snowflake, and a session as an instance has it.

    Its time zone is UTC, whatever that of the machine is.
    """
    connection.execute("SET enable_progress_bar = false")  # it writes to standard output
    connection.execute("SET GLOBAL TimeZone = 'UTC'")  # for its cursors too
    connection.execute(_macros())


@lru_cache
def _macros() -> str:
    return Path(__file__).with_name("functions.sql").read_text(encoding="utf-8")
