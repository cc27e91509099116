"""Text from outside, made safe for where it is shown.

Records, content, file names and uploads hold whatever their authors like: control characters that
a terminal obeys, marks that turn the direction of text, line breaks that begin a line of their own.
Markup is no part of this: nothing from outside is passed to rich as markup, and the page escapes
what it shows.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Any

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
MAX_SHOWN = 400  # characters of one value


def printable(text: str) -> str:
    """Return text from outside as it can be shown, line breaks kept.

    No control character, no mark that changes the direction of text and no half of a surrogate pair
    gets through.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else REPLACEMENT for char in text)


def in_one_line(text: str) -> str:
    """Return text from outside on one line, so that no name can start a line of its own."""
    return printable(text).replace("\n", REPLACEMENT)


def short(value: Any) -> str:
    """Return a value from a log in few characters, without any that a terminal would obey."""
    text = in_one_line(str(value))
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"


def without_halves(text: str) -> str:
    """Return a text that UTF-8 can hold: each half of a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def text_of(value: Any) -> str:
    """Return a text without the white space around it; "" for any other value."""
    return value.strip() if isinstance(value, str) else ""


def first_of(names: Sequence[str]) -> str:
    """Return the first name and how many more there are: "a and 2 more"."""
    more = len(names) - 1
    return f"{names[0]} and {more:,} more" if more else names[0]


def most_frequent(values: Iterable[Any]) -> tuple[str, ...]:
    """Return the distinct texts among values that are not empty, the most frequent first."""
    counts = Counter(value for value in values if isinstance(value, str) and value)
    return tuple(value for value, _ in counts.most_common())


def is_address(text: str) -> bool:
    """Return whether a text is an IP address, and not the name of a service or "AWS Internal"."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


class LogFormatter(logging.Formatter):
    """Writes each message on one line; the lines of a traceback stay lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the message in one line."""
        return in_one_line(super().formatMessage(record))

    def formatException(self, ei: object) -> str:
        """Return the traceback as it can be shown."""
        return printable(super().formatException(ei))  # type: ignore[arg-type]
