"""Translates the InlineFilters of a rule's YAML to statements that `panther_core.filter` evaluates.

Source: https://docs.panther.com/detections/rules/inline-filters and the operators registered in
`panther_core/filter.py`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jmespath
from panther_core.filter import Filter, is_simple_key

from local_panther.errors import FieldError

# Panther's documentation has both "OrEquals" and "OrEqual".
OPERATORS = {
    "Equals": "==",
    "DoesNotEqual": "!=",
    "IsGreaterThan": ">",
    "IsGreaterThanOrEquals": ">=",
    "IsGreaterThanOrEqual": ">=",
    "IsLessThan": "<",
    "IsLessThanOrEquals": "<=",
    "IsLessThanOrEqual": "<=",
    "Contains": "contains",
    "DoesNotContain": "!contains",
    "IsIn": "in",
    "IsNotIn": "!in",
    "StartsWith": "starts_with",
    "DoesNotStartWith": "!starts_with",
    "EndsWith": "ends_with",
    "DoesNotEndWith": "!ends_with",
    "IEquals": "insensitive_equals",
    "IDoesNotEqual": "!insensitive_equals",
    "IContains": "insensitive_contains",
    "IDoesNotContain": "!insensitive_contains",
    "IStartsWith": "insensitive_starts_with",
    "IDoesNotStartWith": "!insensitive_starts_with",
    "IEndsWith": "insensitive_ends_with",
    "IDoesNotEndWith": "!insensitive_ends_with",
    "IsIPAddressInCIDR": "in_cidr",
    "IsIPAddressNotInCIDR": "!in_cidr",
    "CIDRContainsIPAddresses": "contains_ip",
    "CIDRDoesNotContainIPAddresses": "!contains_ip",
    "IsIPAddressPublic": "is_public",
    "IsIPAddressPrivate": "is_private",
    "IsNullOrEmpty": "empty",
    "IsNotNullOrEmpty": "!empty",
}
NAMES = {operator: condition for condition, operator in OPERATORS.items()}
COMBINATORS = {"All": "and", "Any": "or"}
# The other operators raise for types that they cannot compare, or for text that is not an address.
NEVER_RAISING = {
    "==",
    "!=",
    *(
        f"{negated}{name}"
        for negated in ("", "!")
        for name in (
            "in",
            "empty",
            "starts_with",
            "ends_with",
            "insensitive_equals",
            "insensitive_starts_with",
            "insensitive_ends_with",
        )
    ),
}
NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
WITHOUT_VALUE = {"is_public", "is_private", "empty", "!empty"}
WITH_LIST = {"in", "!in"}


def transpile_filters(filters: Any) -> dict[str, Any] | None:
    """Translate a rule's `InlineFilters` to a statement for `panther_core.filter.Filter`.

    Args:
        filters: The list as written in the YAML; all entries must hold.

    Returns:
        `{"statement": …}`, as an instance's `transpileFilters` returns it; None if the filters hold
        for all events.

    Raises:
        FieldError: An entry is invalid; the message says where it is and what is wrong.
    """
    if filters in (None, []):
        return None
    statement = _translate_list(filters, "and", "InlineFilters")
    return None if statement is None else {"statement": statement}


def describe_error(filters: Iterable[Filter], event: Mapping[str, Any], error: Exception) -> str:
    """Describe an error of a rule's filters: which condition raised it, and on which value.

    Args:
        filters: The filters, compiled by panther_core.
        event: The event.
        error: The error that the filters raised.
    """
    reason = f"{type(error).__name__}: {error}"
    found = next((each for part in filters if (each := _raising(part, event))), None)
    if found is None or found.condition is None:
        return f"InlineFilters raised {reason}"
    condition = found.condition
    name = NAMES.get(condition.operator, condition.operator)
    parts = (condition.target, name, condition.value)
    text = " ".join(str(part) for part in parts if part != "")
    try:
        value = condition.compiled_path(event) if condition.compiled_path else None
    except Exception:  # the path itself raised
        return f"InlineFilters: {text} raised {reason}"
    return f"InlineFilters: {text} raised {reason}; the event has {value!r}"


def _raising(part: Filter, event: Mapping[str, Any]) -> Filter | None:
    """Return the first condition that raises; None if none does."""
    try:
        part.filter(event)
    except Exception:
        inner = [*part.ands, *part.ors, *part.nots]
        return next((found for each in inner if (found := _raising(each, event))), part)
    return None


def possible_values(filters: Any, key: str) -> frozenset[str] | None:
    """Return the values of a top-level field for which the filters can hold, or can raise.

    Args:
        filters: InlineFilters, or the match expressions of a simple detection.
        key: The field's name.

    Returns:
        The values, or None if the filters do not limit the field to a known set. A limit after a
        condition that can raise does not count: an instance evaluates that condition, and reports
        its error, for events with any value.
    """
    limits = []
    for part in filters if isinstance(filters, Sequence) else []:
        limit = _values_of(part, key)
        if limit is not None:
            limits.append(limit)
        if _can_raise(part):
            break
    return frozenset.intersection(*limits) if limits else None


def _translate_list(parts: Any, operator: str, where: str) -> dict[str, Any] | None:
    """Translate the conditions under a combinator; return None if they hold for all events."""
    if not isinstance(parts, list) or (operator == "or" and not parts):
        raise FieldError(f"{where}: must be a list of conditions, not {parts!r}")
    statements = [_translate(part, f"{where}[{i}]") for i, part in enumerate(parts)]
    found = [statement for statement in statements if statement is not None]
    if operator == "or" and len(found) < len(statements):
        return None
    return _joined(operator, found)


def _joined(operator: str, statements: list[dict[str, Any]]) -> dict[str, Any] | None:
    # A combinator around a single condition would cost a call for every event.
    if len(statements) > 1:
        return {operator: statements}
    return statements[0] if statements else None


def _translate(expression: Any, where: str) -> dict[str, Any] | None:
    if not isinstance(expression, Mapping):
        raise FieldError(f"{where}: must be a condition, not {expression!r}")
    for name, operator in COMBINATORS.items():
        if name in expression:
            return _translate_list(expression[name], operator, f"{where}.{name}")
    if "KeyPath" not in expression:
        raise FieldError(f"{where}: needs KeyPath, All or Any; it has {sorted(expression)}")
    condition = expression.get("Condition")
    if condition not in OPERATORS:
        raise FieldError(f"{where}.Condition: {condition!r} is not a known condition")
    operator = OPERATORS[condition]
    check_path(expression["KeyPath"], f"{where}.KeyPath")
    statement = {"target": expression["KeyPath"], "operator": operator}
    if operator not in WITHOUT_VALUE:
        statement["value"] = _value(expression, operator, where)
    return statement


def check_path(path: Any, where: str) -> None:
    """Check that a KeyPath is the name of a field or a JMESPath, as panther_core requires.

    panther_analysis_tool accepts any text, and an invalid path stops its whole test run.

    Raises:
        FieldError: It is neither; the message shows which names need quotes.
    """
    if not isinstance(path, str) or not path:
        raise FieldError(f"{where}: {path!r} is not a path to a field")
    if is_simple_key(path):
        return
    try:
        jmespath.compile(path)
    except jmespath.exceptions.JMESPathError as error:
        names = [name if NAME.fullmatch(name) else f'"{name}"' for name in path.split(".")]
        hint = "" if '"' in path else f"; write {'.'.join(names)}, with the quotes"
        reason = str(error).partition("\n")[0]
        raise FieldError(f"{where}: {path!r} is not a valid JMESPath{hint} ({reason})") from error


def _value(expression: Mapping[str, Any], operator: str, where: str) -> Any:
    if operator in WITH_LIST:
        if not isinstance(expression.get("Values"), list):
            raise FieldError(f"{where}.Values: {expression['Condition']} needs a list of values")
        return expression["Values"]
    if "Value" not in expression:
        raise FieldError(f"{where}.Value: {expression['Condition']} needs one value")
    return expression["Value"]


def _paths(expression: Mapping[str, Any]) -> list[Any]:
    """Return the path of a condition under each key that can hold it; None for an absent key."""
    deep = expression.get("DeepKey")
    single = deep[0] if isinstance(deep, list) and len(deep) == 1 else None
    return [expression.get("KeyPath"), expression.get("Key"), single]


def _values_of(expression: Any, key: str) -> frozenset[str] | None:
    if "All" in expression:
        return possible_values(expression["All"], key)
    if "Any" in expression:
        parts = [_values_of(part, key) for part in expression["Any"]]
        limits = [part for part in parts if part is not None]
        return frozenset[str]().union(*limits) if len(limits) == len(parts) else None
    if not isinstance(expression, Mapping) or key not in _paths(expression):
        return None
    if expression.get("Condition") == "Equals":
        return frozenset([str(expression.get("Value"))])
    if expression.get("Condition") == "IsIn":
        return frozenset(map(str, expression.get("Values", ())))
    return None


def _can_raise(expression: Any) -> bool:
    """Return whether a condition, or one inside a combinator, can raise for some event."""
    if not isinstance(expression, Mapping):
        return True
    for name in COMBINATORS:
        if name in expression:
            return any(map(_can_raise, expression[name]))
    operator = OPERATORS.get(expression.get("Condition", ""))
    # A function of JMESPath accepts some types only.
    has_function = "(" in str(expression.get("KeyPath", ""))
    return has_function or operator not in NEVER_RAISING
