"""JSON as Python reads it, without what is not JSON when it is written again."""

import json
import math
from typing import Any


def _number(text: str) -> float | str:
    """Return a number, or its text if no float is so large: Python would write `Infinity`."""
    number = float(text)
    return number if math.isfinite(number) else text


DECODER = json.JSONDecoder(parse_float=_number, parse_constant=str)


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, parse_float=_number, parse_constant=str)
