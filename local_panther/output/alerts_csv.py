"""Writes alerts as CSV, one row each, for a spreadsheet or a ticket."""

from collections.abc import Iterator
from typing import Any, TextIO

from local_panther.alerts.incidents import Incident
from local_panther.alerts.model import Alert
from local_panther.output.jsonlines import by_time
from local_panther.output.rows import write_csv
from local_panther.replay import Outcome
from local_panther.times import iso

COLUMNS = (
    "incident",
    "severity",
    "verdict",
    "rule_id",
    "title",
    "principal",
    "first",
    "last",
    "created_at",
    "roles_tried",
    "roles_entered",
    "addresses",
    "user_agents",
    "mitre",
    "event_count",
    "delivered",
    "reference",
    "runbook",
    "sentence",
)


def write_alerts_csv(outcome: Outcome, out: TextIO) -> None:
    """Write a row for each alert, in the order in which they were made."""
    write_csv(_rows(outcome), COLUMNS, out)


def _rows(outcome: Outcome) -> Iterator[dict[str, Any]]:
    yield from (_row(alert, incident) for alert, incident in by_time(outcome))


def _row(alert: Alert, incident: Incident) -> dict[str, Any]:
    return {
        **incident.columns,
        "severity": alert.severity,
        "rule_id": alert.metadata.rule_id,
        "title": alert.title,
        "first": iso(alert.first),
        "last": iso(alert.last),
        "created_at": iso(alert.created_at),
        "mitre": " ".join(alert.metadata.mitre),
        "event_count": alert.distinct_events,
        "delivered": "yes" if not alert.suppressed else "no",
        "reference": alert.reference,
        "runbook": alert.runbook,
        "sentence": incident.sentence_of(alert),
    }
