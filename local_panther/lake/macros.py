"""Expands Panther's time macros to Snowflake conditions, in which `$now` is the time of the run.

https://docs.panther.com/search/data-explorer#macros
"""

import re
from collections.abc import Callable

from sqlglot import exp

from local_panther.errors import FieldError

TIME_COLUMN = "p_event_time"
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
OFFSET = re.compile(
    r"\s*(\d+)\s*(s|m|h|d|w|seconds?|min(?:ute)?s?|hours?|days?|weeks?)\s*", re.IGNORECASE
)


def expand_macros(query: exp.Expr, reach: str | None = None) -> None:
    """Replace the time macros of a query by conditions.

    Args:
        query: A result of `parse_sql`; it is changed.
        reach: A length of time, such as '3 h', that replaces the one in every p_occurs_since.

    Raises:
        FieldError: A macro has invalid arguments.
    """
    for macro in list(query.find_all(exp.Anonymous)):
        name = macro.name.lower()
        if name in MACROS:
            arguments = macro.expressions
            if reach and name == "p_occurs_since" and arguments:
                arguments = [exp.Literal.string(reach), *arguments[1:]]
            if len(arguments) < LEAST[name]:
                raise FieldError(f"{macro.sql()} needs at least {LEAST[name]} argument(s)")
            macro.replace(exp.paren(MACROS[name](arguments), copy=False))


def now() -> exp.Expr:
    """Return an expression for the time of the run."""
    return exp.cast(exp.Placeholder(this="now"), "timestamp")


def offset_of(macro: exp.Anonymous) -> float:
    """Return the length of the window of a p_occurs_since, in seconds.

    Raises:
        FieldError: Its first argument is not a length of time.
    """
    if not macro.expressions:
        raise FieldError(f"{macro.sql()} needs a length of time such as '3 h'")
    return _seconds(macro.expressions[0])


def _since(arguments: list[exp.Expr]) -> exp.Expr:
    offset, column = _seconds(arguments[0]), _column(arguments[1:])
    return _between(column, _shifted(now(), -offset), now())


def _around(arguments: list[exp.Expr]) -> exp.Expr:
    moment, offset, column = arguments[0], _seconds(arguments[1]), _column(arguments[2:])
    return _between(column, _shifted(moment, -offset), _shifted(moment, offset))


def _range(arguments: list[exp.Expr]) -> exp.Expr:
    return _between(_column(arguments[2:]), *(_shifted(moment, 0) for moment in arguments[:2]))


def _after(arguments: list[exp.Expr]) -> exp.Expr:
    return exp.GTE(this=_column(arguments[1:]), expression=_shifted(arguments[0], 0))


def _before(arguments: list[exp.Expr]) -> exp.Expr:
    return exp.LT(this=_column(arguments[1:]), expression=_shifted(arguments[0], 0))


MACROS: dict[str, Callable[[list[exp.Expr]], exp.Expr]] = {
    "p_occurs_since": _since,
    "p_occurs_around": _around,
    "p_occurs_between": _range,
    "p_occurs_after": _after,
    "p_occurs_before": _before,
}
LEAST = {
    "p_occurs_since": 1,
    "p_occurs_around": 2,
    "p_occurs_between": 2,
    "p_occurs_after": 1,
    "p_occurs_before": 1,
}


def _seconds(argument: exp.Expr) -> float:
    """Return the length of an offset such as '3 h' in seconds; a bare number means seconds."""
    found = OFFSET.fullmatch(argument.name)
    if found:
        return int(found[1]) * UNIT_SECONDS[found[2][0].lower()]
    if argument.name.isdecimal():
        return int(argument.name)
    raise FieldError(f"{argument.sql()} is not a length of time such as '3 h'")


def _column(rest: list[exp.Expr]) -> exp.Column:
    """Return the time column of a macro, from its last two arguments: table and column."""
    given = [None if isinstance(part, exp.Null) else part.name for part in rest]
    alias, column = (*given, None, None)[:2]
    return exp.column(column or TIME_COLUMN, table=alias)


def _between(column: exp.Column, low: exp.Expr, high: exp.Expr) -> exp.Expr:
    return exp.Between(this=column, low=low, high=high)


def _shifted(moment: exp.Expr, seconds: float) -> exp.Expr:
    base = exp.cast(moment.copy(), "timestamp")
    interval = exp.Interval(this=exp.Literal.string(str(int(seconds))), unit=exp.var("SECOND"))
    return exp.Add(this=base, expression=interval)
