"""Reads what can be read of JSON that the fast parser refuses.

That is broken JSON, of which every record is read that is valid by itself, and valid JSON beyond
the fast parser: documents one behind the other, numbers of many digits.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from local_panther.records.forms.json_values import DECODER

# The list that a document is, or holds under one key: {"Records": [
LIST_START = re.compile(r'\s*(?:\{\s*"\w+"\s*:\s*)?\[\s*')
SEPARATOR = re.compile(r"[\s,]*")
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
LIST_KEY = re.compile(r'"(?:Records|Events|events|logEvents|results)"\s*:\s*\[\s*')
HEAD_CHARACTERS = 64 * 1024  # in which the key of a list is looked for
FIRST_KEY = re.compile(r'\{\s*"(\w+)"')
USUAL_FIRST_KEY = "eventVersion"
CLOSING = {"{": "}", "[": "]"}
BATCH_VALUES = 1000
MAX_VALUE_CHARACTERS = 4 * 1024 * 1024  # of a broken record: CloudTrail's have at most 1 MB
MAX_GAPS = 1000  # in one document; behind them it is given up

Lost = Callable[[str, str], None]  # takes the place in the document, and what is wrong
Values = tuple[list[Any], Callable[[int], str]]  # and the place of each by its index


def salvaged(text: bytes, lost: Lost) -> Iterator[Values]:
    """Yield the valid values of a document in batches.

    After a broken record the reading goes on with the next one.

    Args:
        text: The document.
        lost: Called for each part that is not valid, with its size.
    """
    return _Salvage(text.decode("utf-8", errors="replace").removeprefix("\ufeff"), lost).values()


class _Salvage:
    def __init__(self, text: str, lost: Lost) -> None:
        self._text = text
        self._lost = lost
        self._decoder = DECODER
        self._gaps = 0
        self._entry_start = re.compile("")

    def values(self) -> Iterator[Values]:
        """Yield documents one behind the other, and the entries of a broken list."""
        position, number = self._after_space(0), 0
        while position < len(self._text):
            try:
                value, end = self._decoder.raw_decode(self._text, position)
            except (ValueError, RecursionError) as error:
                start = self._list_start(position)
                if start is None:
                    self._lose(position, len(self._text), "", error)
                    return
                yield from self._entries(start.end())
                return
            number += 1
            is_only = number == 1 and self._after_space(end) == len(self._text)
            if isinstance(value, list):
                yield value, _numbered(0)
            else:
                yield [value], (lambda _: "") if is_only else _numbered(number - 1)
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
            if self._text[position] in "]}":  # the end of the list, and of what holds it
                position = self._after_space(position + 1)
                continue
            number += 1
            try:
                value, end = self._decoder.raw_decode(self._text, position)
                found.append(value)
                numbers.append(number)
            except (ValueError, RecursionError) as error:
                end = self._next(position)
                self._lose(position, end, f", record {number}", error)
            position = self._after_space(end)
            if len(found) == BATCH_VALUES:
                yield found, _placed(numbers)
                found, numbers = [], []
        if found:
            yield found, _placed(numbers)
        if position < len(self._text):
            rest = ValueError("the rest was given up")
            self._lose(position, len(self._text), f", record {number + 1}", rest)

    def _next(self, position: int) -> int:
        """Return where the entry after a broken one begins, or where the broken one ends."""
        end = self._balanced_end(position)
        start = self._entry_start.search(self._text, position + 1)
        # A string that never ends can hide the brackets of the entries behind it.
        if end and self._follows_entry(end) and (start is None or end <= start.start()):
            return end
        return start.start() if start else len(self._text)

    def _list_start(self, position: int) -> re.Match[str] | None:
        limit = position + HEAD_CHARACTERS
        return LIST_START.match(self._text, position) or LIST_KEY.search(
            self._text, position, limit
        )

    def _follows_entry(self, position: int) -> bool:
        """Return whether what is at a position can follow an entry of a list."""
        return self._text[position : position + 64].lstrip()[:1] in (",", "]", "")

    def _balanced_end(self, position: int) -> int | None:
        """Return where the brackets that open at a position are closed again."""
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

    def _lose(self, start: int, end: int, place: str, error: Exception) -> None:
        self._gaps += 1
        is_deep = isinstance(error, RecursionError)
        reason = "nested too deeply" if is_deep else str(error).split(": line")[0]
        self._lost(place, f"{reason} ({end - start:,} characters not read)")


def _numbered(before: int) -> Callable[[int], str]:
    return lambda index: f", record {before + index + 1}"


def _placed(numbers: list[int]) -> Callable[[int], str]:
    return lambda index: f", record {numbers[index]}"
