"""Scheduled queries and the rules that look at their rows."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb
from panther_core.enriched_event import PantherEvent

from local_panther.content.model import (
    Content,
    EventNames,
    Query,
    StreamingRule,
    includes,
    united,
)
from local_panther.detection.engine import RuleErrors, make_signal
from local_panther.detection.signals import Signal
from local_panther.errors import one_line
from local_panther.lake.dialect import translate_sql
from local_panther.lake.lake import Lake


@dataclass
class _Job:
    """A scheduled query, the rules for its rows, and when it runs next (None: nothing is new)."""

    query: Query
    sql: str
    rules: list[StreamingRule]
    next_run: float | None = None


class ScheduledQueries:
    """The scheduled queries that have a rule.

    A query runs at each time of its schedule that follows new records; a run without any would find
    what the one before it found. The time of a signal is that of the run.
    """

    def __init__(self, content: Content, lake: Lake, errors: RuleErrors) -> None:
        self._lake = lake
        self._errors = errors
        self._clock = -math.inf  # time of the latest run
        self._jobs = []
        for query in content.queries.values():
            rules = [rule for rule, names in content.scheduled_rules if query.name in names]
            if query.schedule and rules:
                self._jobs.append(_Job(query, translate_sql(query.sql), rules))

    @property
    def event_names(self) -> EventNames:
        """The eventNames of records that any of the queries can see."""
        return united(job.query.event_names for job in self._jobs)

    def note(self, event_name: str, time: float) -> None:
        """Take note that the lake has a record; a late one is for a run that is still to come."""
        for job in self._jobs:
            if job.next_run is None and includes(job.query.event_names, event_name):
                job.next_run = job.query.schedule.next_run(max(time, self._clock))

    def advance(self, now: float) -> Iterator[Signal]:
        """Do the runs that are due before a time, and yield a signal for each match."""
        while due := [job for job in self._jobs if job.next_run is not None and job.next_run < now]:
            job = min(due, key=lambda job: job.next_run)
            run_at, job.next_run = job.next_run, None
            self._clock = max(self._clock, run_at)
            yield from self._run(job, run_at)

    def _run(self, job: _Job, run_at: float) -> Iterator[Signal]:
        try:
            rows = self._lake.query(job.sql, run_at)
        except duckdb.Error as error:
            self._errors.add(job.query.name, f"run at {run_at:.0f}", one_line(error))
            return
        for row in map(plain_row, rows):
            for rule in job.rules:
                result = rule.detection.run(PantherEvent(row), {}, {}, batch_mode=True)
                if result.detection_evaluation_failed:
                    where = f"a row of {job.query.name}"
                    self._errors.add(rule.metadata.rule_id, where, result.error_message or "")
                if result.trigger_alert:
                    yield make_signal(rule, run_at, row, result)


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as the JSON that an instance hands to a rule."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(" ", "milliseconds")
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value if isinstance(value, (str, int, float, type(None))) else str(value)
