"""Replays recorded CloudTrail and returns the alerts that an instance would have created."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from local_panther.alerts.grouping import AlertGrouper
from local_panther.alerts.incidents import Incident, incidents_of
from local_panther.alerts.matches import CorrelationAlerts
from local_panther.alerts.model import Alert, in_order
from local_panther.alerts.parameters import TIMELINE_TAG
from local_panther.alerts.rule_errors import rule_error_alerts
from local_panther.containment import contained
from local_panther.content.load import loaded_content
from local_panther.content.log_schema import LogSchema
from local_panther.content.log_types import CLOUDTRAIL
from local_panther.content.model import Content, EventNames, includes, united
from local_panther.correlation.correlation_engine import CorrelationEngine, CorrelationMatch
from local_panther.detection.clock import EventClock
from local_panther.detection.rule_engine import Engine
from local_panther.detection.signals import Signal
from local_panther.detection.store import key_value_store
from local_panther.detection.table import Table
from local_panther.errors import RunErrors
from local_panther.lake.lake import Lake
from local_panther.lake.preparing import empty_lake
from local_panther.lake.reach import Reach
from local_panther.lake.scheduled import ScheduledQueries
from local_panther.records.model import Record, Tally
from local_panther.records.order import in_time_order
from local_panther.records.trail import Trail
from local_panther.roles.calls import ROLE_CALLS, SERVICE
from local_panther.roles.log import RoleLog
from local_panther.roles.settings import RoleSettings, read_settings
from local_panther.times import DELIVERY_DELAY

if TYPE_CHECKING:
    from local_panther.alerts.timelines import Timelines
    from local_panther.records.json_lines import JsonLines
    from local_panther.records.reader import Reader

RUNS_TOGETHER = 8  # fewest waiting runs of a scheduled query that are worth executing early
MAX_FAILED_RUNS = 100  # attempts to run all that is due at the end; an unexpected error ends one


class Observer(Protocol):
    """An observer of a replay, called for each result and for every record, wanted or not."""

    def record(self, record: Record, arrived: float) -> None:
        """Observe a record and its time of arrival, in seconds since 1970."""

    def signal(self, signal: Signal) -> None:
        """Observe a match of a rule, whether it alerts or not."""

    def match(self, match: CorrelationMatch) -> None:
        """Observe a match of a correlation rule, whether it alerts or not."""

    def joined(self, alert: Alert, found: Signal | CorrelationMatch) -> None:
        """Observe that a match was added to an alert; called after `signal` or `match`."""


@dataclass
class Outcome:
    """The results of a replay.

    Attributes:
        tally: Counts and problems of reading.
        alerts: Alerts, in the order in which an instance would have created them.
        signals: Number of matches by rule ID; 0 for rules that never matched.
        errors: Errors of rules and queries.
        content: The content that ran.
        interrupted: True if the replay was stopped before the end.
        role_log: The calls about roles that were read.
        paths: The files and folders that were read.
        folder: The content repository.
        late_signals: Number of signals that arrived too late to be paired, by correlation rule.
    """

    tally: Tally
    alerts: list[Alert]
    signals: Counter[str]
    errors: RunErrors
    content: Content
    interrupted: bool = False
    role_log: RoleLog = field(default_factory=RoleLog)
    paths: tuple[str, ...] = ()
    folder: Path = Path()
    late_signals: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def incidents(self) -> list[Incident]:
        """The alerts, joined into incidents, worst first."""
        return incidents_of(self.alerts, self.role_log, self.content.query_texts)

    @property
    def complete(self) -> bool:
        """True if all was read and replayed, no item is invalid, and no rule or query failed."""
        failed = self.errors.counts or self.content.problems
        return not (self.tally.skipped or failed or self.interrupted)


def replay(
    trail: Trail,
    folder: Path,
    *,
    include_disabled: bool = False,
    strict: bool = False,
    with_timelines: bool = False,
    delivery_delay: float = DELIVERY_DELAY,
    keep_repeated: bool = False,
    observer: Observer | None = None,
    schema: LogSchema | None = None,
) -> Outcome:
    """Run content over recorded CloudTrail as an instance would run it over the live stream.

    Args:
        trail: The records.
        folder: The root of the content repository.
        include_disabled: Also run items with `Enabled: false`, and those that an upload skips
            because of their Status.
        strict: Refuse content with any invalid item; otherwise such an item is left out.
        with_timelines: Run the content's timeline queries for each alert at the end.
        delivery_delay: Seconds between an event and its arrival. Queries that run in between do
            not see the event.
        keep_repeated: Process a record each time that it was delivered; otherwise once.
        observer: Called with all records, matches and alerts as they are found.
        schema: The log type of the files, which must then be JSON lines; CloudTrail if omitted.

    Raises:
        ContentError: The folder holds no content, or an item is invalid and either `strict` is
            set or no rule runs.
        UnusableCluster: The cluster cannot be reached, or has no usable worker.
    """
    tally = Tally()
    with (
        trail.opened(tally) as opened,
        running(
            folder,
            include_disabled=include_disabled,
            strict=strict,
            saved_queries=TIMELINE_TAG if with_timelines else "",
            log_type=schema.name if schema else CLOUDTRAIL,
        ) as run,
    ):
        timelines = _timelines(run) if with_timelines else None
        settings = read_settings(folder)
        stream = Stream(run, settings, timelines, delay=delivery_delay, observer=observer)
        reader: Reader | JsonLines
        if schema:
            reader = opened.json_lines(schema, keep_repeated=keep_repeated)
        else:
            reader = opened.reader(
                stream.event_names,
                keep_repeated=keep_repeated,
                with_added=stream.needs_added_fields,
            )
        interrupted = False
        try:
            with closing(reader.read(opened.taken())) as records:
                for record in in_time_order(stream.foreseen(records), tally):
                    stream.process(record)
        except KeyboardInterrupt:
            interrupted = True
        try:
            stream.finish()
            if timelines:
                with run.errors.caught("timelines"):
                    timelines.attach(stream.alerts)
        except KeyboardInterrupt:
            interrupted = True
        outcome = stream.outcome(tally)
        outcome.interrupted = interrupted
        outcome.paths, outcome.folder = tuple(trail.paths), folder
        return outcome


class Run(NamedTuple):
    """Loaded content and its environment.

    Attributes:
        content: The content.
        lake: The data lake that its scheduled queries read.
        table: The key-value store.
        errors: Collects errors.
        clock: The clock that content sees.
    """

    content: Content
    lake: Lake
    table: Table
    errors: RunErrors
    clock: EventClock

    def rest(self) -> None:
        """Prepare for a fork, after which the forked process calls `move`."""
        self.lake.rest()
        self.table.rest()

    def move(self, folder: Path) -> None:
        """Continue with a copy in a forked process; the parent must have called `rest`.

        Args:
            folder: An empty folder for the copy.
        """
        self.lake.move(folder)
        self.table.move()


@contextmanager
def running(
    folder: Path,
    *,
    include_disabled: bool = False,
    strict: bool = False,
    saved_queries: str = "",
    log_type: str = CLOUDTRAIL,
) -> Iterator[Run]:
    """Yield loaded content with an empty lake and an empty key-value store.

    Args:
        folder: The root of the content repository.
        include_disabled: Also run items with `Enabled: false`, and those that an upload skips
            because of their Status.
        strict: Refuse content with any invalid item; otherwise such an item is left out.
        saved_queries: Also load the saved queries that have a tag with this prefix; "" for none.
        log_type: The log type of the records.

    Raises:
        ContentError: The folder holds no content, or an item is invalid and either `strict` is
            set or no rule runs.
    """
    clock = EventClock()
    with (
        contained(),
        key_value_store(clock) as table,
        loaded_content(
            folder,
            include_disabled=include_disabled,
            strict=strict,
            saved_queries=saved_queries,
            log_type=log_type,
            checks=empty_lake,
        ) as content,
        Lake() as lake,
        clock.seen_by(content.modules),
    ):
        yield Run(content, lake, table, RunErrors(), clock)


class Stream:
    """Processes records one after the other: rules, the lake, queries, correlations and alerts.

    A record arrives some time after its event. Scheduled queries and correlation rules that are due
    before its arrival run first. A record never arrives before one that was read earlier, even if
    its event is older.
    """

    def __init__(
        self,
        run: Run,
        settings: RoleSettings | None,
        timelines: "Timelines | None" = None,
        *,
        delay: float = DELIVERY_DELAY,
        observer: Observer | None = None,
    ) -> None:
        """Start with no records.

        Args:
            run: The content and its environment.
            settings: Settings for the log of calls about roles; None to keep no log.
            timelines: The timelines that run at the end, and need records until then.
            delay: Seconds between an event and its arrival.
            observer: Called with all records and results.
        """
        content, lake, _, errors, clock = run
        self._content = content
        self._observer = observer
        self._is_cloudtrail = content.log_type == CLOUDTRAIL  # the lake has no other table
        self._clock = clock
        self._delay = delay
        self._now = -math.inf
        self._timelines = timelines
        self._engine = Engine(content, errors)
        self._lake = lake
        self._errors = errors
        self._scheduled = ScheduledQueries(content, lake, errors, clock)
        names = [self._scheduled.event_names, *([timelines.event_names] if timelines else [])]
        self._lake_names = united(names)
        joined = observer.joined if observer else None
        self._correlation = CorrelationEngine(content.correlation_rules)
        self._rule_alerts = AlertGrouper(content.python_rules, joined)
        self._correlation_alerts = CorrelationAlerts(joined)
        self._has_log = settings is not None
        self.role_log = RoleLog(settings)
        self.signals = Counter(dict.fromkeys(content.rule_ids, 0))

    @property
    def event_names(self) -> EventNames:
        """The eventNames of records that can change a result; None for all."""
        names = [self._engine.event_names, self._lake_names, ROLE_CALLS]
        return None if self._observer else united(names)

    @property
    def needs_added_fields(self) -> bool:
        """True if Panther's fields are needed for most records, not only for those that match."""
        has_readers = self._observer is not None or self._timelines is not None
        return has_readers or self._scheduled.read_added_fields

    @property
    def alerts(self) -> list[Alert]:
        """The alerts so far, in the order in which they were created."""
        return in_order([*self._rule_alerts.alerts, *self._correlation_alerts.alerts])

    @property
    def late_signals(self) -> Mapping[str, int]:
        """Number of signals that arrived too late to be paired, by correlation rule."""
        return self._correlation.late

    def foreseen(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield records that will be processed, and prepare what many or failed calls need.

        At that time, this process would only wait for those that scan files.
        """
        has_rules, has_lake = False, not self._is_cloudtrail  # True once they are prepared
        for record in records:
            if not has_rules and self._engine.has_many_with(record):
                has_rules = True
                with self._errors.caught(record.where):
                    self._engine.prepare()
            if not has_lake and record.has_failed and includes(self._lake_names, record.name):
                has_lake = True
                with self._errors.caught(record.where):
                    if self._scheduled.sees_failures_first:
                        self._lake.open()
            yield record

    def process(self, record: Record) -> None:
        """Process a record, after everything that is due before it."""
        self._now = max(self._now, record.time + self._delay)
        self._clock.reach(self._now)
        if self._scheduled.is_due(self._now) or self._correlation.is_due(self._now):
            with self._errors.caught(f"what is due before {record.where}"):
                self._advance(self._now)
        caught = self._errors.caught(record.where)
        if self._observer:
            with caught:
                self._observer.record(record, self._now)
        with caught:
            if self._is_cloudtrail and includes(self._lake_names, record.name):
                unread = self._scheduled.sees_failures_first
                self._lake.add(record, self._now, self._needed, unread=unread)
                self._scheduled.note(record.name, record.time)
        fields = None
        is_role_call = self._is_cloudtrail and record.name in ROLE_CALLS
        if self._has_log and is_role_call and record.caller_type != SERVICE:
            with caught:
                fields = record.fields()
                self.role_log.add(fields, record.time)
        with caught:
            for signal in self._engine.run(record, self._now, fields):
                self._correlate(self._now)  # nothing is due, but the time has to be known
                self._take(signal)

    def finish(self) -> None:
        """Run everything that is still due."""
        for _ in range(MAX_FAILED_RUNS):
            with self._errors.caught("what is due at the end"):
                self._take_scheduled(self._scheduled.finish(self._now))
                self._correlate(math.inf)
                break
        with self._errors.caught("calls about roles"):
            self.role_log.store()

    def ask_ahead(self) -> None:
        """Query the rows of scheduled runs that are due now, before they are passed to rules.

        Queries with fewer than RUNS_TOGETHER such runs are skipped. The lake then drops records
        that no later run can see.
        """
        with self._errors.caught("what is due"):
            self._scheduled.ask(RUNS_TOGETHER)
            self._lake.tidy(self._needed)

    def outcome(self, tally: Tally) -> Outcome:
        """Return the results.

        Args:
            tally: Counts and problems of reading.
        """
        errors = self._errors
        if self._lake.refused:
            count, reasons = self._lake.refused, "; ".join(self._lake.reasons)
            errors.add("data lake", "", f"{count:,} records could not be stored: {reasons}")
        alerts = in_order([*self.alerts, *rule_error_alerts(errors, self._content.metadata)])
        return Outcome(
            tally,
            alerts,
            self.signals,
            errors,
            self._content,
            role_log=self.role_log,
            late_signals=self.late_signals,
        )

    def _needed(self) -> Reach:
        """Return the times of the records that scheduled queries and timelines can still read."""
        horizon = self._scheduled.horizon
        if self._timelines is None:
            return Reach(horizon)
        if self._timelines.seconds_around is None:
            return Reach()
        # No alert to come is earlier: arrivals never go back, correlation rules that were due have
        # run, and `next_run` covers the scheduled runs that wait.
        earliest = min(self._now - self._delay, self._scheduled.next_run)
        around = self._timelines.seconds_around
        times = (alert.created_at for alert in self.alerts)
        return Reach.around(times, around, min(horizon, earliest - around))

    def _advance(self, now: float) -> None:
        self._take_scheduled(self._scheduled.advance(now))
        self._correlate(now)

    def _take_scheduled(self, signals: Iterable[Signal]) -> None:
        for signal in signals:
            self._correlate(signal.time)
            self._take(signal)

    def _take(self, signal: Signal) -> None:
        self.signals[signal.metadata.rule_id] += 1
        if self._observer:
            self._observer.signal(signal)
        self._rule_alerts.add(signal)
        self._correlation.add(signal)

    def _correlate(self, now: float) -> None:
        for match in self._correlation.advance(now):
            self.signals[match.metadata.rule_id] += 1
            if self._observer:
                self._observer.match(match)
            self._correlation_alerts.add(match)


def _timelines(run: Run) -> "Timelines":
    from local_panther.alerts.timelines import Timelines

    return Timelines(run.content, run.lake, run.errors)
