"""Runs the unit tests of correlation rules: the `Tests` of their YAML.

A test lists the signals of each step as times, by field and by the value to match on. Times are
minutes from any beginning, or ISO 8601.
https://docs.panther.com/detections/correlation-rules#testing
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from local_panther.content.correlation_grammar import CorrelationLogic, parse_correlation
from local_panther.correlation.evaluate import find_matches
from local_panther.correlation.signals import StepSignal
from local_panther.errors import FieldError


@dataclass(frozen=True)
class RuleTestResult:
    """The result of a unit test: passed, failed, or not run because of `error`."""

    __test__ = False  # not a class of tests for pytest

    name: str
    passed: bool
    error: str | None = None


def run_tests(spec: Mapping[str, Any]) -> list[RuleTestResult]:
    """Run the unit tests of a correlation rule.

    Args:
        spec: The rule's YAML, as a mapping.

    Raises:
        FieldError: The rule itself is invalid. An invalid test has a result with an error.
    """
    rule = parse_correlation(spec)
    return [_run(rule, test, f"Tests[{i}]") for i, test in enumerate(spec.get("Tests") or [])]


def _run(rule: CorrelationLogic, test: Mapping[str, Any], where: str) -> RuleTestResult:
    name = str(test.get("Name", where)) if isinstance(test, Mapping) else where
    try:
        if not isinstance(test, Mapping):
            raise FieldError(f"{where}: must be a mapping with Name, ExpectedResult, RuleOutputs")
        signals = _signals(rule, test.get("RuleOutputs"), f"{where}.RuleOutputs")
    except FieldError as error:
        return RuleTestResult(name, passed=False, error=str(error))
    matched = any(True for _ in find_matches(rule, signals))
    return RuleTestResult(name, matched == test.get("ExpectedResult"))


def _signals(rule: CorrelationLogic, outputs: Any, where: str) -> dict[str, list[StepSignal]]:
    if not isinstance(outputs, list):
        raise FieldError(f"{where}: must be a list of steps with their signals")
    ids = [step.id for step in rule.steps]
    signals: dict[str, list[StepSignal]] = {}
    for i, output in enumerate(outputs):
        step = output.get("ID") if isinstance(output, Mapping) else None
        if step not in ids:
            known = ", ".join(ids)
            raise FieldError(f"{where}[{i}].ID: {step!r} is not a step; the steps are {known}")
        matches = output.get("Matches") or {}
        signals.setdefault(step, []).extend(_step_signals(matches, f"{where}[{i}].Matches"))
    return signals


def _step_signals(matches: Any, where: str) -> list[StepSignal]:
    """Return the signals of one step.

    The same time under two fields means one signal that holds both values; a time listed twice
    under one value means two signals.
    """
    values: dict[tuple[float, int], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    if not isinstance(matches, Mapping):
        raise FieldError(f"{where}: must map fields to values, and values to times")
    for field, by_value in matches.items():
        if not isinstance(by_value, Mapping):
            raise FieldError(f"{where}.{field}: must map values to times")
        for value, times in by_value.items():
            seen: dict[float, int] = defaultdict(int)
            for entry in times if isinstance(times, list) else [times]:
                time = _time(entry, f"{where}.{field}.{value}")
                values[time, seen[time]][field].add(str(value))
                seen[time] += 1
    return [
        StepSignal(time, {field: frozenset(held) for field, held in fields.items()})
        for (time, _), fields in sorted(values.items())
    ]


def _time(entry: Any, where: str) -> float:
    """Return a time of a test in seconds since 1970; minutes are counted from 1970 too."""
    if isinstance(entry, (int, float)) and not isinstance(entry, bool):
        return entry * 60
    try:
        is_date = isinstance(entry, date)
        moment = datetime.fromisoformat(entry.isoformat() if is_date else entry)
    except (TypeError, ValueError):
        raise FieldError(
            f"{where}: {entry!r} is neither a number of minutes nor an ISO 8601 time"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
