"""Builders for correlation rules and their signals."""

import itertools

from local_panther.content.correlation_grammar import CorrelationLogic, parse_correlation
from local_panther.correlation.signals import StepSignal

FIELD = "p_alert_context.user"


def spec(detection, **fields):
    """Return a correlation rule around a detection, with a schedule if it has none."""
    schedule = {"RateMinutes": 10, "TimeoutMinutes": 5}
    return {
        "AnalysisType": "correlation_rule",
        "RuleID": "Test.Correlation",
        "Enabled": True,
        "Severity": "High",
        "Detection": [{"Schedule": schedule, **detection}],
        **fields,
    }


def group(*steps, matched=True, lookback=60, **fields) -> dict:
    """Return a Group of steps, given as letters or mappings, matched on one field."""
    entries = [_step(step) for step in steps]
    criteria = [{"GroupID": entry["ID"], "Match": FIELD} for entry in entries]
    detection = {"Group": entries, "LookbackWindowMinutes": lookback, **fields}
    return spec(detection | ({"MatchCriteria": {"user": criteria}} if matched else {}))


def sequence(*steps, matched=True, lookback=60, within=None, **fields) -> dict:
    """Return a Sequence of steps with a transition between neighbours."""
    entries = [_step(step) for step in steps]
    transitions = []
    for first, second in itertools.pairwise(entries):
        transition = {"From": first["ID"], "To": second["ID"]}
        transition |= {"Match": [{"On": FIELD}]} if matched else {}
        transition |= {"WithinTimeFrameMinutes": within} if within else {}
        transitions.append(transition)
    detection = {"Sequence": entries, "LookbackWindowMinutes": lookback, **fields}
    return spec({"Transitions": transitions, **detection})


def parsed(document: dict) -> CorrelationLogic:
    return parse_correlation(document)


def signals(**times) -> dict[str, list[StepSignal]]:
    """Return signals of one user by step, given the minutes at which they happened."""
    return {step: [at(minute) for minute in minutes] for step, minutes in times.items()}


def at(minute: float, user: str = "alice", field: str = FIELD) -> StepSignal:
    return StepSignal(minute * 60, {field: frozenset([user])})


def _step(step) -> dict:
    entry = {"ID": step} if isinstance(step, str) else dict(step)
    return {"RuleID": f"Rule.{entry['ID']}", **entry}
