"""Alerts as JSON, one object a line."""

import json
from collections.abc import Iterable
from typing import Any, TextIO

from local_panther.alerts.model import Alert
from local_panther.times import iso


def write_alerts(alerts: Iterable[Alert], out: TextIO) -> None:
    """Write one JSON object a line for each alert, and nothing else."""
    for alert in alerts:
        out.write(json.dumps(as_json(alert)) + "\n")


def as_json(alert: Alert) -> dict[str, Any]:
    """Return an alert as plain JSON."""
    plain = {
        "rule_id": alert.metadata.rule_id,
        "analysis_type": alert.metadata.analysis_type,
        "type": alert.kind,
        "severity": alert.severity,
        "title": alert.title,
        "dedup": alert.dedup,
        "created_at": iso(alert.created_at),
        "event_count": alert.event_count,
        "event_ids": list(alert.event_ids),
        "context": alert.context,
        "destinations": [] if alert.suppressed else list(alert.destinations),
        "delivered": not alert.suppressed,
    }
    if alert.is_correlation:
        plain |= {"match_value": alert.match_value, "signals": alert.signals}
    return plain
