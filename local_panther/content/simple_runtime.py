"""Runs a simple detection: the code that is the same in all of them.

`local_panther.content.simple` joins this file's text and the settings of one detection into a
Python body, as an instance does for `transpileSimpleDetectionsToPython`. So this file may only
import the standard library and packages that an instance has.

Source: https://docs.panther.com/detections/rules/writing-simple-detections
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jmespath
from panther_core.filter import Filter

Spec = Mapping[str, Any]
Judge = Callable[[Any], bool]

MATCHES: list["Expression"] = []  # set by the code that is appended for each detection
PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


class Expression:
    """A compiled match expression."""

    def __init__(self, spec: Spec) -> None:
        """Compile a match expression."""
        self.holds = self._compiled(spec)

    def _compiled(self, spec: Spec) -> Judge:
        for name, judge in COMBINATORS.items():
            if name in spec:
                parts = [Expression(part) for part in spec[name]]
                return _combined(judge, parts)
        if spec["Condition"] == "AlwaysTrue":
            return lambda event: True
        if spec["Condition"] == "AlwaysFalse":
            return lambda event: False
        if "Expressions" in spec:
            return self._over_elements(spec)
        if "Operands" in spec:
            return self._between_two_fields(spec)
        return self._on_a_field(spec)

    @staticmethod
    def _over_elements(spec: Spec) -> Judge:
        get, judge = getter(spec), ELEMENTS[spec["Condition"]]
        parts = [Expression(part) for part in spec["Expressions"]]

        def holds(event: Any) -> bool:
            elements = get(event)
            if not isinstance(elements, list):
                return False
            return judge([all(part.holds(element) for part in parts) for element in elements])

        return holds

    @staticmethod
    def _between_two_fields(spec: Spec) -> Judge:
        first, second = (getter(key) for key in spec["Operands"])

        def holds(event: Any) -> bool:
            # The second value depends on the event, so that the filter cannot be compiled before.
            return applies(compiled_filter(spec["Operator"], second(event)), first(event))

        return holds

    @staticmethod
    def _on_a_field(spec: Spec) -> Judge:
        get = getter(spec)
        if spec["Condition"] in PRESENCE:
            is_present = PRESENCE[spec["Condition"]]
            return lambda event: is_present(get(event, MISSING))
        compiled = compiled_filter(spec["Operator"], spec["Operand"])
        return lambda event: applies(compiled, get(event))


def _combined(judge: Callable[[list[bool]], bool], parts: list[Expression]) -> Judge:
    return lambda event: judge([part.holds(event) for part in parts])


MISSING = object()

COMBINATORS: dict[str, Callable[[list[bool]], bool]] = {
    "All": all,
    "Any": any,
    "OnlyOne": lambda results: sum(results) == 1,
    "None": lambda results: not any(results),
}
ELEMENTS: dict[str, Callable[[list[bool]], bool]] = {
    "AllElements": all,
    "AnyElement": any,
    "NoElement": lambda results: not any(results),
    "OnlyOneElement": lambda results: sum(results) == 1,
}
PRESENCE: dict[str, Callable[[Any], bool]] = {
    "Exists": lambda value: value is not MISSING,
    "DoesNotExist": lambda value: value is MISSING,
    "IsNull": lambda value: value is None or value is MISSING,
    "IsNotNull": lambda value: value is not None and value is not MISSING,
}


def compiled_filter(operator: str, operand: Any) -> Filter:
    """Compile a comparison as InlineFilters do."""
    return Filter({"target": "value", "operator": operator, "value": operand})


def applies(compiled: Filter, value: Any) -> bool:
    """Return whether a value satisfies a filter; values that cannot be compared do not."""
    try:
        return compiled.filter({"value": value})
    except Exception:  # pylint: disable=broad-except
        return False


def getter(spec: Spec) -> Callable[..., Any]:
    """Return a function that gets the value of Key, DeepKey or KeyPath from an event."""
    if "KeyPath" in spec:
        search = jmespath.compile(spec["KeyPath"]).search

        def get(event: Any, default: Any = None) -> Any:
            value = search(event)
            if value is None and not is_present_at(event, spec["KeyPath"]):
                return default
            return value

        return get
    keys = spec["DeepKey"] if "DeepKey" in spec else [spec["Key"]]
    return lambda event, default=None: deep_value(event, keys, default)


def deep_value(value: Any, keys: Sequence[str | int], default: Any = None) -> Any:
    """Return the value at a path of keys and indexes; the default if the path leads nowhere."""
    for key in keys:
        is_index = isinstance(value, list) and isinstance(key, int)
        if (is_index and -len(value) <= int(key) < len(value)) or (
            isinstance(value, dict) and key in value
        ):
            value = value[key]
        else:
            return default
    return value


def is_present_at(event: Any, path: str) -> bool:
    """Return whether an event has the field at a dotted path, even if it is null."""
    return deep_value(event, path.split("."), MISSING) is not MISSING


def plain(event: Any) -> Any:
    """Return the event as a plain mapping."""
    return event.to_dict() if hasattr(event, "to_dict") else event


def rule(event: Any) -> bool:
    """Return whether all match expressions hold."""
    event = plain(event)
    return all(expression.holds(event) for expression in MATCHES)


def fill(template: str, event: Any) -> str:
    """Fill in the {path} placeholders of an alert title."""
    event = plain(event)
    return PLACEHOLDER.sub(lambda found: str(getter({"KeyPath": found[1]})(event)), template)
