"""Applies a rule's own InlineFilters where there is no Panther instance to do it.

An instance evaluates `InlineFilters` before it calls `rule()`. panther_analysis_tool without an API
token skips them, and a rule whose YAML holds its configuration would match everything in its unit
tests. Only offline is the YAML file beside the rule: if it is, its filters are applied here; if it
is not, an instance has already applied them.

https://docs.panther.com/detections/rules/inline-filters
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# Condition in YAML -> operator of panther_core.filter.
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
LIST_OPERATORS = ("in", "!in")

Predicate = Callable[[Any], bool]


def offline_filters(rule_file: str) -> Predicate:
    """Return a predicate for the InlineFilters beside a rule.

    Args:
        rule_file: The rule's own `__file__`.

    Returns:
        A function that says whether an event passes. All events pass if no YAML file is beside the
        rule (on an instance) or the file has no filters. For an event that a filter cannot be
        applied to, it raises what panther_core raises: the rule fails on an instance as well.

    Raises:
        ValueError: A filter is invalid; the message names it. Offline only.
    """
    path = Path(rule_file)
    sidecars = [path.with_suffix(suffix) for suffix in (".yml", ".yaml")]
    filters = next((_read(file, path.name) for file in sidecars if file.is_file()), None)
    return _predicate(filters) if filters else lambda event: True


def _read(sidecar: Path, rule_name: str) -> list[Any] | None:
    import yaml  # pylint: disable=import-outside-toplevel  # offline only: an instance has no yaml

    class Loader(yaml.SafeLoader):  # pylint: disable=too-many-ancestors
        """A loader that reads as panther_analysis_tool does: yes and dates as text, 012 as 12."""

    Loader.add_constructor("tag:yaml.org,2002:timestamp", _as_text)
    Loader.add_constructor("tag:yaml.org,2002:bool", _bool)
    Loader.add_constructor("tag:yaml.org,2002:int", _int)
    text = sidecar.read_text(encoding="utf-8")
    spec = yaml.load(text, Loader=Loader)  # nosec B506  # a SafeLoader
    is_own = isinstance(spec, Mapping) and spec.get("Filename") == rule_name
    return spec.get("InlineFilters") if is_own else None


def _as_text(_: Any, node: Any) -> Any:
    return node.value


def _bool(_: Any, node: Any) -> Any:
    lower = node.value.lower()
    return lower == "true" if lower in ("true", "false") else node.value


def _int(_: Any, node: Any) -> Any:
    text = node.value.replace("_", "")
    base = next((base for mark, base in (("0x", 16), ("0b", 2)) if mark in text), 10)
    return node.value if ":" in text else int(text, base)


def _predicate(filters: list[Any]) -> Predicate:
    from panther_core.filter import Filter  # pylint: disable=import-outside-toplevel

    compiled = Filter(_translate({"All": filters}))
    return lambda event: bool(compiled.filter(event))


def _translate(expression: Mapping[str, Any]) -> dict[str, Any]:
    for name, operator in COMBINATORS.items():
        if name in expression:
            return {operator: [_translate(part) for part in expression[name]]}
    condition = OPERATORS.get(expression.get("Condition", ""))
    if condition is None or "KeyPath" not in expression:
        raise ValueError(f"InlineFilters: {dict(expression)} has no known Condition or no KeyPath")
    value = expression.get("Value", expression.get("Values", ""))
    if condition in LIST_OPERATORS and not isinstance(value, list):
        raise ValueError(f"InlineFilters: {dict(expression)} needs a list under Values")
    return {"target": expression["KeyPath"], "operator": condition, "value": value}
