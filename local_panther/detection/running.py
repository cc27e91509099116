"""Runs one rule on one event with the instance's own code, `panther_core`."""

import json
from collections.abc import Mapping
from typing import Any

from panther_core.data_model import DataModel
from panther_core.detection import DetectionResult
from panther_core.enriched_event import PantherEvent

from local_panther.content.model import PythonRule
from local_panther.detection.signals import Signal
from local_panther.errors import RunErrors


def run_rule(
    rule: PythonRule,
    event: Mapping[str, Any],
    time: float,
    where: str,
    errors: RunErrors,
    model: DataModel | None = None,
) -> Signal | None:
    """Run a rule on an event or on the row of a query.

    Args:
        rule: The rule.
        event: What it gets. It is given a view of its own: no rule sees what another one did to it.
        time: When it happened, in seconds since 1970.
        where: The place of the event, for error messages.
        errors: Takes an error of the rule.
        model: The data model of the event's log type.

    Returns:
        The signal of a match; None if the rule does not match or fails.
    """
    result = rule.detection.run(PantherEvent(event, model), {}, {}, batch_mode=True)
    if result.detection_evaluation_failed:
        errors.add(rule.metadata.rule_id, where, result.error_message or "unknown error")
    return _signal(rule, time, event, result) if result.trigger_alert else None


def _signal(
    rule: PythonRule, time: float, event: Mapping[str, Any], result: DetectionResult
) -> Signal:
    metadata = rule.metadata
    return Signal(
        metadata=metadata,
        time=time,
        event_id=str(event.get("eventID", "")),
        event=event,
        context=json.loads(result.alert_context_output or "{}"),
        title=result.title_output or metadata.display_name,
        dedup=result.dedup_output or f"defaultDedupString:{metadata.rule_id}",
        unique=result.unique_output,
        severity=result.severity_output or metadata.severity,
        description=result.description_output or metadata.description,
        runbook=result.runbook_output or metadata.runbook,
        reference=result.reference_output or metadata.reference,
    )
