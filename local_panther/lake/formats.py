"""Translates date formats and regular expressions from Snowflake's syntax to DuckDB's."""

import re

from sqlglot import exp

from local_panther.errors import FieldError

# https://docs.snowflake.com/en/sql-reference/date-time-input-output#about-the-elements-used-in-input-and-output-formats
DATE_ELEMENTS = {
    "YYYY": "%Y",
    "YY": "%y",
    "MMMM": "%B",
    "MON": "%b",
    "MM": "%m",
    "DD": "%d",
    "DY": "%a",
    "HH24": "%H",
    "HH12": "%I",
    "AM": "%p",
    "PM": "%p",
    "MI": "%M",
    "SS": "%S",
    "FF3": "%g",
    "FF6": "%f",
    "FF9": "%n",
    "FF": "%n",
}
ELEMENT = re.compile("|".join(DATE_ELEMENTS) + r'|"([^"]*)"|[^A-Za-z0-9"]+|T', re.IGNORECASE)
# https://docs.snowflake.com/en/sql-reference/functions-regexp#label-regexp-parameters-argument
FLAGS = {"i": "i", "m": "m", "s": "s"}


def strftime(form: exp.Expr) -> str:
    """Return a date format in the syntax of strftime.

    Raises:
        FieldError: The format has an element that is not supported.
    """
    if not (isinstance(form, exp.Literal) and form.is_string):
        raise FieldError("a date format must be a literal string")
    text, written, place = form.name, "", 0
    while place < len(text):
        found = ELEMENT.match(text, place)
        if not found:
            raise FieldError(f"the format {text!r} is not supported here from {text[place:]!r} on")
        plain = found[0] if found[1] is None else found[1]
        written += DATE_ELEMENTS.get(found[0].upper(), plain.replace("%", "%%"))
        place = found.end()
    return written


def with_flags(pattern: exp.Expr, flags: exp.Expr | None) -> exp.Expr:
    """Return a regular expression with its parameters as inline flags, such as `(?i)`.

    Raises:
        FieldError: A parameter is not supported.
    """
    given = _flags(flags)
    unknown = set(given) - {"c", "e", *FLAGS}
    if unknown:
        raise FieldError(
            f"the parameter {min(unknown)!r} of a regular expression is not supported here"
        )
    case = next((flag for flag in reversed(given) if flag in "ci"), "")  # the last one wins
    inline = "".join(sorted(set(given) & {"m", "s"})) + ("i" if case == "i" else "")
    if not inline:
        return pattern
    if isinstance(pattern, exp.Literal):
        return exp.Literal.string(f"(?{inline}){pattern.name}")
    return exp.paren(
        exp.DPipe(this=exp.Literal.string(f"(?{inline})"), expression=pattern), copy=False
    )


def regexp_substr(arguments: list[exp.Expr]) -> exp.Expr:
    """Write REGEXP_SUBSTR, whose parameter `e` returns a group, by default the first."""
    subject, pattern, start, nth, flags, group = (*arguments, *[None] * 6)[:6]
    assert subject is not None and pattern is not None
    number = int(group.name) if isinstance(group, exp.Literal) else 0
    if group is None and "e" in _flags(flags):
        number = 1
        if isinstance(pattern, exp.Literal) and not _has_group(pattern.name):
            number = 0
    one = exp.Literal.number(1)
    return exp.Anonymous(
        this="sf_regexp_substr",
        expressions=[
            subject,
            with_flags(pattern, flags),
            start or one,
            nth or one.copy(),
            exp.Literal.number(number),
        ],
    )


def regexp_replace(arguments: list[exp.Expr]) -> exp.Expr:
    """Write REGEXP_REPLACE for all matches or for the first."""
    subject, pattern, new, start, nth, flags = (*arguments, *[None] * 6)[:6]
    assert subject is not None and pattern is not None
    if start is not None and start.name != "1":
        raise FieldError("REGEXP_REPLACE is only supported from position 1")
    if nth is not None and nth.name not in ("0", "1"):
        raise FieldError("REGEXP_REPLACE is only supported for all occurrences or the first")
    everywhere = [] if nth is not None and nth.name == "1" else [exp.Literal.string("g")]
    return exp.Anonymous(
        this="regexp_replace",
        expressions=[
            subject,
            with_flags(pattern, flags),
            new or exp.Literal.string(""),
            *everywhere,
        ],
    )


def _flags(flags: exp.Expr | None) -> str:
    if flags is None:
        return ""
    if not (isinstance(flags, exp.Literal) and flags.is_string):
        raise FieldError("the parameters of a regular expression must be a literal string")
    return flags.name


def _has_group(pattern: str) -> bool:
    return re.search(r"(?<!\\)(?:\\\\)*\((?!\?)", pattern) is not None
