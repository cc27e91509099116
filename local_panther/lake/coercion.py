"""Converts expressions to the type that Snowflake needs, which gives a VARIANT its meaning.

https://docs.snowflake.com/en/sql-reference/data-type-conversion says which types are converted
without a cast. A VARIANT is JSON in DuckDB. JSON text must never be compared or passed to a string
function directly, because it would keep its quotes.
"""

from sqlglot import exp

from local_panther.errors import FieldError
from local_panther.lake.kinds import MOMENTS, NUMBERS, Kind, Type, kind_of, typed
from local_panther.lake.writers import call

PATH = "sf_path"
CLOCK = "sf_convert_to"


def shown(node: exp.Expr) -> str:
    """Return a part of a query as text for an error message."""
    text = " ".join(node.sql("snowflake").split())
    return text if len(text) <= 60 else f"{text[:57]}…"


def cast(node: exp.Expr, kind: str, like: Type) -> exp.Expr:
    """Return a cast to a type of DuckDB that is annotated with a type of Snowflake."""
    return typed(exp.Cast(this=node, to=exp.DataType.build(kind, dialect="duckdb")), like)


def as_text(node: exp.Expr) -> exp.Expr:
    """Return a value as text."""
    kind = kind_of(node)
    if kind is Kind.VARIANT:
        if isinstance(node, exp.Anonymous) and node.name == PATH:
            return typed(call("json_extract_string", *node.expressions), Type.VARCHAR)
        return typed(call("sf_text", node), Type.VARCHAR)
    if kind is Kind.TIMESTAMP:
        return typed(call("sf_time_text", node), Type.VARCHAR)
    if kind is Kind.ZONED:
        return typed(call("sf_zoned_text", node), Type.VARCHAR)
    if kind is Kind.FLOAT:
        return typed(call("sf_float_text", node), Type.VARCHAR)
    if kind in (Kind.FIXED, Kind.BOOLEAN, Kind.DATE, Kind.TIME):
        return cast(node, "text", Type.VARCHAR)
    if kind is Kind.UNKNOWN and isinstance(node, exp.Column):
        raise FieldError(f"the type of {node.name} is unknown: cast it")
    return node


def as_number(node: exp.Expr) -> exp.Expr:
    """Return a value as a number; text must contain a number."""
    kind = kind_of(node)
    if kind in (Kind.VARIANT, Kind.TEXT):
        return cast(as_text(node), "double", Type.DOUBLE)
    if kind is Kind.BOOLEAN:
        return cast(node, "int", Type.BIGINT)
    if kind in MOMENTS:
        raise FieldError(f"a {kind.value} is not a number")
    return node


def as_integer(node: exp.Expr) -> exp.Expr:
    """Return a value as a whole number, rounded half away from zero."""
    kind = kind_of(node)
    if kind in (Kind.VARIANT, Kind.TEXT):
        return cast(cast(as_text(node), "decimal(38, 0)", Type.BIGINT), "bigint", Type.BIGINT)
    if kind in NUMBERS and not isinstance(node.unnest(), (exp.Literal, exp.Neg)):
        return cast(call("round", node), "bigint", Type.BIGINT)
    return node


def as_boolean(node: exp.Expr) -> exp.Expr:
    """Return a value as true or false."""
    kind = kind_of(node)
    if kind in (Kind.VARIANT, Kind.TEXT):
        return typed(call("sf_boolean", as_text(node)), Type.BOOLEAN)
    if kind in NUMBERS:
        test = exp.NEQ(this=node, expression=exp.Literal.number(0))
        return typed(exp.paren(test, copy=False), Type.BOOLEAN)
    return node


def as_moment(node: exp.Expr) -> exp.Expr:
    """Return a value as a timestamp; dates and timestamps stay as they are."""
    kind = kind_of(node)
    if kind in (Kind.VARIANT, Kind.TEXT):
        return typed(call("sf_timestamp", as_text(node)), Type.TIMESTAMPNTZ)
    if kind in (*NUMBERS, Kind.BOOLEAN):
        raise FieldError(f"a {kind.value} is not a date or a timestamp")
    return node


def as_zoned(node: exp.Expr) -> exp.Expr:
    """Return a value as a timestamp with a zone."""
    if kind_of(node) in (Kind.VARIANT, Kind.TEXT):
        return typed(call("sf_zoned", as_text(node)), Type.TIMESTAMPLTZ)
    return node


def as_variant(node: exp.Expr) -> exp.Expr:
    """Return a value as a VARIANT."""
    kind = kind_of(node)
    if kind is Kind.VARIANT:
        return node
    if kind is Kind.NULL:
        return cast(node, "json", Type.VARIANT)
    value = as_text(node) if kind in (*MOMENTS, Kind.TIME) else node
    return typed(call("to_json", value), Type.VARIANT)


CONVERTERS = {
    Kind.TEXT: as_text,
    Kind.FIXED: as_number,
    Kind.FLOAT: as_number,
    Kind.BOOLEAN: as_boolean,
    Kind.TIMESTAMP: as_moment,
    Kind.DATE: as_moment,
    Kind.ZONED: as_zoned,
    Kind.VARIANT: as_variant,
}


def comparable(values: list[exp.Expr], *, ordered: bool) -> list[exp.Expr]:
    """Convert values so that they can be compared with each other.

    Args:
        values: The values; some may be VARIANT.
        ordered: True if they are compared by order too, not only for equality.

    Raises:
        FieldError: One of them is a local time without its zone.
    """
    calls = [value.unnest() for value in values]
    if any(isinstance(found, exp.Anonymous) and found.name == CLOCK for found in calls):
        raise FieldError(
            "CONVERT_TIMEZONE with two arguments returns local time without its zone here: "
            "compare the original time, or pass the source zone too"
        )
    kinds = {kind_of(value) for value in values} - {Kind.NULL, Kind.UNKNOWN}
    if not kinds or (len(kinds) == 1 and Kind.VARIANT not in kinds):
        return values
    if kinds == {Kind.VARIANT}:
        if ordered:
            return [typed(call("sf_key", value), Type.STRUCT) for value in values]
        return [as_text(value) for value in values]
    target = next((kind for kind in STRONGEST if kind in kinds), None)
    if target is None or Kind.TIME in kinds:
        return values
    return [CONVERTERS[target](value) for value in values]


# If two of these kinds are compared, the later one is converted to the earlier one.
STRONGEST = (
    Kind.ZONED,
    Kind.TIMESTAMP,
    Kind.DATE,
    Kind.FLOAT,
    Kind.FIXED,
    Kind.BOOLEAN,
    Kind.TEXT,
)
