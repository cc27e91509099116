"""Runs scheduled queries on their schedules, and passes their rows to scheduled rules."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from local_panther.content.model import (
    Content,
    EventNames,
    PythonRule,
    Query,
    includes,
    united,
)
from local_panther.content.schedule import Schedule
from local_panther.detection.clock import EventClock
from local_panther.detection.running import run_rule
from local_panther.detection.signals import Signal
from local_panther.errors import FieldError, RunErrors
from local_panther.lake.lake import Lake, QueryFailed
from local_panther.lake.preparing import PROVEN
from local_panther.lake.windows import Gate, Needs, Sight, windows_of
from local_panther.remembered import found_before, remembered
from local_panther.times import iso

BATCH_RUNS = 2048  # number of a query's waiting runs at which they are executed
MIN_GATED_RUNS = 32  # for fewer waiting runs, the gate would cost as much as the query
BATCH_BYTES = 64 * 1024 * 1024  # most bytes of records kept in the lake for waiting runs
MAX_RUNS_BETWEEN = 50_000  # more runs of a query between two records mean a wrong clock
# Kinds of results about queries in the cache on disk
TRANSLATED = "translated for runs"
GATE = "gate"
READS_ADDED = "reads added fields"
ORDERED = "ordered"

MAX_TIME_OUTS = 3  # after this many, a query is not run again


@dataclass
class _Run:
    """A run of a query whose rows are needed.

    Attributes:
        time: The time of the run, in seconds since 1970.
        until: The time until which later runs see the same records.
        gate: The time of the earliest run that sees the same records in the gate's windows.
        rows: Its rows or error; None until the query has been run.
    """

    time: float
    until: float
    gate: float
    rows: list[dict[str, Any]] | QueryFailed | None = None


@dataclass
class _Job:
    """A scheduled query and the rules for its rows.

    Attributes:
        query: The query.
        schedule: When it runs.
        sql: The query in DuckDB's dialect.
        rules: The rules that get its rows.
        sight: The records that it can see.
        next_run: Seconds since 1970; infinity until the first record has arrived.
        waiting: Runs that are due, in order.
        time_outs: Number of runs that took too long.
        tried: True once the query has been run, or is known to run without errors. Until then its
            first run must not be skipped, as it shows errors.
    """

    query: Query
    schedule: Schedule
    sql: str
    rules: list[PythonRule]
    sight: Sight
    next_run: float = math.inf
    waiting: list[_Run] = field(default_factory=list)
    time_outs: int = 0
    tried: bool = False

    @property
    def without_rows(self) -> list[_Run]:
        """The waiting runs whose rows have not been queried yet."""
        return [run for run in self.waiting if run.rows is None]

    @cached_property
    def is_ordered(self) -> bool:
        """True if the query has an ORDER BY; otherwise DuckDB chooses the order of its rows."""
        return bool(found_before(ORDERED, self.query.text, self._find_order))

    def _find_order(self) -> bool:
        return self.query.sql.args.get("order") is not None

    @cached_property
    def gate(self) -> Gate | None:
        """A cheaper query that has a row whenever this one can have any; None if none is known."""
        needs = self.sight.windows.needs
        if not (needs.gate and self.sight.windows.repeatable):
            return None
        return Gate(*found_before(GATE, self.query.text, lambda: _gate(self.query, needs)))


class ScheduledQueries:
    """The scheduled queries that have a rule.

    A query runs at each time of its schedule, from the first record until the first run after the
    last record has arrived, whether there are new records or not. Every row of every run goes to
    its rules. The time of a signal is that of the run.

    Runs are executed together, because DuckDB takes as long for a hundred as for one; each sees
    only the records that had arrived by its time. A run that sees the same records as the one
    before has the same rows and is not executed; neither is a run that cannot have rows.
    """

    def __init__(
        self, content: Content, lake: Lake, errors: RunErrors, clock: EventClock | None = None
    ) -> None:
        """Prepare the scheduled queries of some content.

        Args:
            content: The content with queries and scheduled rules.
            lake: The lake that the queries read.
            errors: Collects errors of queries and rules.
            clock: Set to the time of the run while rules get its rows.
        """
        self._lake = lake
        self._errors = errors
        self._clock = clock or EventClock()
        self._jobs: list[_Job] = []
        steps = {step.rule_id for rule in content.correlation_rules for step in rule.logic.steps}
        for query in content.queries.values():
            rules = [
                scheduled.rule
                for scheduled in content.scheduled_rules
                if query.name in scheduled.query_names
            ]
            if not query.schedule or not rules:
                continue
            try:
                sql = found_before(TRANSLATED, query.text, partial(_translated, query))
            except FieldError as error:
                errors.add(query.name, "", str(error))
                continue
            sight = Sight(windows_of(query))
            job = _Job(query, query.schedule, sql, rules, sight)
            job.tried = remembered(PROVEN, query.text) is not None
            self._jobs.append(job)
        # A correlation rule needs its signals in time, so runs must not wait for others.
        ids = {rule.metadata.rule_id for job in self._jobs for rule in job.rules}
        self._batch = 1 if ids & steps else BATCH_RUNS
        self._due = -math.inf  # the earliest `next_run` of all jobs
        self._worked_off_at = 0  # bytes added to the lake when the waiting runs were last executed

    @property
    def event_names(self) -> EventNames:
        """The eventNames of records that any of the queries can see."""
        return united(job.query.event_names for job in self._jobs)

    @property
    def read_added_fields(self) -> bool:
        """True if any query reads fields that Panther adds to a record, other than its times."""
        return any(
            found_before(READS_ADDED, job.query.text, partial(_reads_added, job.query))
            for job in self._jobs
        )

    @cached_property
    def sees_failures_first(self) -> bool:
        """True if each query has a gate that only calls with an error can pass.

        Then records can stay unread in the lake.
        """
        gates = [job.gate for job in self._jobs]
        return bool(gates) and all(gate is not None and bool(gate.of_failures) for gate in gates)

    @property
    def horizon(self) -> float:
        """The earliest event time that later runs can see; -infinity for any, infinity for none."""
        return min((_sees_from(job) for job in self._jobs), default=math.inf)

    @property
    def next_run(self) -> float:
        """The time of the earliest outstanding run, in seconds since 1970; infinity for none."""
        return min(map(_next_run, self._jobs), default=math.inf)

    def note(self, event_name: str, time: float) -> None:
        """Record that the lake has a new record, by its eventName and event time."""
        for job in self._jobs:
            if includes(job.query.event_names, event_name):
                job.sight.note(time)

    def is_due(self, now: float) -> bool:
        """Return whether `advance` has anything to do."""
        return self._due < now or self._is_full

    @property
    def _is_full(self) -> bool:
        return self._lake.added_bytes - self._worked_off_at >= BATCH_BYTES

    def advance(self, now: float) -> Iterator[Signal]:
        """Add the runs that are due before a time to the waiting runs.

        Once enough runs wait, execute all of them and yield a signal for each match.
        """
        for job in self._jobs:
            if job.next_run == math.inf:
                job.next_run = job.schedule.next_run(now)
            self._collect(job, now)
        self._due = min((job.next_run for job in self._jobs), default=math.inf)
        if any(len(job.waiting) >= (1 if self._is_full else self._batch) for job in self._jobs):
            yield from self._work_off()

    def finish(self, now: float) -> Iterator[Signal]:
        """Execute the runs that are due, and for each query one run at or after the end."""
        for job in self._jobs:
            if job.next_run < math.inf:
                self._collect(job, max(now, job.next_run) + 1e-3)
        yield from self._work_off()

    def _collect(self, job: _Job, now: float) -> None:
        """Add the runs of a query that are due before a time to its waiting runs.

        Runs that lack a record they need are left out, and so are those that see the same records
        as the last waiting run.
        """
        sight = job.sight
        while job.next_run < now:
            run = job.next_run
            following = job.schedule.next_run(run + 1)
            latest = job.waiting[-1] if job.waiting else None
            if (latest or job.tried) and sight.lacks_need(run):
                until = max(following, min(sight.lacks_need_until(run), now))
                sight.forget(run)
                sight.changed = True  # the last waiting run may have seen other records
                job.next_run = job.schedule.next_run(until)
                continue
            if latest is None or not sight.is_same(latest.time, run):
                gate_window = sight.windows.needs.gate_window
                gate = run
                if latest and latest.rows is None and sight.is_same(latest.time, run, gate_window):
                    gate = latest.gate
                sight.forget(run)
                sight.changed = False
                latest = _Run(run, run, gate)
                job.waiting.append(latest)
            until = max(following, min(sight.same_until(run), now))
            latest.until = until
            job.next_run = job.schedule.next_run(until)

    def ask(self, at_least: int = 1) -> None:
        """Query the rows of the waiting runs now, before they are passed to rules.

        The rows would be the same later, as all records that had arrived by these runs are stored.

        Args:
            at_least: Skip queries with fewer waiting runs, as DuckDB takes as long for a hundred
                runs as for one.
        """
        for job in self._jobs:
            if len(job.without_rows) >= at_least:
                self._ask(job)

    def _ask(self, job: _Job) -> None:
        if job.time_outs >= MAX_TIME_OUTS:
            return
        pending = job.without_rows
        found = self._lake.runs(job.sql, self._possible(job, pending))
        for run in pending:
            rows = found.get(run.time, [])
            if isinstance(rows, list) and len(rows) > 1 and not job.is_ordered:
                rows = sorted(rows, key=_sortable)
            run.rows = rows

    def _possible(self, job: _Job, runs: list[_Run]) -> list[float]:
        """Return the times of the runs that can have rows."""
        times = [run.time for run in runs]
        use_gate = len(times) >= MIN_GATED_RUNS or (times and self._lake.has_unread)
        if job.gate and use_gate:
            passed = self._lake.passed(job.gate, sorted({run.gate for run in runs}))
            times = [run.time for run in runs if run.gate in passed]
            if not job.tried and runs[0].time not in times:
                self._try_out(job, runs[0].time)
        job.tried = job.tried or bool(times)
        return times

    def _try_out(self, job: _Job, time: float) -> None:
        """Run a query, although it cannot have rows, to find its errors."""
        found = self._lake.try_out(job.sql, time)
        job.tried = True
        if isinstance(found, QueryFailed):
            job.time_outs += found.timed_out
            self._errors.add(job.query.name, f"run at {iso(time)}", found.message)

    def _times(self, job: _Job, run: _Run) -> Iterator[float]:
        """Yield the time of a run and those of later runs that see the same records."""
        time, count = run.time, 0
        while time < run.until or time == run.time:
            yield time
            time, count = job.schedule.next_run(time + 1), count + 1
            if count == MAX_RUNS_BETWEEN and time < run.until:
                message = (
                    f"no record arrived until {iso(run.until)}: its runs until then are left out"
                )
                self._errors.add(job.query.name, f"run at {iso(time)}", message)
                return

    def _work_off(self) -> Iterator[Signal]:
        """Query the rows of the waiting runs, and pass them to the rules in order of time."""
        self._worked_off_at = self._lake.added_bytes
        due: list[tuple[float, int, list[dict[str, Any]]]] = []
        for number, job in enumerate(self._jobs):
            self._ask(job)
            for run in job.waiting:
                rows = run.rows
                if isinstance(rows, QueryFailed):
                    job.time_outs += rows.timed_out
                    self._errors.add(job.query.name, f"run at {iso(run.time)}", rows.message)
                elif rows:
                    due += [(time, number, rows) for time in self._times(job, run)]
            job.waiting.clear()  # so that the next run queries again
        for time, number, rows in sorted(due, key=lambda run: run[:2]):
            job = self._jobs[number]
            where = f"a row of {job.query.name}"
            with self._clock.at(time):
                for row in map(_event, rows):
                    for rule in job.rules:
                        if signal := run_rule(rule, row, time, where, self._errors):
                            yield signal


def _sortable(row: dict[str, Any]) -> str:
    return json.dumps(row, default=str)


def _event(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as the event of a rule, without p_any_ fields that are null.

    Panther's own helpers copy every p_any_ field of an event (low confidence).
    """
    return {k: v for k, v in row.items() if v is not None or not k.startswith("p_any_")}


def _translated(query: Query) -> str:
    from local_panther.lake.dialect import transpile_sql

    return transpile_sql(query.sql, arrived=True)


def _gate(query: Query, needs: Needs) -> Gate:
    from local_panther.lake.gates import gate_for

    return gate_for(query.sql, needs)


def _reads_added(query: Query) -> bool:
    from local_panther.lake.needs import reads_added_fields

    return reads_added_fields(query.sql)


def _next_run(job: _Job) -> float:
    return job.waiting[0].time if job.waiting else job.next_run


def _sees_from(job: _Job) -> float:
    reach = job.sight.windows.reach
    if reach is None:
        return -math.inf
    pending = job.without_rows
    return (pending[0].time if pending else job.next_run) - reach
