"""Reads JSON that simdjson refuses.

This can be broken JSON, whose valid records are all read, or valid input that simdjson does not
accept: concatenated documents, and numbers of many digits.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from local_panther.records.forms.json_values import DECODER

# The start of a list that is the document, or the value of its only key: {"Records": [
LIST_START = re.compile(r'\s*(?:\{\s*"\w+"\s*:\s*)?\[\s*')
SEPARATOR = re.compile(r"[\s,]*")
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
LIST_KEY = re.compile(r'"(?:Records|Events|events|logEvents|results)"\s*:\s*\[\s*')
HEAD_CHARACTERS = 64 * 1024  # searched for the key of a list
FIRST_KEY = re.compile(r'\{\s*"(\w+)"')
USUAL_FIRST_KEY = "eventVersion"
CLOSING = {"{": "}", "[": "]"}
BATCH_VALUES = 1000
MAX_VALUE_CHARACTERS = 4 * 1024 * 1024  # longest broken record; CloudTrail's have at most 1 MB
MAX_GAPS = 1000  # in one document; parsing stops after that many

Lost = Callable[[str, str], None]  # reports an unread part: its place in the document, the reason
Values = tuple[list[Any], Callable[[int], str]]  # the second returns the place, given the index


def salvaged(text: bytes, lost: Lost) -> Iterator[Values]:
    """Yield the valid values of a document in batches.

    After a broken record, reading continues with the next record.

    Args:
        text: The document.
        lost: Called for each invalid part, with its size.
    """
    return _Salvage(text.decode("utf-8", errors="replace").removeprefix("\ufeff"), lost).values()


class _Salvage:
    """The reading of one document."""

    def __init__(self, text: str, lost: Lost) -> None:
        self._text = text
        self._lost = lost
        self._decoder = DECODER
        self._gaps = 0
        self._entry_start = re.compile("")

    def values(self) -> Iterator[Values]:
        """Yield concatenated documents, and the entries of a broken list."""
        position, number = self._after_space(0), 0
        while position < len(self._text):
            try:
                value, end = self._decoder.raw_decode(self._text, position)
            except (ValueError, RecursionError) as error:
                start = self._list_start(position)
                if start is None:
                    self._report(position, len(self._text), "", error)
                    return
                yield from self._entries(start.end())
                return
            number += 1
            is_only = number == 1 and self._after_space(end) == len(self._text)
            if isinstance(value, list):
                yield value, _numbered_after(0)
            else:
                yield [value], (lambda _: "") if is_only else _numbered_after(number - 1)
            position = self._after_space(end)

    def _entries(self, position: int) -> Iterator[Values]:
        """Yield the valid entries of a broken list, from its first entry on."""
        first = FIRST_KEY.search(self._text, position, position + HEAD_CHARACTERS)
        key = first[1] if first else USUAL_FIRST_KEY
        self._entry_start = re.compile(rf'\{{\s*"(?:{key}|{USUAL_FIRST_KEY})"\s*:')
        found: list[Any] = []
        numbers: list[int] = []
        number = 0
        while position < len(self._text) and self._gaps < MAX_GAPS:
            if self._text[position] in "]}":  # the end of the list, or of the object around it
                position = self._after_space(position + 1)
                continue
            number += 1
            try:
                value, end = self._decoder.raw_decode(self._text, position)
                found.append(value)
                numbers.append(number)
            except (ValueError, RecursionError) as error:
                end = self._next(position)
                self._report(position, end, f", record {number}", error)
            position = self._after_space(end)
            if len(found) == BATCH_VALUES:
                yield found, _numbered(numbers)
                found, numbers = [], []
        if found:
            yield found, _numbered(numbers)
        if position < len(self._text):
            rest = ValueError(f"parsing stopped after {MAX_GAPS} errors")
            self._report(position, len(self._text), f", record {number + 1}", rest)

    def _next(self, position: int) -> int:
        """Return where the entry after a broken one begins, or where the broken one ends."""
        end = self._balanced_end(position)
        start = self._entry_start.search(self._text, position + 1)
        # An unterminated string can hide the brackets of the following entries.
        if end and self._follows_entry(end) and (start is None or end <= start.start()):
            return end
        return start.start() if start else len(self._text)

    def _list_start(self, position: int) -> re.Match[str] | None:
        limit = position + HEAD_CHARACTERS
        return LIST_START.match(self._text, position) or LIST_KEY.search(
            self._text, position, limit
        )

    def _follows_entry(self, position: int) -> bool:
        """Return whether the text at a position can follow an entry of a list."""
        return self._text[position : position + 64].lstrip()[:1] in (",", "]", "")

    def _balanced_end(self, position: int) -> int | None:
        """Return where the brackets that open at a position are closed; None if they are not."""
        open_brackets: list[str] = []
        for token in TOKEN.finditer(self._text, position, position + MAX_VALUE_CHARACTERS):
            bracket = token.group()
            if bracket in CLOSING:
                open_brackets.append(CLOSING[bracket])
            elif bracket in CLOSING.values():
                if not open_brackets or open_brackets.pop() != bracket:
                    return None
                if not open_brackets:
                    return token.end()
        return None

    def _after_space(self, position: int) -> int:
        separator = SEPARATOR.match(self._text, position)
        return separator.end() if separator else position

    def _report(self, start: int, end: int, place: str, error: Exception) -> None:
        self._gaps += 1
        is_deep = isinstance(error, RecursionError)
        reason = "nested too deeply" if is_deep else str(error).split(": line")[0]
        self._lost(place, f"{reason} ({end - start:,} characters not read)")


def _numbered_after(before: int) -> Callable[[int], str]:
    return lambda index: f", record {before + index + 1}"


def _numbered(numbers: list[int]) -> Callable[[int], str]:
    return lambda index: f", record {numbers[index]}"
