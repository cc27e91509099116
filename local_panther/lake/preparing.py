"""Checks queries against an empty lake, so that an invalid one fails before it is needed.

This takes longer than loading the rest of a repository. So valid queries are cached, by their text
and by the code of this package.
"""

import contextlib
import logging
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from local_panther.content.queries import QueryCheck
from local_panther.errors import FieldError
from local_panther.imports import LazyModule
from local_panther.lake.columns import create_table
from local_panther.lake.session import MEMORY_LIMIT, begin
from local_panther.lake.waiting import Queries
from local_panther.remembered import remember, remembered

if TYPE_CHECKING:
    import duckdb
    from sqlglot import exp
else:
    duckdb = LazyModule("duckdb")

PREPARED = "prepared"
PROVEN = "runs over no records"
PROOF_SECONDS = 2.0


@contextlib.contextmanager
def empty_lake() -> Iterator[QueryCheck]:
    """Yield a check that raises an error for a query that DuckDB cannot prepare."""
    preparer = _Preparer()
    try:
        yield preparer
    finally:
        preparer.close()


class _Preparer:
    """An empty lake, created when the first query needs it."""

    def __init__(self) -> None:
        self._new: dict[str, str] = {}
        self._queries = Queries()

    def knows(self, text: str) -> bool:
        """Return whether a query with this text has passed the check before."""
        return text in self._new or remembered(PREPARED, text) is not None

    def check(self, query: "exp.Query", text: str) -> None:
        """Prepare a query, and note whether it also runs without errors over no records.

        Raises:
            FieldError: The query cannot be run.
        """
        if self.knows(text):
            return
        from local_panther.lake.dialect import transpile_sql

        sql = transpile_sql(query)
        values = {"now": "2026-01-05"} if "$now" in sql else None
        try:  # which also prepares it
            self._queries.fetch(self._connection, sql, values, seconds=PROOF_SECONDS)
        except duckdb.Error as unproven:  # for example a division by the number of records
            try:
                self._queries.fetch(self._connection, f"EXPLAIN {sql}", values)
            except duckdb.Error as error:
                raise FieldError(str(error).strip().splitlines()[0]) from error
            logging.debug("not proven: %s", unproven)
        else:
            remember(PROVEN, {text: ""})
        self._new[text] = ""

    @cached_property
    def _connection(self) -> "duckdb.DuckDBPyConnection":
        # A single thread, because workers may be forked later.
        connection = duckdb.connect(config={"threads": 1, "memory_limit": MEMORY_LIMIT})
        begin(connection)
        connection.execute("ATTACH ':memory:' AS panther_logs")
        connection.execute("CREATE SCHEMA panther_logs.public")
        connection.execute(create_table())
        connection.execute("SET enable_external_access = false")
        return connection

    def close(self) -> None:
        """Close the lake, and cache the valid queries."""
        if "_connection" in vars(self):
            self._queries.close(self._connection)
        remember(PREPARED, self._new)
