"""Parses objects that tables hold as text: in JSON, Athena's notation or Python's.

Athena writes a struct or a map as `{type=IAMUser, arn=…}`, without quotes. The values of a map can
themselves be JSON, as in CloudTrail Lake, whose parameters are map<string, string>. pandas writes
objects into CSV as Python literals, `{'type': 'IAMUser'}`.
"""

import ast
import re
from typing import Any

from local_panther.records.forms.json_values import DECODER

KEY = re.compile(r"([\w.:/@-]+)=")
TEXT = re.compile(
    r"(.*?)(?=, [\w.:/@-]+=|\}(?:[,}\]]|$)|\](?:[,}\]]|$)|$)",
    re.DOTALL,
)
ENTRY = re.compile(r"[^,\]]*")
PYTHON = re.compile(r"[\[{(]\s*(?:\{\s*)?'")
MAX_PYTHON_CHARACTERS = 1024 * 1024


class NotationError(ValueError):
    """An object as text in an unknown notation; the message shows its beginning."""


def parsed(text: str) -> Any:
    """Return the object or list that a text represents; any other text unchanged, null as None.

    Raises:
        NotationError: The text begins like an object or a list, but in an unknown notation.
    """
    text = text.strip()
    if text[:1] not in ("{", "["):
        return None if text.lower() == "null" else text
    try:
        return DECODER.decode(text)
    except (ValueError, RecursionError):
        pass
    if PYTHON.match(text) and len(text) < MAX_PYTHON_CHARACTERS:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            pass
    try:
        value, end = _value(text, 0)
    except RecursionError as error:
        raise NotationError("nested too deeply") from error
    if end != len(text) or (not value and text not in ("{}", "[]")):
        raise NotationError(f"in an unknown notation: {text[:60]}")
    return value


def _value(text: str, position: int) -> tuple[Any, int]:
    """Return the value at a position of Athena's notation, and where it ends."""
    opening = text[position : position + 1]
    if opening in ("{", "["):
        if (end := _json_end(text, position)) is not None:
            return text[position:end], end
        return _fields(text, position) if opening == "{" else _entries(text, position)
    found = TEXT.match(text, position)
    end = found.end() if found else len(text)
    value = text[position:end]
    return (None if value == "null" else value), end


def _json_end(text: str, position: int) -> int | None:
    """Return where the JSON at a position ends; None if there is none.

    JSON stays a text, as it is one in the map. `{}` and `[]` do not count as JSON, as they are
    empty objects and lists in both notations.
    """
    if text.startswith(("{}", "[]"), position):
        return None
    try:
        _, end = DECODER.raw_decode(text, position)
    except (ValueError, RecursionError):
        return None
    return end if text[end : end + 1] in (",", "}", "]", "") else None


def _fields(text: str, position: int) -> tuple[dict[str, Any], int]:
    fields: dict[str, Any] = {}
    position += 1
    while key := KEY.match(text, position):
        fields[key[1]], position = _value(text, key.end())
        position += 2 if text.startswith(", ", position) else 0
    return fields, _closed(text, position, "}")


def _entries(text: str, position: int) -> tuple[list[Any], int]:
    entries: list[Any] = []
    position += 1
    while position < len(text) and text[position] != "]":
        before = position
        if text[position] in "{[":
            entry, position = _value(text, position)
        else:
            end = ENTRY.match(text, position).end()  # type: ignore[union-attr] # always matches
            entry, position = text[position:end], end
        entries.append(entry)
        position += 2 if text.startswith(", ", position) else 0
        if position == before:
            break
    return entries, _closed(text, position, "]")


def _closed(text: str, position: int, bracket: str) -> int:
    if not text.startswith(bracket, position):
        raise NotationError(f"in an unknown notation: {text[:60]}")
    return position + 1
