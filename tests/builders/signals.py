"""Signals of rules that have no body."""

from local_panther.content.model import Metadata
from local_panther.detection.signals import Signal


def metadata(rule_id, **fields):
    spec = {"RuleID": rule_id, "AnalysisType": "rule", "Severity": "High", **fields}
    return Metadata.from_spec(spec)


def signal(step, minute, user="alice"):
    return Signal(
        metadata=metadata(f"Rule.{step}"),
        time=minute * 60,
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
