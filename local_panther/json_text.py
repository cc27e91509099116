"""Writes JSON that every parser accepts."""

import json
import math
from collections.abc import Callable
from typing import Any


def json_text(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """Return a value as JSON; numbers that JSON lacks, such as infinity, become strings.

    Args:
        value: A value of JSON's types, or of types that `default` accepts.
        default: Converts a value of another type to one of JSON's types.
    """
    try:
        return json.dumps(value, allow_nan=False, default=default)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False, default=default)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {_finite(key): _finite(entry) for key, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, (list, tuple)) else value
