"""Checks schemas of custom log types: https://docs.panther.com/data-onboarding/custom-log-types."""

from collections.abc import Mapping
from typing import Any

from local_panther.content.log_types import CUSTOM
from local_panther.errors import FieldError

PLAIN = ("string", "int", "smallint", "bigint", "float", "boolean", "json")
TYPES = (*PLAIN, "timestamp", "object", "array")
MAX_DEPTH = 50


def check_schema(name: str, spec: Any) -> None:
    """Check a schema before it is stored; see `check_spec`.

    Raises:
        FieldError: The schema is invalid, or its log type is not a custom one.
    """
    if not CUSTOM.fullmatch(name):
        raise FieldError(
            f"schema: {name!r} is not the name of a custom log type, such as "
            "Custom.Application.Audit"
        )
    check_spec(name, spec)


def check_spec(name: str, spec: Any) -> None:
    """Check a schema.

    Args:
        name: The log type.
        spec: The YAML, loaded.

    Raises:
        FieldError: The schema is invalid; the message names the key.
    """
    if not isinstance(spec, Mapping):
        raise FieldError("the schema must be a mapping of keys such as fields")
    if spec.get("schema", name) != name:
        raise FieldError(f"schema: must be {name!r}, not {spec['schema']!r}")
    if spec.get("version", 0) != 0:
        raise FieldError(f"version: must be 0, not {spec['version']!r}")
    _check_fields(spec.get("fields"), "fields", 0)


def _check_fields(fields: Any, where: str, depth: int) -> None:
    if not isinstance(fields, list) or not fields:
        raise FieldError(f"{where}: must be a list of fields")
    names = set()
    for number, field in enumerate(fields):
        place = f"{where}[{number}]"
        if not isinstance(field, Mapping) or not isinstance(field.get("name"), str):
            raise FieldError(f"{place}: needs a name")
        if field["name"] in names:
            raise FieldError(f"{place}: {field['name']!r} appears twice")
        names.add(field["name"])
        _check_type(field, place, depth)


def _check_type(field: Mapping[str, Any], where: str, depth: int) -> None:
    kind = field.get("type")
    if kind not in TYPES:
        raise FieldError(f"{where}.type: {kind!r} is not one of {', '.join(TYPES)}")
    if depth > MAX_DEPTH:
        raise FieldError(f"{where}: is nested more than {MAX_DEPTH} levels deep")
    if kind == "object":
        _check_fields(field.get("fields"), f"{where}.fields", depth + 1)
    elif kind == "array":
        element = field.get("element")
        if not isinstance(element, Mapping):
            raise FieldError(f"{where}.element: is missing; an array needs it")
        _check_type(element, f"{where}.element", depth + 1)
    elif kind == "timestamp" and not {"timeFormat", "timeFormats"} & set(field):
        raise FieldError(f"{where}.timeFormats: is missing; a timestamp needs it")
