"""Parses JSON like Python, but without values that Python would write as invalid JSON."""

import json
import math
from typing import Any


def _number(text: str) -> float | str:
    """Return a number, or its text if it exceeds a float; Python would write it as `Infinity`."""
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
