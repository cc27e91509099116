"""Checks schemas of custom log types: https://docs.panther.com/data-onboarding/custom-log-types."""

from collections.abc import Mapping
from typing import Any

from local_panther.content.log_types import CUSTOM
from local_panther.errors import FieldError

PLAIN = ("string", "int", "smallint", "bigint", "float", "boolean", "json")
TYPES = (*PLAIN, "timestamp", "object", "array")
MAX_DEPTH = 50


def check_schema(name: str, spec: Any) -> None:
    """Check a schema that is to be stored; see `check_spec`.

    Raises:
        FieldError: It is invalid, or is not for a custom log type.
    """
    if not CUSTOM.fullmatch(name):
        raise FieldError(f"schema: {name!r} is not a name such as Custom.Application.Audit")
    check_spec(name, spec)


def check_spec(name: str, spec: Any) -> None:
    """Check a schema.

    Args:
        name: The log type that it is for.
        spec: Its YAML, loaded.

    Raises:
        FieldError: It is invalid; the message names the key.
    """
    if not isinstance(spec, Mapping):
        raise FieldError("the schema is not a mapping of keys")
    if spec.get("schema", name) != name:
        raise FieldError(f"schema: is {spec['schema']!r}, not {name!r}")
    if spec.get("version", 0) != 0:
        raise FieldError(f"version: is {spec['version']!r}, not 0")
    _check_fields(spec.get("fields"), "fields", 0)


def _check_fields(fields: Any, where: str, depth: int) -> None:
    if not isinstance(fields, list) or not fields:
        raise FieldError(f"{where}: is not a list of fields")
    names = set()
    for number, field in enumerate(fields):
        place = f"{where}[{number}]"
        if not isinstance(field, Mapping) or not isinstance(field.get("name"), str):
            raise FieldError(f"{place}: has no name")
        if field["name"] in names:
            raise FieldError(f"{place}: {field['name']!r} is there twice")
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
            raise FieldError(f"{where}.element: is missing")
        _check_type(element, f"{where}.element", depth + 1)
    elif kind == "timestamp" and not {"timeFormat", "timeFormats"} & set(field):
        raise FieldError(f"{where}.timeFormats: is missing")
