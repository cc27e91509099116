"""Waits for queries so that Ctrl-C is noticed, whatever DuckDB is at.

One call of DuckDB can take any time, as for the distance of two long texts, and neither a signal
nor its own interrupt ends it: it runs in another thread, and the command's own stays free.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import duckdb

INTERRUPTION_SECONDS = 1.0  # that a query has to end in once its command is interrupted


class Fetched(NamedTuple):
    """The columns of a query, as names and types, and its rows."""

    columns: list[tuple[str, str]]
    rows: Sequence[tuple[Any, ...]]


class Queries:
    """The queries of a connection, one at a time.

    Attributes:
        are_abandoned: True once one goes on that nobody waits for, to the end of the process.
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
            connection: Where to run it.
            sql: The query.
            values: Of its parameters, by name.
            seconds: After which it is interrupted; None for no such limit.
            most: Number of rows.

        Raises:
            duckdb.Error: It cannot be run, or it was interrupted.
            KeyboardInterrupt: The command was.
        """
        answer: Future[Fetched] = Future()
        arguments = answer, connection, sql, values, most
        # Ended by `end_for_certain` if it is abandoned
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
    except BaseException as error:  # raised where it is waited for
        answer.set_exception(error)
