"""Reads values for the parameters of a saved query, by the types of the query's examples."""

import re
from datetime import date

from sqlglot import exp

from local_panther.content.sql_dialect import function_name
from local_panther.errors import FieldError
from local_panther.times import parse_time, sql_timestamp

NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
TRUE, FALSE = ("true", "t", "yes", "1"), ("false", "f", "no", "0")
TIMES = ("CURRENT_TIMESTAMP", "SYSDATE", "GETDATE", "TO_TIMESTAMP", "TO_TIMESTAMP_NTZ", "DATEADD")


def type_of(default: exp.Expr) -> str:
    """Return the type of a parameter, as DuckDB calls it, by its example in the query."""
    value = default.unnest()
    if isinstance(value, exp.Cast):
        kind: exp.DataType = value.to
        if kind.is_type(*exp.DataType.TEXT_TYPES):
            return "text"
        if kind.is_type(exp.DType.BOOLEAN):
            return "boolean"
        if kind.is_type(exp.DType.DATE):
            return "date"
        if kind.is_type(*exp.DataType.TEMPORAL_TYPES):
            return "timestamp"
        return "number" if kind.is_type(*exp.DataType.NUMERIC_TYPES) else "text"
    if isinstance(value, exp.Boolean):
        return "boolean"
    if isinstance(value, exp.Neg) or (isinstance(value, exp.Literal) and not value.is_string):
        return "number"
    if isinstance(value, exp.CurrentTimestamp) or function_name(value) in TIMES:
        return "timestamp"
    return "text"


def parameter_value(default: exp.Expr, given: str | exp.Expr) -> exp.Expr:
    """Return the value of a parameter as an expression of DuckDB.

    Args:
        default: Its example in the query.
        given: A text written by a person, or an expression.

    Raises:
        FieldError: The text is not a value of the parameter's type.
    """
    kind = type_of(default)
    if not isinstance(given, str):
        return exp.cast(given, {"number": "double"}.get(kind, kind))
    text = given.strip()
    if kind == "text":
        return exp.Literal.string(given)
    if kind == "number":
        if not NUMBER.fullmatch(text):
            raise FieldError(f"{given!r} is not a number")
        number = exp.Literal.number(text.lstrip("+-"))
        return exp.Neg(this=number) if text.startswith("-") else number
    if kind == "boolean":
        if text.lower() not in (*TRUE, *FALSE):
            raise FieldError(f"{given!r} is neither true nor false")
        return exp.true() if text.lower() in TRUE else exp.false()
    if kind == "date":
        try:
            return exp.cast(exp.Literal.string(str(date.fromisoformat(text))), "date")
        except ValueError as error:
            raise FieldError(f"{given!r} is not a date such as 2026-01-05") from error
    return exp.cast(exp.Literal.string(_moment(text)), "timestamp")


def _moment(text: str) -> str:
    """Return a time in UTC: an offset is applied, and a date is its first moment."""
    time = parse_time(text) if len(text) > len("2026-01-05") else parse_time(f"{text}T00:00")
    if time is None:
        example = "2026-01-05 10:00:00 or 2026-01-05T10:00:00+02:00"
        raise FieldError(f"{text!r} is not a time such as {example}")
    return sql_timestamp(time)
