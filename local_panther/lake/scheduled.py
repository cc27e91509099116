"""Scheduled queries and the rules that get their rows."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from local_panther.content.model import (
    Content,
    EventNames,
    PythonRule,
    Query,
    includes,
    united,
)
from local_panther.content.schedule import Schedule
from local_panther.detection.running import run_rule
from local_panther.detection.signals import Signal
from local_panther.errors import RunErrors, one_line
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.lake import Lake


@dataclass
class _Job:
    """A scheduled query and the rules for its rows.

    Attributes:
        query: The query.
        schedule: When it runs.
        sql: The query in DuckDB's dialect.
        rules: The rules that get its rows.
        next_run: Seconds since 1970; infinity while no run is due.
    """

    query: Query
    schedule: Schedule
    sql: str
    rules: list[PythonRule]
    next_run: float = math.inf


class ScheduledQueries:
    """The scheduled queries that have a rule.

    A query runs at each time of its schedule that follows new records; a run without any would find
    what the one before it found. The time of a signal is that of the run.
    """

    def __init__(self, content: Content, lake: Lake, errors: RunErrors) -> None:
        """Prepare the scheduled queries of some content.

        Args:
            content: Its queries and scheduled rules.
            lake: What the queries read.
            errors: Takes what goes wrong in queries and rules.
        """
        self._lake = lake
        self._errors = errors
        self._clock = -math.inf  # time of the latest run
        self._jobs: list[_Job] = []
        for query in content.queries.values():
            rules = [
                scheduled.rule
                for scheduled in content.scheduled_rules
                if query.name in scheduled.query_names
            ]
            if query.schedule and rules:
                self._jobs.append(_Job(query, query.schedule, transpile_sql(query.sql), rules))

    @property
    def event_names(self) -> EventNames:
        """The eventNames of records that any of the queries can see."""
        return united(job.query.event_names for job in self._jobs)

    def note(self, event_name: str, time: float) -> None:
        """Take note that the lake has a new record; a late one is for a run still to come."""
        for job in self._jobs:
            if job.next_run == math.inf and includes(job.query.event_names, event_name):
                job.next_run = job.schedule.next_run(max(time, self._clock))

    def advance(self, now: float) -> Iterator[Signal]:
        """Do the runs that are due before a time, and yield a signal for each match."""
        while due := [job for job in self._jobs if job.next_run < now]:
            job = min(due, key=lambda job: job.next_run)
            run_at, job.next_run = job.next_run, math.inf
            self._clock = max(self._clock, run_at)
            yield from self._run(job, run_at)

    def _run(self, job: _Job, run_at: float) -> Iterator[Signal]:
        try:
            rows = self._lake.query(job.sql, run_at)
        except duckdb.Error as error:
            self._errors.add(job.query.name, f"run at {run_at:.0f}", one_line(error))
            return
        where = f"a row of {job.query.name}"
        for row in rows:
            for rule in job.rules:
                if signal := run_rule(rule, row, run_at, where, self._errors):
                    yield signal
