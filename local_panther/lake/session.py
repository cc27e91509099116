"""What every connection to the lake begins with."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from local_panther.errors import ContentError, Problem

if TYPE_CHECKING:
    import duckdb

NOW = "CAST($now AS TIMESTAMP)"  # the time of the run, in a query in DuckDB's dialect
UNUSABLE = "?*\\"  # DuckDB reads patterns and options of its own in them


def check_path(path: Path) -> None:
    """Refuse a folder for databases whose path DuckDB takes for something else.

    Raises:
        ContentError: It has such a character.
    """
    found = sorted({character for character in str(path) if character in UNUSABLE})
    if found:
        reason = f"databases cannot be in a folder with {' '.join(found)} in its path"
        raise ContentError([Problem(str(path), f"{reason}; name another one")])


def quoted(path: Path | str) -> str:
    """Return a path as a text of SQL."""
    return "'" + str(path).replace("'", "''") + "'"


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
