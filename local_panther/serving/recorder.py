"""Writes the results of a replay, which the instance then stores."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from local_panther.alerts.model import RULE, Alert
from local_panther.box import watch
from local_panther.content.log_types import CLOUDTRAIL
from local_panther.correlation.correlation_engine import CorrelationMatch
from local_panther.detection.signals import Signal
from local_panther.instance.alerts.model import ALERT, DETECTION_ERROR, FoundAlert
from local_panther.lake.lake import DATABASE, Lake
from local_panther.lake.parts import add_earlier_part
from local_panther.processes import link
from local_panther.records.model import Record
from local_panther.replay import Outcome
from local_panther.serving.findings import FindingLines, row_id
from local_panther.serving.handing import Handed
from local_panther.serving.incidents import HandedIncidents, Marks, named_queries
from local_panther.serving.results import Results
from local_panther.times import sql_timestamp

LOGS = "panther_logs"
READING = (
    "duplicates",
    "wanted",
    "outside",
    "late",
    "other",
    "skipped",
)  # further counts of a tally
MAX_LEFT_OUT = 5_000  # items of content in the summary
PART_RECORDS = 50_000  # in a part of the lake; a full part is no longer copied


class Recorder:
    """An observer of a replay that writes into a folder.

    After `rest`, a process can be forked; the child calls `move` and writes the results, while its
    parent continues with the next records.

    Attributes:
        handed: The alerts that the instance has; `incidents` are the incidents that it has.
    """

    def __init__(self, folder: Path) -> None:
        """Create the files.

        Args:
            folder: The folder for the files.
        """
        self._folder = folder
        self._parts: list[Path] = []  # folders of the parts of the lake, the last one still open
        self._lake = self._new_part()
        self._refused = 0  # records that the earlier parts did not accept
        self._findings = FindingLines(folder)
        self.handed = Handed(folder / "events.ndjson")
        self.incidents = HandedIncidents()
        self._joined: dict[str, set[str]] = {}  # IDs of the rows of each alert
        self._log_types: dict[str, set[str]] = {}
        self._bytes = 0

    def _new_part(self) -> Lake:
        databases = self._folder / f"part-{len(self._parts) + 1}"
        databases.mkdir()
        self._parts.append(databases)
        self._part_records = 0
        return Lake(databases)

    def close(self) -> None:
        """Remove temporary files."""
        self._lake.close()

    def rest(self) -> None:
        """Prepare for a fork."""
        self._lake.rest()
        if self._part_records >= PART_RECORDS:
            self._refused += self._lake.refused
            self._lake.close()
            self._lake = self._new_part()
        self._findings.rest()
        self.handed.rest()

    def move(self, results: Results) -> None:
        """Continue in a forked process, while its parent continues with the files.

        Args:
            results: The files for the results.
        """
        self._parts[-1] = results.databases
        self._lake.move(results.databases)
        self._findings.move(results.folder)
        self.handed.move()

    def record(self, record: Record, arrived: float) -> None:
        """Store a record in the lake."""
        self._lake.add(record, arrived)
        self._part_records += 1
        self._bytes += len(record.raw)

    def signal(self, signal: Signal) -> None:
        """Write a match of a rule."""
        self._findings.signal(signal.event, signal.time, _of_rule(signal))

    def match(self, match: CorrelationMatch) -> None:
        """Write a match of a correlation rule, once for each of its events."""
        for event, time in _events_of(match):
            self._findings.signal(event, time, _of_rule(match))

    def joined(self, alert: Alert, found: Signal | CorrelationMatch) -> None:
        """Write the events that an alert has gained."""
        alert_id = id_of(alert)
        self.handed.change(alert_id)
        rows = self._joined.setdefault(alert_id, set())
        added = _of_rule(found) | {
            "p_alert_id": alert_id,
            "p_alert_title": alert.title,
            "p_alert_severity": alert.severity,
            "p_alert_creation_time": sql_timestamp(alert.created_at),
            "p_alert_update_time": sql_timestamp(alert.last),
        }
        for event, time in _events_of(found):
            row = row_id(event, time, alert.metadata.rule_id)
            if row in rows:
                continue
            rows.add(row)
            self._findings.match(event, time, added)
            self.handed.add(alert_id, json.dumps([alert_id, event], default=str).encode() + b"\n")
            if isinstance(event.get("p_log_type"), str):
                self._log_types.setdefault(alert_id, set()).add(event["p_log_type"])

    def finish(
        self,
        outcome: Outcome,
        results: Results,
        attach: Callable[[Sequence[Alert]], None] | None = None,
    ) -> None:
        """Complete the lake, and write the new and changed alerts and the summary.

        Args:
            outcome: The outcome of the replay.
            results: The files for the results.
            attach: Sets the timelines of alerts that have none yet.
        """
        self._lake.query("SELECT 1")  # create a database also without records
        self._lake.rest()
        for number, part in enumerate(self._parts[:-1], 1):
            add_earlier_part(part / DATABASE, results.databases, LOGS, number)
        if self._parts[-1] != results.databases:
            link(self._parts[-1] / DATABASE, results.databases / DATABASE)
        refused = self._findings.store(results.databases)
        changes = self.incidents.changed(outcome.incidents, id_of)
        if attach:
            attach(changes.alerts)
        with results.incidents.open("w", encoding="utf-8") as file:
            file.writelines(changes.lines())
        queries = named_queries(outcome.alerts, outcome.content.query_texts)
        results.queries.write_text(json.dumps(queries), encoding="utf-8")
        self._hand_over(outcome.alerts, changes.marks, results)
        tally = outcome.tally
        summary = {
            "files": tally.files,
            "records": tally.records,
            "first": tally.first,
            "last": tally.last,
            "bytes": {CLOUDTRAIL: self._bytes},
            "refused": refused + self._refused + self._lake.refused,
            "problems": [str(problem) for problem in tally.problems],
            "reading": {name: getattr(tally, name) for name in READING},
            "left_out": [
                [item.item_id, item.reason, str(item.problem or "")]
                for item in outcome.content.left_out[:MAX_LEFT_OUT]
            ],
            "signals": dict(outcome.signals),
            "errors": dict(outcome.errors.counts),
            "examples": [
                *(f"refused: {found}" for found in sorted(watch.refused())),
                *(str(problem) for problem in outcome.errors.examples),
            ],
        }
        results.summary.write_text(json.dumps(summary), encoding="utf-8")

    def _hand_over(self, alerts: Iterable[Alert], marks: Marks, results: Results) -> None:
        kept: dict[str, int] = {}
        with (
            results.alerts.open("w", encoding="utf-8") as file,
            results.events.open("wb") as events,
        ):
            for alert in alerts:
                alert_id = id_of(alert)
                if alert.kind == RULE and not self.handed.is_news(alert_id):
                    continue
                types = sorted(self._log_types.get(alert_id, ()))
                file.write(json.dumps(found_alert(alert, types).as_json(), default=str) + "\n")
                events.writelines(self.handed.events(alert_id))
                kept[alert_id] = self.handed.kept(alert_id)
        handed = {"kept": kept, "provisional": self.handed.provisional, "incidents": marks}
        results.handed.write_text(json.dumps(handed), encoding="utf-8")


def id_of(alert: Alert) -> str:
    """Return the ID of an alert, which is the same in every replay that finds it."""
    made = (alert.kind, alert.metadata.rule_id, alert.dedup, alert.created_at)
    return hashlib.sha256(json.dumps(made).encode()).hexdigest()[:32]


def found_alert(alert: Alert, log_types: list[str]) -> FoundAlert:
    """Return an alert in the form that the instance stores."""
    metadata = alert.metadata
    return FoundAlert(
        id=id_of(alert),
        rule_id=metadata.rule_id,
        rule_name=metadata.display_name,
        detection_type=metadata.analysis_type.upper(),
        kind=ALERT if alert.kind == RULE else DETECTION_ERROR,
        severity=alert.severity,
        title=alert.title,
        dedup=alert.dedup,
        created=alert.created_at,
        first=alert.first,
        last=alert.last,
        event_count=alert.event_count,
        context=alert.context,
        description=alert.description,
        runbook=alert.runbook,
        reference=alert.reference,
        suppressed=alert.suppressed,
        destinations=list(alert.destinations),
        tags=list(metadata.tags),
        log_types=log_types,
    )


def _events_of(found: Signal | CorrelationMatch) -> Iterable[tuple[Mapping[str, Any], float]]:
    if isinstance(found, Signal):
        return [(found.event, found.time)]
    signals = [signal for step in found.match.signals.values() for signal in step]
    return [(signal.event, signal.time) for signal in sorted(signals, key=lambda s: s.time)]


def _of_rule(found: Signal | CorrelationMatch) -> dict[str, Any]:
    metadata = found.metadata
    return {
        "p_rule_id": metadata.rule_id,
        "p_rule_severity": metadata.severity,
        "p_rule_tags": metadata.tags,
        "p_rule_reports": metadata.reports,
        "p_alert_context": found.context,
    }
