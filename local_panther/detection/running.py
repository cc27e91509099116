"""Runs a rule on an event with the code that an instance uses, `panther_core`."""

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from panther_core.data_model import DataModel
from panther_core.detection import DetectionResult
from panther_core.exceptions import UnknownDestinationError

from local_panther.containment import call, described, line_in
from local_panther.content.filters import describe_error
from local_panther.content.model import PythonRule
from local_panther.detection.signals import Signal
from local_panther.detection.view import PantherEvent
from local_panther.errors import Raised, RunErrors

NOWHERE = ["SKIP"]  # panther_core's result if destinations() returns an empty list


class _AnyDestination(dict[str, Any]):
    """The destinations of an instance by name; they are unknown here, so any name is valid."""

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str) -> Any:
        return SimpleNamespace(destination_id=name)


ANYWHERE = _AnyDestination()


def run_rule(
    rule: PythonRule,
    event: Mapping[str, Any],
    time: float,
    where: str,
    errors: RunErrors,
    model: DataModel | None = None,
    arrival: float | None = None,
) -> Signal | None:
    """Run a rule on an event or on a row of a query.

    Args:
        rule: The rule.
        event: The event or row. The rule gets a view that it cannot change.
        time: The time of the event, in seconds since 1970.
        where: The place of the event, for error messages.
        errors: Collects errors of the rule.
        model: The data model of the event's log type.
        arrival: The time of arrival in seconds since 1970; by default the time of the event.

    Returns:
        The signal of a match; None if the rule does not match or fails. A rule that matched and
        then exceeded the time limit, for example in title(), has both a signal and an error.
    """
    arrival = time if arrival is None else arrival
    view = PantherEvent(event, model)
    result, error = call(rule.detection.run, view, {}, ANYWHERE, batch_mode=True)
    if error or (result and result.detection_evaluation_failed):
        message = _message(rule, event, result, error)
        errors.add(rule.metadata.rule_id, where, message)
        kind = type(error).__name__ if error else (result and result.error_type) or "Exception"
        found = Raised(time, time, arrival, where, message)
        errors.add_raised(rule.metadata.rule_id, kind, found)
    for function, raised in rule.detection.swallowed.items():
        errors.add_swallowed(rule.metadata.rule_id, function, _described(rule, raised), where)
    return _signal(rule, time, arrival, event, result) if result and result.trigger_alert else None


def _message(
    rule: PythonRule,
    event: Mapping[str, Any],
    result: DetectionResult | None,
    error: Exception | None,
) -> str:
    """Return the error of a rule or its filters, with its line in the rule's own file."""
    if error:
        return described(error)
    assert result
    if result.filter_exception and not (result.setup_exception or result.detection_exception):
        return describe_error(rule.detection.filters, event, result.filter_exception)
    return _described(rule, result.fatal_error) if result.fatal_error else "unknown error"


def _described(rule: PythonRule, error: BaseException) -> str:
    if not isinstance(error, Exception):
        return described(error)
    if isinstance(error, UnknownDestinationError):
        # Any name is valid here, so panther_core can only have refused a repeated one
        names = ", ".join(dict.fromkeys(map(str, error.args[-1])))
        return f"{names} is named twice"
    line = line_in(error, getattr(rule.detection.module, "__file__", None))
    place = f" ({rule.body_file}, line {line})" if line and rule.body_file else ""
    return f"{type(error).__name__}: {error}{place}"


def _signal(
    rule: PythonRule,
    time: float,
    arrival: float,
    event: Mapping[str, Any],
    result: DetectionResult,
) -> Signal:
    metadata = rule.metadata
    return Signal(
        metadata=metadata,
        time=time,
        made_at=arrival,
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
        destinations=_destinations(result.destinations_output),
    )


def _destinations(output: list[str] | None) -> tuple[str, ...] | None:
    if output is None:
        return None
    return () if output == NOWHERE else tuple(map(str, output))
