"""Signals for tests, of rules without a body."""

from local_panther.content.model import Metadata
from local_panther.detection.signals import Signal


def metadata(rule_id, **fields):
    spec = {"RuleID": rule_id, "AnalysisType": "rule", "Severity": "High", **fields}
    return Metadata.from_spec(spec)


def signal(step, minute, user="alice", late=0):
    return Signal(
        metadata=metadata(f"Rule.{step}"),
        time=minute * 60,
        made_at=minute * 60 + late,
        event_id=f"{step}-{minute}-{user}",
        event={"sourceIPAddress": "203.0.113.10", "minute": minute},
        context={"user": user, "minute": minute},
        title="",
        dedup="",
        unique=None,
        severity="INFO",
        description="",
        runbook="",
        reference="",
    )
