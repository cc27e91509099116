"""InlineFilters of a rule's YAML, translated to what `panther_core.filter` evaluates.

Source: https://docs.panther.com/detections/rules/inline-filters and the operators that are
registered in `panther_core/filter.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from local_panther.errors import FieldError

# The documentation writes "OrEquals" and "OrEqual"; both occur.
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
COMBINATORS = {"All": "and", "Any": "or"}
WITHOUT_VALUE = {"is_public", "is_private", "empty", "!empty"}
WITH_LIST = {"in", "!in"}


def transpile_filters(filters: Any) -> dict[str, Any] | None:
    """Translate a rule's `InlineFilters` to a statement for `panther_core.filter.Filter`.

    Args:
        filters: The list as it stands in the YAML; all entries must hold.

    Returns:
        `{"statement": …}` as an instance answers `transpileFilters`, or None where there is nothing
        to filter.

    Raises:
        FieldError: An entry has no known form. The message names its place and what is wrong.
    """
    if filters in (None, []):
        return None
    statement = _translate_list(filters, "and", "InlineFilters")
    return None if statement is None else {"statement": statement}


def possible_values(filters: Any, key: str) -> frozenset[str] | None:
    """Tell which values of a top-level field can pass the filters at all.

    Args:
        filters: InlineFilters, or the match expressions of a simple detection.
        key: The field's name.

    Returns:
        The values, or None where the filters do not limit the field to a known set.
    """
    parts = filters if isinstance(filters, Sequence) else []
    limits = [limit for part in parts if (limit := _values_of(part, key)) is not None]
    return frozenset.intersection(*limits) if limits else None


def _translate_list(parts: Any, operator: str, where: str) -> dict[str, Any] | None:
    """Translate the conditions under a combinator; None if they hold for all events."""
    if not isinstance(parts, list) or (operator == "or" and not parts):
        raise FieldError(f"{where}: must be a list of conditions, not {parts!r}")
    statements = [_translate(part, f"{where}[{i}]") for i, part in enumerate(parts)]
    found = [statement for statement in statements if statement is not None]
    if operator == "or" and len(found) < len(statements):
        return None
    return _joined(operator, found)


def _joined(operator: str, statements: list[dict[str, Any]]) -> dict[str, Any] | None:
    # A single condition needs no combinator, which would cost every event a call.
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
    statement = {"target": expression["KeyPath"], "operator": operator}
    if operator not in WITHOUT_VALUE:
        statement["value"] = _value(expression, operator, where)
    return statement


def _value(expression: Mapping[str, Any], operator: str, where: str) -> Any:
    if operator in WITH_LIST:
        if not isinstance(expression.get("Values"), list):
            raise FieldError(f"{where}.Values: {expression['Condition']} needs a list of values")
        return expression["Values"]
    if "Value" not in expression:
        raise FieldError(f"{where}.Value: {expression['Condition']} needs one value")
    return expression["Value"]


def _paths(expression: Mapping[str, Any]) -> list[Any]:
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
        return frozenset(expression.get("Values", ()))
    return None
