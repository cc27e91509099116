"""Queries of the lake that clients start, poll and cancel."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from local_panther.errors import FieldError
from local_panther.instance.jobs import Job, Jobs
from local_panther.instance.lake.process import LakeProcess
from local_panther.lake.reading import Rows

RUNNING, SUCCEEDED, FAILED, CANCELLED = "running", "succeeded", "failed", "cancelled"
QUERY_SECONDS = 60.0
AT_A_TIME = 2
MAX_RUNNING = 20  # including those that wait
MAX_REMEMBERED = 100
MAX_RESULT_BYTES = 128 * 1024 * 1024  # of all queries that are remembered
MAX_SQL = 100_000  # characters

Tables = dict[str, dict[str, list[tuple[str, str]]]]


@dataclass
class QueryOutcome:
    """The outcome of a query.

    Attributes:
        status: SUCCEEDED, FAILED or CANCELLED.
        message: The number of rows, or why there are none.
        found: Its rows; None if it has none, or they are no longer kept.
    """

    status: str
    message: str
    found: Rows | None = None


@dataclass(eq=False)
class LakeQuery(Job[QueryOutcome]):
    """A query.

    Attributes:
        database: The database of tables that the query names without one.
        process: The process that runs it, while it runs.
    """

    sql: str
    database: str
    process: LakeProcess | None = field(default=None, repr=False)

    @property
    def status(self) -> str:
        """RUNNING, SUCCEEDED, FAILED or CANCELLED."""
        return self.outcome.status if self.outcome else RUNNING

    @property
    def message(self) -> str:
        """The state or outcome of the query in words."""
        return self.outcome.message if self.outcome else "the query is running"

    @property
    def found(self) -> Rows | None:
        """The rows; None until they exist and once they are no longer kept."""
        return self.outcome.found if self.outcome else None


class LakeQueries:
    """Runs queries, a few at a time, and remembers the latest."""

    def __init__(
        self,
        databases: Callable[[], Path | None],
        render: Callable[[str], str] = str,
        seconds: float = QUERY_SECONDS,
    ) -> None:
        """Prepare to run queries.

        Args:
            databases: Returns the folder of the lake's databases, None while there is none.
            render: Returns the SQL of a query that is a template; raises FieldError if it is
                invalid.
            seconds: Time limit of a query.
        """
        self._databases = databases
        self._render = render
        self._seconds = seconds
        self._jobs: Jobs[LakeQuery] = Jobs(
            "queries",
            _failed,
            workers=AT_A_TIME,
            most_running=MAX_RUNNING,
            most_remembered=MAX_REMEMBERED,
        )
        self._lock = threading.Lock()  # of the idle processes, and of each query's process
        self._idle: list[LakeProcess] = []
        self._tables: tuple[Path, Tables] | None = None
        self._closed = False

    def close(self) -> None:
        """Cancel all queries and close the databases."""
        self._closed = True
        self._jobs.close(self.cancel)
        self.let_go()

    def let_go(self) -> None:
        """Close the idle processes, so that the databases of an earlier replay can be removed."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.close()

    def tables(self) -> Tables:
        """Return the tables of the lake, by database; none before the first replay.

        Raises:
            FieldError: The lake cannot be read.
        """
        folder = self._databases()
        if folder is None:
            return {}
        known = self._tables
        if known is None or known[0] != folder:
            process = self._process_for(folder)
            self._tables = known = folder, process.tables
            self._give_back(process)
        return known[1]

    def _process_for(self, folder: Path) -> LakeProcess:
        """Return an idle process for the databases in a folder, or a new one."""
        with self._lock:
            for process in self._idle:
                if process.folder == folder:
                    self._idle.remove(process)
                    return process
        return LakeProcess(folder)

    def _give_back(self, process: LakeProcess) -> None:
        """Keep a process for the next query, or close it if it cannot answer one."""
        current = self._databases()
        with self._lock:
            is_wanted = not (self._closed or process.is_ended) and process.folder == current
            if is_wanted and len(self._idle) < AT_A_TIME:
                self._idle.append(process)
                return
        process.close()

    def start(self, sql: str, database: str) -> LakeQuery:
        """Start a query.

        Raises:
            JobRefusedError: Too many queries run already.
        """
        query = LakeQuery(sql, database)
        self._jobs.start(query, lambda: self._run(query))
        self._drop_old_results()
        return query

    def get(self, query_id: str) -> LakeQuery | None:
        """Return a query, None if it is not remembered."""
        return self._jobs.poll(query_id)

    def all(self) -> list[LakeQuery]:
        """Return the remembered queries, the latest first."""
        return self._jobs.latest()

    def cancel(self, query: LakeQuery) -> bool:
        """Cancel a query and return whether it was running."""
        return self._stop(query, QueryOutcome(CANCELLED, "the query was cancelled"))

    def _stop(self, query: LakeQuery, outcome: QueryOutcome) -> bool:
        if not self._jobs.cancel(query, outcome):
            return False
        with self._lock:
            if query.process:
                query.process.end()  # nothing else is sure to end a call of DuckDB
        return True

    def _run(self, query: LakeQuery) -> QueryOutcome:
        try:
            found = self._rows(query)
        except FieldError as error:
            return QueryOutcome(FAILED, str(error))
        count = f"{len(found.rows):,} rows"
        more = "; there are more, which a LIMIT or a narrower WHERE leaves out" if found.cut else ""
        return QueryOutcome(SUCCEEDED, f"{count}{more}", found)

    def _rows(self, query: LakeQuery) -> Rows:
        if len(query.sql) > MAX_SQL:
            raise FieldError(f"the query has more than {MAX_SQL:,} characters")
        folder = self._databases()
        if folder is None:
            raise FieldError("no replay has filled the lake yet")
        text = self._render(query.sql)
        process = self._process_for(folder)
        with self._lock:
            query.process = process
            if not query.is_running:  # cancelled in the meantime
                process.end()
        too_long = QueryOutcome(FAILED, f"took more than {self._seconds:g} s and was stopped")
        limit = threading.Timer(self._seconds, self._stop, [query, too_long])
        limit.daemon = True
        limit.start()
        try:
            return process.ask(text, query.database)
        finally:
            limit.cancel()
            with self._lock:
                query.process = None
            self._give_back(process)

    def _drop_old_results(self) -> None:
        """Keep the rows of the latest queries, up to MAX_RESULT_BYTES in total."""
        size = 0
        for query in self._jobs.latest():
            size += query.found.size if query.found else 0
            if size > MAX_RESULT_BYTES and query.outcome:
                query.outcome.found = None


def _failed(error: Exception) -> QueryOutcome:
    return QueryOutcome(FAILED, f"{type(error).__name__}: {error}")
