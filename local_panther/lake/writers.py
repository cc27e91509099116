"""Writes function calls in DuckDB's dialect, where more than the name changes.

A writer gets the arguments of a call, already converted to the types of its parameters, and returns
an expression for DuckDB. Some functions here return a writer.
"""

from collections.abc import Callable, Sequence

from sqlglot import exp

from local_panther.errors import FieldError
from local_panther.lake.formats import strftime, with_flags
from local_panther.lake.kinds import MOMENTS, NUMBERS, kind_of
from local_panther.lake.units import moved, part, truncated

Writer = Callable[[list[exp.Expr]], exp.Expr]


def call(name: str, *arguments: exp.Expr) -> exp.Expr:
    """Return a call of a function of DuckDB."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def concat(arguments: list[exp.Expr]) -> exp.Expr:
    """Write CONCAT."""
    first, *rest = arguments
    for more in rest:
        first = exp.DPipe(this=first, expression=more)
    return exp.paren(first, copy=False)


def cast_to(kind: str) -> Writer:
    """Return a writer of a cast to a type of DuckDB."""
    return lambda arguments: exp.Cast(this=arguments[0], to=exp.DataType.build(kind))


def try_cast_to(kind: str) -> Writer:
    """Return a writer of a cast that returns NULL if it fails."""
    return lambda arguments: exp.TryCast(this=arguments[0], to=exp.DataType.build(kind))


def decimal(name: type[exp.Cast], arguments: Sequence[exp.Expr]) -> exp.Expr:
    """Write TO_NUMBER, whose scale is 0 by default."""
    precision, scale = 38, 0
    given = [argument for argument in arguments[1:] if argument]
    if any(not isinstance(part, exp.Literal) or part.is_string for part in given):
        raise FieldError("a number format is not supported here")
    if given:
        precision = int(given[0].name)
        scale = int(given[1].name) if len(given) > 1 else 0
    return name(this=arguments[0], to=exp.DataType.build(f"DECIMAL({precision}, {scale})"))


def iff(arguments: list[exp.Expr]) -> exp.Expr:
    """Write IFF."""
    condition, true, false = arguments
    return exp.Case(ifs=[exp.If(this=condition, true=true)], default=false)


def nvl2(arguments: list[exp.Expr]) -> exp.Expr:
    """Write NVL2."""
    value, present, absent = arguments
    condition = exp.Not(this=exp.Is(this=value, expression=exp.null()))
    return exp.Case(ifs=[exp.If(this=condition, true=present)], default=absent)


def unless_null(name: str) -> Writer:
    """Return a writer of GREATEST or LEAST, which are NULL if any value is NULL."""

    def write(arguments: list[exp.Expr]) -> exp.Expr:
        missing = [exp.Is(this=value.copy(), expression=exp.null()) for value in arguments]
        condition = exp.or_(*missing, copy=False)
        return exp.Case(
            ifs=[exp.If(this=condition, true=exp.null())], default=call(name, *arguments)
        )

    return write


def is_type(*names: str) -> Writer:
    """Return a writer of a test whether a VARIANT holds a value of one of these types."""

    def write(arguments: list[exp.Expr]) -> exp.Expr:
        found = call("sf_typeof", arguments[0])
        return exp.In(this=found, expressions=[exp.Literal.string(name) for name in names])

    return write


def as_type(kind: str, *names: str) -> Writer:
    """Return a writer for the value of a VARIANT, or NULL if it has none of these types."""

    def write(arguments: list[exp.Expr]) -> exp.Expr:
        value = call("sf_text", arguments[0])
        cast = exp.Cast(this=value, to=exp.DataType.build(kind))
        fits = is_type(*names)([arguments[0].copy()])
        return exp.Case(ifs=[exp.If(this=fits, true=cast)])

    return write


def is_null_value(arguments: list[exp.Expr]) -> exp.Expr:
    """Write IS_NULL_VALUE."""
    return exp.EQ(this=call("json_type", arguments[0]), expression=exp.Literal.string("NULL"))


def object_construct(arguments: list[exp.Expr]) -> exp.Expr:
    """Write OBJECT_CONSTRUCT, which leaves out pairs with NULL."""
    if len(arguments) % 2:
        raise FieldError("OBJECT_CONSTRUCT needs a value for each key")
    pairs = [
        part
        for key, value in zip(arguments[::2], arguments[1::2], strict=True)
        for part in (call("sf_text", key), value)
    ]
    # A merge patch drops keys whose value is null.
    empty = exp.cast(exp.Literal.string("{}"), "json")
    return call("json_merge_patch", empty, call("json_object", *pairs))


def array_construct(arguments: list[exp.Expr]) -> exp.Expr:
    """Write ARRAY_CONSTRUCT."""
    return call("to_json", exp.Array(expressions=arguments))


def sha2(arguments: list[exp.Expr]) -> exp.Expr:
    """Write SHA2."""
    if len(arguments) > 1 and arguments[1].name != "256":
        raise FieldError("SHA2 is only supported with 256 bits")
    return call("sha256", arguments[0])


def regexp_like(arguments: list[exp.Expr]) -> exp.Expr:
    """Write REGEXP_LIKE, whose pattern must match the whole text."""
    subject, pattern, *flags = arguments
    return call("regexp_full_match", subject, with_flags(pattern, flags[0] if flags else None))


def regexp_count(arguments: list[exp.Expr]) -> exp.Expr:
    """Write REGEXP_COUNT."""
    subject, pattern, *rest = arguments
    pattern = with_flags(pattern, rest[1] if len(rest) > 1 else None)
    return call("sf_regexp_count", subject, pattern, *rest[:1])


def to_char(arguments: list[exp.Expr]) -> exp.Expr:
    """Write TO_CHAR."""
    value, *form = arguments
    if not form:
        return value  # already converted to text
    if kind_of(value) not in MOMENTS:
        raise FieldError("TO_CHAR with a format is only supported for dates and timestamps")
    return call("strftime", value, exp.Literal.string(strftime(form[0])))


def to_moment(name: str, kind: str) -> Writer:
    """Return a writer that converts text, numbers, dates and timestamps to a date or timestamp."""
    is_try = name.startswith("sf_try")

    def write(arguments: list[exp.Expr]) -> exp.Expr:
        value, *form = arguments
        if kind_of(value) in NUMBERS:
            if "date" in name:
                raise FieldError("a number cannot be converted to a date here: write it as text")
            return _zoned_or_not(call("sf_scaled" if form else "sf_seconds", value, *form), kind)
        if kind_of(value) in MOMENTS:
            if form:
                raise FieldError("a format is only allowed for text")
            return exp.Cast(this=value, to=exp.DataType.build(kind))
        if form:
            if form[0].name.upper() == "AUTO":
                return call(name, value)
            parse = call(
                "try_strptime" if is_try else "strptime",
                value,
                exp.Literal.string(strftime(form[0])),
            )
            return exp.Cast(this=parse, to=exp.DataType.build(kind))
        return call(name, value)

    return write


def _zoned_or_not(moment: exp.Expr, kind: str) -> exp.Expr:
    return exp.Cast(this=moment, to=exp.DataType.build(kind))


def trunc(arguments: list[exp.Expr]) -> exp.Expr:
    """Write TRUNC of a number, date or timestamp."""
    value, *rest = arguments
    if kind_of(value) in MOMENTS:
        return (
            truncated([rest[0], value]) if rest else truncated([exp.Literal.string("day"), value])
        )
    return call("sf_trunc", *arguments)


def convert_timezone(arguments: list[exp.Expr]) -> exp.Expr:
    """Write CONVERT_TIMEZONE."""
    if len(arguments) == 3:
        return call("sf_convert", *arguments)
    return call("sf_convert", exp.Literal.string("UTC"), *arguments)


def date_part(name: str) -> Writer:
    """Return a writer of a function for one part of a date or time, such as HOUR."""
    return lambda arguments: part([exp.Literal.string(name), *arguments])


def last_day(arguments: list[exp.Expr]) -> exp.Expr:
    """Write LAST_DAY."""
    value, *unit = arguments
    name = unit[0].name.lower() if unit else "month"
    if name == "month":
        return call("last_day", value)
    if name == "week":
        return call("sf_last_day_week", value)
    raise FieldError(f"LAST_DAY of a {name} is not supported here")


def date_from_parts(arguments: list[exp.Expr]) -> exp.Expr:
    """Write DATE_FROM_PARTS."""
    return call("make_date", *arguments)


def timestamp_from_parts(arguments: list[exp.Expr]) -> exp.Expr:
    """Write TIMESTAMP_FROM_PARTS."""
    if len(arguments) > 6:
        raise FieldError("TIMESTAMP_FROM_PARTS is only supported with six arguments")
    return call("make_timestamp", *arguments[:5], exp.cast(arguments[5], "double"))


def add_months(arguments: list[exp.Expr]) -> exp.Expr:
    """Write ADD_MONTHS."""
    return moved([exp.Literal.string("month"), arguments[1], arguments[0]])


def uuid_string(_: list[exp.Expr]) -> exp.Expr:
    """Write UUID_STRING."""
    return exp.cast(call("uuid"), "text")


def power(arguments: list[exp.Expr]) -> exp.Expr:
    """Write POWER."""
    return call("power", *(exp.cast(argument, "double") for argument in arguments))


def square(arguments: list[exp.Expr]) -> exp.Expr:
    """Write SQUARE."""
    return power([arguments[0], exp.Literal.number(2)])


def zeroifnull(arguments: list[exp.Expr]) -> exp.Expr:
    """Write ZEROIFNULL."""
    return exp.Coalesce(this=arguments[0], expressions=[exp.Literal.number(0)])


def nullifzero(arguments: list[exp.Expr]) -> exp.Expr:
    """Write NULLIFZERO."""
    return exp.Nullif(this=arguments[0], expression=exp.Literal.number(0))


def nullif(arguments: list[exp.Expr]) -> exp.Expr:
    """Write NULLIF."""
    return exp.Nullif(this=arguments[0], expression=arguments[1])


def coalesce(arguments: list[exp.Expr]) -> exp.Expr:
    """Write COALESCE."""
    return exp.Coalesce(this=arguments[0], expressions=arguments[1:])


def itself(arguments: list[exp.Expr]) -> exp.Expr:
    """Return the argument, which has already been converted."""
    return arguments[0]
