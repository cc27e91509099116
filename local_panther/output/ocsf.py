"""Writes alerts as Detection Findings of OCSF 1.6, one JSON object a line.

OCSF is the Open Cybersecurity Schema Framework. Source of the class: https://schema.ocsf.io/1.6.0/classes/detection_finding
"""

import hashlib
import importlib.metadata
from collections.abc import Mapping
from typing import Any, TextIO

from local_panther.alerts.incidents import Incident
from local_panther.alerts.model import Alert
from local_panther.json_text import json_text
from local_panther.output.jsonlines import by_time
from local_panther.replay import Outcome
from local_panther.roles.principals import principal_of
from local_panther.roles.settings import RoleSettings
from local_panther.text import is_address

VERSION = "1.6.0"
CATEGORY, CLASS, CREATE = 2, 2004, 1
SEVERITIES = {"INFO": 1, "LOW": 2, "MEDIUM": 3, "HIGH": 4, "CRITICAL": 5}
OTHER = 99
SEVERITY_NAMES = {1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical", 99: "Other"}
RULE_ANALYTIC = 1
NEW = 1
UNMAPPED = ("incident", "verdict", "principal", "roles_tried", "roles_entered")


def write_findings(outcome: Outcome, out: TextIO) -> None:
    """Write a Detection Finding for each alert, in the order in which they were made."""
    for alert, incident in by_time(outcome):
        out.write(json_text(finding(alert, incident, outcome.role_log.settings)) + "\n")


def finding(alert: Alert, incident: Incident, settings: RoleSettings) -> dict[str, Any]:
    """Return an alert as a Detection Finding, with times in milliseconds since 1970.

    Args:
        alert: Alert to convert.
        incident: Incident of the alert.
        settings: Settings that define which callers count as one principal.

    Returns:
        The finding; facts without a place in the schema are under `unmapped`.
    """
    severity = SEVERITIES.get(alert.severity, OTHER)
    return {
        "activity_id": CREATE,
        "activity_name": "Create",
        "category_uid": CATEGORY,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + CREATE,
        "type_name": "Detection Finding: Create",
        "time": _milliseconds(alert.created_at),
        "start_time": _milliseconds(alert.first),
        "end_time": _milliseconds(alert.last),
        "severity_id": severity,
        "severity": SEVERITY_NAMES[severity],
        "status_id": NEW,
        "status": "New",
        "message": incident.sentence_of(alert),
        "count": max(alert.distinct_events, 1),
        "metadata": {
            "version": VERSION,
            "product": {
                "name": "local-panther",
                "vendor_name": "local-panther",
                "version": importlib.metadata.version("local-panther"),
            },
            "log_name": "AWS.CloudTrail",
        },
        "finding_info": _finding_info(alert),
        "evidences": [_evidence(event, settings) for event in alert.events]
        or [{"data": alert.context}],
        "unmapped": {
            **{name: incident.columns[name] for name in UNMAPPED},
            "context": alert.context,
            "runbook": alert.runbook,
            "events_left_out": alert.events_left_out,
        },
    }


def _finding_info(alert: Alert) -> dict[str, Any]:
    info: dict[str, Any] = {
        "uid": _uid(alert),
        "title": alert.title,
        "desc": alert.description or alert.title,
        "types": [alert.kind],
        "created_time": _milliseconds(alert.created_at),
        "first_seen_time": _milliseconds(alert.first),
        "last_seen_time": _milliseconds(alert.last),
        "analytic": {
            "uid": alert.metadata.rule_id,
            "name": alert.metadata.display_name,
            "type_id": RULE_ANALYTIC,
            "type": "Rule",
        },
        "attacks": [_attack(code) for code in alert.metadata.mitre],
        "related_events": [{"uid": event_id} for event_id in alert.event_ids],
    }
    if alert.reference:
        info["src_url"] = alert.reference
    return {name: value for name, value in info.items() if value not in ([], "")}


def _uid(alert: Alert) -> str:
    """Return an ID of an alert, the same in each replay of the same records."""
    parts = alert.metadata.rule_id, alert.kind, alert.dedup, f"{alert.created_at:.3f}"
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


def _attack(code: str) -> dict[str, Any]:
    """Return a code such as "TA0004:T1548.005" as an ATT&CK object."""
    tactic, _, technique = code.partition(":")
    found: dict[str, Any] = {"tactic": {"uid": tactic}}
    if technique:
        found["technique"] = {"uid": technique.partition(".")[0]}
    if "." in technique:
        found["sub_technique"] = {"uid": technique}
    return found


def _evidence(event: Mapping[str, Any], settings: RoleSettings) -> dict[str, Any]:
    found: dict[str, Any] = {"data": event}
    if principal := principal_of(event.get("userIdentity"), settings):
        identity = event.get("userIdentity")
        kind = identity.get("type") if isinstance(identity, Mapping) else None
        found["actor"] = {"user": {"uid": principal, "type": str(kind), "type_id": OTHER}}
    address = event.get("sourceIPAddress")
    if isinstance(address, str) and address:
        found["src_endpoint"] = {"ip" if is_address(address) else "name": address}
    if isinstance(event.get("eventName"), str):
        found["api"] = {"operation": event["eventName"]}
        if isinstance(event.get("eventSource"), str):
            found["api"]["service"] = {"name": event["eventSource"]}
    return found


def _milliseconds(time: float) -> int:
    return round(time * 1000)
