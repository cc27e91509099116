"""Settings that connections to the lake have in common."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from local_panther.errors import ContentError, Problem

if TYPE_CHECKING:
    import duckdb

NOW = "CAST($now AS TIMESTAMP)"  # the time of the run, in a query in DuckDB's dialect
UNUSABLE = "?*\\"  # DuckDB takes these for patterns or options in a path
MEMORY_LIMIT = "512MB"  # for one connection; beyond it DuckDB uses the disk
THREADS = 2  # each needs memory of its own


def check_path(path: Path) -> None:
    """Refuse a folder for databases whose path DuckDB would misread.

    Raises:
        ContentError: The path contains such a character.
    """
    found = sorted({character for character in str(path) if character in UNUSABLE})
    if found:
        reason = f"databases cannot be in a folder with {' '.join(found)} in its path"
        raise ContentError([Problem(str(path), f"{reason}; choose another one")])


def quoted(path: Path | str) -> str:
    """Return a path as an SQL string."""
    return "'" + str(path).replace("'", "''") + "'"


def begin(connection: "duckdb.DuckDBPyConnection") -> None:
    """Add the functions of Snowflake to a connection, and set its time zone to UTC."""
    connection.execute("SET enable_progress_bar = false")  # it writes to standard output
    connection.execute("SET GLOBAL TimeZone = 'UTC'")  # for its cursors too
    connection.execute(_macros())


@lru_cache
def _macros() -> str:
    return Path(__file__).with_name("functions.sql").read_text(encoding="utf-8")
