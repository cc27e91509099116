"""Transpiles simple detections (rules with `Detection:` instead of Python) to Python.

The resulting body needs nothing else, and runs in panther_analysis_tool as in the replay. Panther
does not document how it joins GroupBy's values; here it is with " - " (low confidence).

Source: https://docs.panther.com/detections/rules/writing-simple-detections
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_panther.content.filters import OPERATORS, WITH_LIST, WITHOUT_VALUE, check_path
from local_panther.content.simple_runtime import COMBINATORS, ELEMENTS, PRESENCE
from local_panther.errors import FieldError

RUNTIME = Path(__file__).with_name("simple_runtime.py")
CONSTANTS = ("AlwaysTrue", "AlwaysFalse")
KEYS = ("Key", "DeepKey", "KeyPath")


def transpile_detection(spec: Mapping[str, Any]) -> str:
    """Return the Python body of a simple detection.

    Args:
        spec: The rule's YAML, as a mapping.

    Raises:
        FieldError: A key is invalid; the message names it.
    """
    if not isinstance(spec, Mapping):
        raise FieldError("must be a mapping with the keys of a rule")
    matches = _expressions(spec.get("Detection"), "Detection")
    parts = [
        RUNTIME.read_text(encoding="utf-8"),
        f"MATCHES = [Expression(spec) for spec in {_literal(matches)}]",
    ]
    if spec.get("AlertTitle"):
        parts.append(f"def title(event):\n    return fill({_literal(spec['AlertTitle'])}, event)")
    if spec.get("GroupBy"):
        keys = [_key(key, f"GroupBy[{i}]") for i, key in enumerate(spec["GroupBy"])]
        parts.append(
            "def dedup(event):\n"
            "    event = plain(event)\n"
            f'    return " - ".join(str(getter(key)(event)) for key in {_literal(keys)})'
        )
    if spec.get("AlertContext"):
        parts.append(_context_function(spec["AlertContext"]))
    if spec.get("DynamicSeverities"):
        parts.append(_severity_function(spec["DynamicSeverities"]))
    return "\n\n\n".join(parts) + "\n"


def _context_function(entries: list[Any]) -> str:
    named = {
        entry["KeyName"]: _key(entry["KeyValue"], f"AlertContext[{i}].KeyValue")
        for i, entry in enumerate(entries)
    }
    return (
        "def alert_context(event):\n"
        "    event = plain(event)\n"
        f"    keys = {_literal(named)}\n"
        "    return {name: getter(key)(event) for name, key in keys.items()}"
    )


def _severity_function(entries: list[Any]) -> str:
    severities = [
        [entry["ChangeTo"], _expressions(entry["Conditions"], f"DynamicSeverities[{i}].Conditions")]
        for i, entry in enumerate(entries)
    ]
    return (
        f"SEVERITIES = [(to, [Expression(s) for s in ss]) for to, ss in {_literal(severities)}]"
        "\n\n\n"
        "def severity(event):\n"
        "    event = plain(event)\n"
        "    for severity, conditions in SEVERITIES:\n"
        "        if all(condition.holds(event) for condition in conditions):\n"
        "            return severity\n"
        '    return "DEFAULT"'
    )


def _expressions(parts: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(parts, list) or not parts:
        raise FieldError(f"{where}: must be a list of match expressions")
    return [_expression(part, f"{where}[{i}]") for i, part in enumerate(parts)]


def _expression(part: Any, where: str) -> dict[str, Any]:
    if not isinstance(part, Mapping):
        raise FieldError(f"{where}: must be a match expression, not {part!r}")
    if "Enrichment" in part:
        raise FieldError(f"{where}.Enrichment: not supported: there is no enrichment here")
    for name in COMBINATORS:
        if name in part:
            return {name: _expressions(part[name], f"{where}.{name}")}
    condition = part.get("Condition")
    if condition in CONSTANTS:
        return {"Condition": condition}
    if condition in ELEMENTS:
        inner = _expressions(part.get("Expressions"), f"{where}.Expressions")
        return {**_key(part, where), "Condition": condition, "Expressions": inner}
    if condition in PRESENCE:
        return {**_key(part, where), "Condition": condition}
    if condition not in OPERATORS:
        raise FieldError(f"{where}.Condition: {condition!r} is not a known condition")
    operator = OPERATORS[condition]
    values = part.get("Values")
    if not any(key in part for key in KEYS) and isinstance(values, list) and len(values) == 2:
        operands = [_key(value, f"{where}.Values[{i}]") for i, value in enumerate(values)]
        return {"Condition": condition, "Operator": operator, "Operands": operands}
    if operator not in WITHOUT_VALUE and "Value" not in part and values is None:
        raise FieldError(f"{where}: {condition} needs Value or Values")
    if operator in WITH_LIST and not isinstance(values, list):
        raise FieldError(f"{where}.Values: {condition} needs a list of values")
    operand = values if operator in WITH_LIST else part.get("Value", values)
    return {**_key(part, where), "Condition": condition, "Operator": operator, "Operand": operand}


def _key(part: Any, where: str) -> dict[str, Any]:
    found = {key: part[key] for key in KEYS if isinstance(part, Mapping) and key in part}
    if len(found) != 1:
        raise FieldError(f"{where}: needs one of Key, DeepKey and KeyPath")
    if "KeyPath" in found:
        check_path(found["KeyPath"], f"{where}.KeyPath")
    return found


def _literal(value: Any) -> str:
    """Return JSON data as a Python literal."""
    return repr(json.loads(json.dumps(value)))
