"""Writes alerts as JSON, one object a line."""

from collections.abc import Iterator
from typing import Any, TextIO

from local_panther.alerts.incidents import Incident
from local_panther.alerts.model import Alert
from local_panther.json_text import json_text
from local_panther.output.basis import as_json as read_as_json
from local_panther.output.commands import source_arguments
from local_panther.replay import Outcome
from local_panther.times import iso


def write_alerts(outcome: Outcome, out: TextIO) -> None:
    """Write one JSON object a line for each alert, and nothing else."""
    for alert, incident in by_time(outcome):
        out.write(json_text(as_json(alert, incident, outcome)) + "\n")


def by_time(outcome: Outcome) -> Iterator[tuple[Alert, Incident]]:
    """Yield the alerts in the order in which they were made, each with its incident."""
    of_alert = {id(a): incident for incident in outcome.incidents for a in incident.alerts}
    yield from ((alert, of_alert[id(alert)]) for alert in outcome.alerts)


def as_json(alert: Alert, incident: Incident, outcome: Outcome) -> dict[str, Any]:
    """Return an alert as plain JSON, with the number and verdict of its incident."""
    source = source_arguments(outcome)
    plain = {
        "incident": incident.number,
        "verdict": incident.sentence,
        "sentence": incident.sentence_of(alert),
        "session_of": incident.session_of or None,
        "same_address": list(incident.same_address),
        "principal": incident.principal,
        "rule_id": alert.metadata.rule_id,
        "analysis_type": alert.metadata.analysis_type,
        "type": alert.kind,
        "severity": alert.severity,
        "title": alert.title,
        "dedup": alert.dedup,
        "created_at": iso(alert.created_at),
        "first": iso(alert.first),
        "last": iso(alert.last),
        "mitre": list(alert.metadata.mitre),
        "event_count": alert.distinct_events,
        "event_ids": list(alert.event_ids),
        "context": alert.context,
        "destinations": [] if alert.suppressed else list(alert.destinations),
        "delivered": not alert.suppressed,
        "runbook": [
            {
                "text": step.text,
                "queries": [
                    {
                        "name": call.name,
                        "parameters": dict(call.values),
                        "command": call.command(source) if call.can_run else None,
                        "others": call.others,
                    }
                    for call in step.queries
                ],
            }
            for step in incident.steps(alert)
        ],
        "events": alert.events,
        "events_left_out": alert.events_left_out,
        "read": read_as_json(outcome.tally),
    }
    if alert.is_correlation:
        plain |= {"match_value": alert.match_value, "signals": alert.signals}
    return plain
