"""JSON that every parser reads."""

import json
import math
from collections.abc import Callable
from typing import Any


def json_text(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """Return a value as JSON; a number that JSON does not have, such as infinity, as a text.

    Args:
        value: Of plain types.
        default: Makes a plain value of one of another type.
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
