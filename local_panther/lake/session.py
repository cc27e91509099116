"""Settings that connections to the lake have in common."""

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from local_panther.errors import ContentError, Problem

if TYPE_CHECKING:
    import duckdb

NOW = "CAST($now AS TIMESTAMP)"  # the time of the run, in a query in DuckDB's dialect
UNUSABLE = "?*\\"  # DuckDB takes these for patterns or options in a path
MEMORY_LIMIT = "512MB"  # for one connection; beyond it DuckDB uses the disk
THREADS = 2  # each needs memory of its own

MACRO = re.compile(r"^(?=CREATE MACRO )", re.MULTILINE)  # in functions.sql
MACRO_NAME = re.compile(r"\bsf_\w+")


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


def begin(connection: "duckdb.DuckDBPyConnection", *, functions: bool = True) -> None:
    """Set the time zone of a connection to UTC, and add the functions of Snowflake to it.

    Args:
        connection: The connection.
        functions: Add all functions, which takes 40 ms; with `NeededFunctions`, it is less.
    """
    connection.execute("SET enable_progress_bar = false")  # it writes to standard output
    connection.execute("SET GLOBAL TimeZone = 'UTC'")  # for its cursors too
    if functions:
        connection.execute("".join(macro.text for macro in _macros().values()))


class NeededFunctions:
    """The functions of Snowflake that the queries of one connection need, added as they do."""

    def __init__(self) -> None:
        self._added: set[str] = set()

    def add(self, connection: "duckdb.DuckDBPyConnection", sql: str) -> None:
        """Add the functions that a query names, and those that they call."""
        macros = _macros()
        waiting = [name for name in set(MACRO_NAME.findall(sql.lower())) if name in macros]
        missing = set[str]()
        while waiting:
            name = waiting.pop()
            if name not in self._added | missing:
                missing.add(name)
                waiting += macros[name].calls
        if missing:  # each is defined after those that it calls
            connection.execute("".join(macros[name].text for name in macros if name in missing))
            self._added |= missing


class _Macro(NamedTuple):
    """The statement that creates a macro, and the names of the macros that it calls."""

    text: str
    calls: frozenset[str]


@lru_cache
def _macros() -> dict[str, _Macro]:
    text = Path(__file__).with_name("functions.sql").read_text(encoding="utf-8")
    statements = MACRO.split(text)[1:]  # the first part is a comment
    found = {MACRO_NAME.findall(each)[0]: each for each in statements}
    return {
        name: _Macro(each, frozenset(MACRO_NAME.findall(each)) & found.keys() - {name})
        for name, each in found.items()
    }
