"""Runs queries in a thread, so that Ctrl-C works whatever DuckDB is doing.

A single function call in DuckDB, such as the edit distance of two long strings, can take any time,
and neither a signal nor DuckDB's own interrupt stops it. So it runs in a thread of its own, and the
main thread stays responsive.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import duckdb

INTERRUPTION_SECONDS = 1.0  # time for a query to stop once its command is interrupted


class Fetched(NamedTuple):
    """The columns of a query, as names and types, and its rows."""

    columns: list[tuple[str, str]]
    rows: Sequence[tuple[Any, ...]]


class Queries:
    """The queries of a connection, one at a time.

    Attributes:
        are_abandoned: True if a query could not be interrupted and still runs in its thread.
    """

    def __init__(self) -> None:
        self.are_abandoned = False

    def fetch(
        self,
        connection: "duckdb.DuckDBPyConnection",
        sql: str,
        values: dict[str, Any] | None,
        *,
        seconds: float | None = None,
        most: int = 0,
    ) -> Fetched:
        """Run a query and return its first rows.

        Args:
            connection: The connection.
            sql: The query.
            values: Parameter values by name.
            seconds: Time limit after which the query is interrupted; None for no limit.
            most: Maximum number of rows.

        Raises:
            duckdb.Error: The query cannot be run, or was interrupted.
            KeyboardInterrupt: The command was interrupted.
        """
        answer: Future[Fetched] = Future()
        arguments = answer, connection, sql, values, most
        # If it is abandoned, `end_for_certain` kills it with the process.
        thread = threading.Thread(target=_answer, args=arguments, name="query of the lake")
        thread.start()
        try:
            with suppress(TimeoutError):
                return answer.result(seconds)
            connection.interrupt()
            return answer.result()
        except KeyboardInterrupt:
            self.are_abandoned = True
            connection.interrupt()
            wait([answer], INTERRUPTION_SECONDS)
            self.are_abandoned = not answer.done()
            raise
        finally:
            if not self.are_abandoned:
                thread.join()

    def close(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Close the connection, unless that would wait for a query that was abandoned."""
        if not self.are_abandoned:
            connection.close()


def _answer(
    answer: "Future[Fetched]",
    connection: "duckdb.DuckDBPyConnection",
    sql: str,
    values: dict[str, Any] | None,
    most: int,
) -> None:
    try:
        cursor = connection.execute(sql, values)
        rows = cursor.fetchmany(most) if most else []
        columns = [(column[0], str(column[1])) for column in cursor.description or ()]
        answer.set_result(Fetched(columns, rows))
    except BaseException as error:  # raised again in the waiting thread
        answer.set_exception(error)
