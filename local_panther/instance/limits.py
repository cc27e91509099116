"""How much a client may ask for at once."""

from typing import Any

MAX_VALUES = 200_000  # in one YAML document, aliases written out


def is_too_large(document: Any) -> bool:
    """Tell whether a few lines of YAML with aliases stand for more than can be handled."""
    count, waiting = 0, [document]
    while waiting:
        value = waiting.pop()
        count += 1
        if count > MAX_VALUES:
            return True
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return False
