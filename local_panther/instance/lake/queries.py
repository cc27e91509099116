"""Queries of the lake that clients start, look after and cancel."""

import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from local_panther.errors import FieldError
from local_panther.instance.lake.process import LakeProcess
from local_panther.lake.reading import Rows

RUNNING, SUCCEEDED, FAILED, CANCELLED = "running", "succeeded", "failed", "cancelled"
QUERY_SECONDS = 60.0
AT_A_TIME = 2
MAX_RUNNING = 20  # with those that wait
MAX_REMEMBERED = 100
MAX_RESULT_BYTES = 128 * 1024 * 1024  # of all queries that are remembered
MAX_SQL = 100_000  # characters

Tables = dict[str, dict[str, list[tuple[str, str]]]]


@dataclass
class LakeQuery:
    """A query and what became of it.

    Attributes:
        database: Where tables are that it names without one.
        started: When it was asked for, in seconds since 1970, and `completed` when it ended.
        message: How it went.
        found: Its rows, None until they are there or once they are no longer kept.
        process: What it runs in, while it does.
    """

    sql: str
    database: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = RUNNING
    message: str = "the query is running"
    started: float = field(default_factory=time.time)
    completed: float | None = None
    found: Rows | None = None
    process: LakeProcess | None = field(default=None, repr=False)


class TooManyQueriesError(Exception):
    """So many queries run that no further one is taken."""


class LakeQueries:
    """Runs queries, a few at a time, and remembers the latest."""

    def __init__(
        self,
        databases: Callable[[], Path | None],
        render: Callable[[str], str] = str,
        seconds: float = QUERY_SECONDS,
    ) -> None:
        """Take where the lake is.

        Args:
            databases: Returns the folder of its databases, None while there is none.
            render: Returns what a query becomes that is a template; raises FieldError if it is
                invalid.
            seconds: How long one query may take.
        """
        self._databases = databases
        self._render = render
        self._seconds = seconds
        self._queries: OrderedDict[str, LakeQuery] = OrderedDict()
        self._lock = threading.Lock()
        self._workers = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="lake")
        self._idle: list[LakeProcess] = []
        self._tables: tuple[Path, Tables] | None = None
        self._closed = False

    def close(self) -> None:
        """End what runs and close the databases."""
        self._closed = True
        for query in list(self._queries.values()):
            self.cancel(query)
        self._workers.shutdown(cancel_futures=True)
        self.let_go()

    def let_go(self) -> None:
        """Close the databases of earlier replays, which no query reads now."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.close()

    def tables(self) -> Tables:
        """Return the tables of the lake as the latest replay left it; none before the first one.

        Raises:
            FieldError: They cannot be read.
        """
        folder = self._databases()
        if folder is None:
            return {}
        known = self._tables
        if known is None or known[0] != folder:
            process = self._taken(folder)
            self._tables = known = folder, process.tables
            self._give_back(process)
        return known[1]

    def _taken(self, folder: Path) -> LakeProcess:
        """Return a process for the databases in a folder that nobody else uses."""
        with self._lock:
            for process in self._idle:
                if process.folder == folder:
                    self._idle.remove(process)
                    return process
        return LakeProcess(folder)

    def _give_back(self, process: LakeProcess) -> None:
        """Keep a process for the next query, if it can answer one."""
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
            TooManyQueriesError: Too many run already.
        """
        query = LakeQuery(sql, database)
        with self._lock:
            running = sum(known.status == RUNNING for known in self._queries.values())
            if running >= MAX_RUNNING:
                raise TooManyQueriesError(f"{running} queries run already; wait or cancel one")
            self._queries[query.id] = query
            self._forget()
        self._workers.submit(self._run, query)
        return query

    def get(self, query_id: str) -> LakeQuery | None:
        """Return a query, None if it is not remembered."""
        return self._queries.get(query_id)

    def all(self) -> list[LakeQuery]:
        """Return what is remembered, the latest first."""
        return list(reversed(self._queries.values()))

    def cancel(self, query: LakeQuery) -> bool:
        """Cancel a query and return whether it was running."""
        return self._end(query, CANCELLED, "the query was cancelled")

    def _end(self, query: LakeQuery, status: str, message: str, found: Rows | None = None) -> bool:
        with self._lock:
            if query.status != RUNNING:
                return False
            query.found, query.message, query.completed = found, message, time.time()
            query.status = status
            process = query.process
        if process and found is None:
            process.end()  # nothing else ends a call of DuckDB for certain
        return True

    def _run(self, query: LakeQuery) -> None:
        try:
            self._end(query, *self._outcome(query))
        except FieldError as error:
            self._end(query, FAILED, str(error))
        except Exception as error:
            logging.exception("a query of the lake failed")
            self._end(query, FAILED, f"{type(error).__name__}: {error}")

    def _outcome(self, query: LakeQuery) -> tuple[str, str, Rows | None]:
        if len(query.sql) > MAX_SQL:
            raise FieldError(f"the query has more than {MAX_SQL:,} characters")
        folder = self._databases()
        if folder is None:
            raise FieldError("no replay has filled the lake yet")
        text = self._render(query.sql)
        process = self._taken(folder)
        with self._lock:
            query.process = process
            if query.status != RUNNING:  # it was cancelled meanwhile
                process.end()
        limit = threading.Timer(self._seconds, self._stop, [query])
        limit.daemon = True
        limit.start()
        try:
            found = process.ask(text, query.database)
        finally:
            limit.cancel()
            with self._lock:
                query.process = None
            self._give_back(process)
        count = f"{len(found.rows):,} rows"
        more = "; there are more, which a LIMIT or a narrower WHERE leaves out" if found.cut else ""
        return SUCCEEDED, f"{count}{more}", found

    def _stop(self, query: LakeQuery) -> None:
        self._end(query, FAILED, f"took more than {self._seconds:g} s and was stopped")

    def _forget(self) -> None:
        """Forget the oldest queries that have ended, and the results of more of them."""
        ended = [query for query in self._queries.values() if query.status != RUNNING]
        for query in ended[: max(0, len(self._queries) - MAX_REMEMBERED)]:
            del self._queries[query.id]
        kept = 0
        for query in reversed(ended):
            kept += query.found.size if query.found else 0
            if kept > MAX_RESULT_BYTES:
                query.found = None
