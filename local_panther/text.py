"""Makes text from outside safe to show.

Records, content, file names and uploads can contain anything: control characters that a terminal
obeys, marks that change the direction of text, line breaks that forge a line. Markup needs no
treatment here: nothing from outside is passed to rich as markup, and web pages escape their text.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Any

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
MAX_SHOWN = 400  # characters of one value


def printable(text: str) -> str:
    """Return text from outside with everything unprintable replaced, except line breaks.

    This replaces control characters, marks that change the direction of text, and lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else REPLACEMENT for char in text)


def in_one_line(text: str) -> str:
    """Return printable text on one line, so that a name cannot forge a line."""
    return printable(text).replace("\n", REPLACEMENT)


def short(value: Any) -> str:
    """Return a value from a log as printable text on one line, of at most MAX_SHOWN characters."""
    text = in_one_line(str(value))
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"


def without_halves(text: str) -> str:
    """Return a text that UTF-8 can encode: each lone surrogate becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def text_of(value: Any) -> str:
    """Return a text without surrounding white space; "" for a value that is not a text."""
    return value.strip() if isinstance(value, str) else ""


def first_of(names: Sequence[str]) -> str:
    """Return the first name and how many more there are: "a and 2 more"."""
    more = len(names) - 1
    return f"{names[0]} and {more:,} more" if more else names[0]


def most_frequent(values: Iterable[Any]) -> tuple[str, ...]:
    """Return the distinct non-empty texts among some values, most frequent first."""
    counts = Counter(value for value in values if isinstance(value, str) and value)
    return tuple(value for value, _ in counts.most_common())


def is_address(text: str) -> bool:
    """Return whether a text is an IP address, unlike the name of a service or "AWS Internal"."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


class LogFormatter(logging.Formatter):
    """A formatter that writes each message on one line; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the message on one line."""
        return in_one_line(super().formatMessage(record))

    def formatException(self, ei: object) -> str:
        """Return the traceback as printable text."""
        return printable(super().formatException(ei))  # type: ignore[arg-type]
