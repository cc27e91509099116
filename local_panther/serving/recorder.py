"""Writes down what a replay finds, for the instance to take over as a whole."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from local_panther.alerts.model import RULE, Alert
from local_panther.box import watch
from local_panther.content.log_types import CLOUDTRAIL
from local_panther.correlation.engine import CorrelationMatch
from local_panther.detection.signals import Signal
from local_panther.instance.alert_model import ALERT, DETECTION_ERROR, MAX_EVENTS, StoredAlert
from local_panther.lake.findings import store_findings
from local_panther.lake.lake import Lake
from local_panther.records.model import Record
from local_panther.replay import Outcome
from local_panther.serving.results import Results
from local_panther.times import sql_timestamp


class Recorder:
    """An observer of a replay that writes into a folder; see `Results` for what is in it."""

    def __init__(self, results: Results) -> None:
        """Make the files."""
        self._results = results
        results.databases.mkdir()
        self._lake = Lake(results.databases)
        self._signals = results.signals.open("w", encoding="utf-8")
        self._matches = results.matches.open("w", encoding="utf-8")
        self._events = results.events.open("w", encoding="utf-8")
        self._joined: dict[str, set[str]] = {}  # by alert, the rows that are part of it
        self._log_types: dict[str, set[str]] = {}
        self._bytes = 0

    def record(self, record: Record, arrived: float) -> None:
        """Store a record in the lake."""
        self._lake.add(record, arrived)
        self._bytes += len(record.raw)

    def signal(self, signal: Signal) -> None:
        """Write down a match of a rule."""
        self._signals.write(_line(signal.event, signal.time, _of_rule(signal)))

    def match(self, match: CorrelationMatch) -> None:
        """Write down a match of a correlation rule, for each of its events."""
        for event, time in _events_of(match):
            self._signals.write(_line(event, time, _of_rule(match)))

    def joined(self, alert: Alert, found: Signal | CorrelationMatch) -> None:
        """Write down what an alert has gained."""
        alert_id = id_of(alert)
        rows = self._joined.setdefault(alert_id, set())
        added = _of_rule(found) | {
            "p_alert_id": alert_id,
            "p_alert_title": alert.title,
            "p_alert_severity": alert.severity,
            "p_alert_creation_time": sql_timestamp(alert.created_at),
            "p_alert_update_time": sql_timestamp(alert.last),
        }
        for event, time in _events_of(found):
            row = _row_id(event, time, alert.metadata.rule_id)
            if row in rows:
                continue
            rows.add(row)
            self._matches.write(_line(event, time, added))
            if len(rows) <= MAX_EVENTS:
                self._events.write(json.dumps([alert_id, event], default=str) + "\n")
            if isinstance(event.get("p_log_type"), str):
                self._log_types.setdefault(alert_id, set()).add(event["p_log_type"])

    def finish(self, outcome: Outcome) -> None:
        """Write the alerts and the summary, and complete the lake."""
        with self._lake:
            self._lake.query("SELECT 1")  # what waits is stored
        for file in (self._signals, self._matches, self._events):
            file.close()
        results = self._results
        refused = store_findings(results.signals, results.matches, results.databases)
        with results.alerts.open("w", encoding="utf-8") as file:
            for alert in outcome.alerts:
                types = sorted(self._log_types.get(id_of(alert), ()))
                file.write(json.dumps(stored(alert, types).as_json(), default=str) + "\n")
        tally = outcome.tally
        summary = {
            "files": tally.files,
            "records": tally.records,
            "first": tally.first,
            "last": tally.last,
            "bytes": {CLOUDTRAIL: self._bytes},
            "refused": refused + self._lake.refused,
            "problems": [str(problem) for problem in tally.problems],
            "errors": dict(outcome.errors.counts),
            "examples": [
                *(f"refused: {found}" for found in sorted(watch.refused())),
                *(str(problem) for problem in outcome.errors.examples),
            ],
        }
        results.summary.write_text(json.dumps(summary), encoding="utf-8")


def id_of(alert: Alert) -> str:
    """Return the ID of an alert: the same in every replay that finds it."""
    made = (alert.kind, alert.metadata.rule_id, alert.dedup, alert.created_at)
    return hashlib.sha256(json.dumps(made).encode()).hexdigest()[:32]


def stored(alert: Alert, log_types: list[str]) -> StoredAlert:
    """Return an alert as the instance keeps it."""
    metadata = alert.metadata
    return StoredAlert(
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


def _line(event: Mapping[str, Any], time: float, match: Mapping[str, Any]) -> str:
    """Return a line as `store_findings` reads it."""
    line: dict[str, Any] = {"m": match, "a": event.get("p_parse_time") or sql_timestamp(time)}
    if _is_of_a_log(event):
        line["e"] = event
    else:
        row = {"p_event_time": sql_timestamp(time), "row": event}
        line["q"] = row | {"p_row_id": _row_id(event, time, match["p_rule_id"])}
    return json.dumps(line, default=str) + "\n"


def _row_id(event: Mapping[str, Any], time: float, rule_id: str) -> str:
    if _is_of_a_log(event):
        return str(event["p_row_id"])
    text = json.dumps([rule_id, time, event], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _is_of_a_log(event: Mapping[str, Any]) -> bool:
    """Return whether an event is a record of a log; a row of a query holds JSON as text."""
    return "p_row_id" in event and not isinstance(event.get("userIdentity"), str)
