"""Translates the date and time functions of Snowflake that take a unit of time.

https://docs.snowflake.com/en/sql-reference/functions-date-time#supported-date-and-time-parts
"""

from sqlglot import exp

from local_panther.errors import FieldError
from local_panther.lake.kinds import Kind, kind_of

SPELLINGS = {
    "year": "y yy yyy yyyy yr years yrs",
    "quarter": "q qtr qtrs quarters",
    "month": "mm mon mons months",
    "week": "w wk weekofyear woy wy weeks",
    "day": "d dd days dayofmonth",
    "hour": "h hh hr hours hrs",
    "minute": "m mi min minutes mins",
    "second": "s sec seconds secs",
    "millisecond": "ms msec milliseconds",
    "microsecond": "us usec microseconds",
    "dayofweek": "weekday dow dw",
    "dayofweekiso": "weekday_iso dow_iso dw_iso dayofweek_iso",
    "dayofyear": "yearday doy dy",
    "weekiso": "week_iso weekofyeariso weekofyear_iso",
    "yearofweek": "",
    "yearofweekiso": "",
    "epoch_second": "epoch epoch_seconds",
    "epoch_millisecond": "epoch_milliseconds",
    "epoch_microsecond": "epoch_microseconds",
}
UNITS = {spelling: unit for unit, more in SPELLINGS.items() for spelling in (unit, *more.split())}
LENGTHS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
# DuckDB's names of parts. https://docs.snowflake.com/en/sql-reference/parameters#week-start is 0.
PARTS = {
    "week": "week",
    "weekiso": "week",
    "dayofweek": "dayofweek",
    "dayofweekiso": "isodow",
    "dayofyear": "dayofyear",
    "yearofweek": "isoyear",
    "yearofweekiso": "isoyear",
}
EPOCHS = {"epoch_second": "epoch", "epoch_millisecond": "epoch_ms", "epoch_microsecond": "epoch_us"}


def unit_name(node: exp.Expr) -> str:
    """Return the unit that an argument names.

    Raises:
        FieldError: It is not a supported unit of time.
    """
    name = node.name.lower()
    if name not in UNITS:
        raise FieldError(f"{node.sql('snowflake')} is not a unit of time that is supported here")
    return UNITS[name]


def moved(arguments: list[exp.Expr]) -> exp.Expr:
    """Write DATEADD; a date stays a date unless the unit is smaller than a day."""
    unit, amount, moment = unit_name(arguments[0]), arguments[1], arguments[2]
    if unit not in (*LENGTHS, "millisecond", "microsecond"):
        raise FieldError(f"DATEADD of {arguments[0].name} is not supported here")
    whole: exp.Expr = exp.cast(_call("round", amount), "bigint")
    if unit == "quarter":
        whole, unit = exp.Mul(this=exp.paren(whole), expression=exp.Literal.number(3)), "month"
    length = _call(f"to_{unit}s", whole)
    total = exp.paren(exp.Add(this=moment, expression=length), copy=False)
    stays_date = kind_of(moment) is Kind.DATE and unit in LENGTHS[:5]
    return exp.cast(total, "date") if stays_date else total


def datediff(arguments: list[exp.Expr]) -> exp.Expr:
    """Write DATEDIFF, which counts the boundaries between two moments."""
    unit, start, end = unit_name(arguments[0]), arguments[1], arguments[2]
    if unit == "week":
        return _call("sf_datediff_week", start, end)
    if unit not in (*LENGTHS, "millisecond", "microsecond"):
        raise FieldError(f"DATEDIFF of {arguments[0].name} is not supported here")
    return _call("date_diff", exp.Literal.string(unit), _timestamp(start), _timestamp(end))


def truncated(arguments: list[exp.Expr]) -> exp.Expr:
    """Write DATE_TRUNC, whose result has the type of its argument."""
    unit, moment = unit_name(arguments[0]), arguments[1]
    if unit not in (*LENGTHS, "millisecond", "microsecond"):
        raise FieldError(f"DATE_TRUNC to {arguments[0].name} is not supported here")
    kind = {Kind.DATE: "date", Kind.ZONED: "timestamptz"}.get(kind_of(moment), "timestamp")
    return exp.cast(_call("date_trunc", exp.Literal.string(unit), moment), kind)


def part(arguments: list[exp.Expr]) -> exp.Expr:
    """Write DATE_PART and the functions for one part, such as HOUR."""
    unit, moment = unit_name(arguments[0]), arguments[1]
    if unit in EPOCHS:
        return exp.cast(_call("floor", _call(EPOCHS[unit], _timestamp(moment))), "bigint")
    if moment.type and moment.type.this is exp.DType.TIMESTAMPTZ:
        raise FieldError(
            "a part of a TIMESTAMP_TZ depends on its original offset, "
            "which is not kept here: convert it with CONVERT_TIMEZONE first"
        )
    if unit in ("millisecond", "microsecond"):
        raise FieldError(f"DATE_PART of {arguments[0].name} is not supported here")
    return _call("date_part", exp.Literal.string(PARTS.get(unit, unit)), moment)


def sliced(arguments: list[exp.Expr]) -> exp.Expr:
    """Write TIME_SLICE, whose slices start at 1970-01-01."""
    moment, length, unit, *edge = arguments
    name = unit_name(unit)
    if name not in LENGTHS:
        raise FieldError(f"TIME_SLICE of {unit.name} is not supported here")
    if name == "quarter":
        raise FieldError("TIME_SLICE of a quarter is not supported here: use three months")
    step = exp.Interval(this=exp.Literal.string(length.name), unit=exp.var(name.upper()))
    # A slice of weeks begins on the Monday of the week of 1970-01-01.
    origin = "1969-12-29" if name == "week" else "1970-01-01"
    start = _call(
        "time_bucket", step, _timestamp(moment), exp.cast(exp.Literal.string(origin), "timestamp")
    )
    if edge and edge[0].name.lower() == "end":
        start = exp.paren(exp.Add(this=start, expression=step.copy()), copy=False)
    return exp.cast(start, "date" if kind_of(moment) is Kind.DATE else "timestamp")


def _timestamp(moment: exp.Expr) -> exp.Expr:
    return exp.cast(moment, "timestamp")


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=list(arguments))
