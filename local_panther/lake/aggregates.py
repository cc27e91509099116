"""Translates aggregates and window functions from Snowflake to DuckDB.

https://docs.snowflake.com/en/sql-reference/functions-aggregation and
https://docs.snowflake.com/en/sql-reference/functions-window
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp

from local_panther.errors import FieldError
from local_panther.lake.coercion import as_boolean, as_integer, as_number, as_text, as_variant
from local_panther.lake.kinds import Kind, kind_of, scale_of
from local_panther.lake.writers import call

SAME_NAME = {"ANY_VALUE": "any_value", "MODE": "mode"}
OF_NUMBERS = {
    "MEDIAN": "median",
    "STDDEV": "stddev_samp",
    "STDDEV_SAMP": "stddev_samp",
    "STDDEV_POP": "stddev_pop",
    "VARIANCE": "var_samp",
    "VARIANCE_SAMP": "var_samp",
    "VAR_SAMP": "var_samp",
    "VAR_POP": "var_pop",
}
OF_BOOLEANS = {"COUNT_IF": "count_if", "BOOLAND_AGG": "bool_and", "BOOLOR_AGG": "bool_or"}


@dataclass
class Aggregate:
    """A call of an aggregate in DuckDB.

    Attributes:
        inner: The call itself, to which a window can be added.
        outer: A function that converts the result of the call.
    """

    inner: exp.Expr
    outer: Callable[[exp.Expr], exp.Expr] = field(default=lambda result: result)


def aggregate(
    name: str, arguments: list[exp.Expr], order: list[exp.Expr], *, distinct: bool
) -> Aggregate:
    """Translate an aggregate.

    Args:
        name: Its name in capitals.
        arguments: Its arguments in DuckDB's dialect, with their types in Snowflake.
        order: The order in WITHIN GROUP, in the form of DuckDB's ORDER BY.
        distinct: True if it has DISTINCT.

    Raises:
        FieldError: The aggregate is not supported with these arguments.
    """
    value = arguments[0] if arguments else None
    if value is None:
        raise FieldError(f"{name} needs an argument")
    if order and name not in ("LISTAGG", "STRING_AGG", "ARRAY_AGG", "PERCENTILE_CONT"):
        raise FieldError(f"{name} is not supported with WITHIN GROUP")
    if name in ("MIN", "MAX"):
        return _extreme(name, value)
    if name in ("MIN_BY", "MAX_BY"):
        return _by(name, arguments)
    if name in ("SUM", "AVG"):
        return _sum(name, value, distinct=distinct)
    if name in ("LISTAGG", "STRING_AGG"):
        return _listagg(arguments, order, distinct=distinct)
    if name in ("ARRAY_AGG", "ARRAY_UNIQUE_AGG"):
        return _array(value, order, distinct=distinct or name == "ARRAY_UNIQUE_AGG")
    if name == "PERCENTILE_CONT":
        return _percentile(value, order)
    if name == "OBJECT_AGG":
        return _object(arguments)
    if name in ("APPROX_COUNT_DISTINCT", "HLL"):
        return Aggregate(call("count", exp.Distinct(expressions=[value])))
    if name in OF_NUMBERS:
        number = exp.Cast(this=as_number(value), to=exp.DataType.build("double"))
        return Aggregate(call(OF_NUMBERS[name], _maybe(number, distinct=distinct)))
    if name in OF_BOOLEANS:
        return Aggregate(call(OF_BOOLEANS[name], as_boolean(value)))
    return Aggregate(call(SAME_NAME[name], _maybe(value, distinct=distinct)))


def count(node: exp.Count, arguments: list[exp.Expr], *, distinct: bool) -> exp.Expr:
    """Translate COUNT; with several arguments, a row counts if none of them is NULL."""
    if len(arguments) < 2:
        counted = _maybe(arguments[0], distinct=distinct) if arguments else exp.Star()
        return call("count", counted)
    several = call("row", *(argument.copy() for argument in arguments))
    present = exp.and_(*(_is_not_null(argument) for argument in arguments), copy=False)
    return exp.Filter(
        this=call("count", _maybe(several, distinct=distinct)),
        expression=exp.Where(this=present),
    )


def window_function(
    name: str, arguments: list[exp.Expr], window: exp.Window, *, ignore_nulls: bool
) -> exp.Expr:
    """Translate a window function."""
    if name == "RATIO_TO_REPORT":
        total = window.copy()
        total.set("this", call("sum", arguments[0].copy()))
        return call("sf_div", arguments[0], total)
    if name in ("LAG", "LEAD", "NTH_VALUE", "NTILE"):
        place = 0 if name == "NTILE" else 1
        arguments = [as_integer(a) if i == place else a for i, a in enumerate(arguments)]
    if ignore_nulls:
        arguments = [*arguments[:-1], exp.IgnoreNulls(this=arguments[-1])]
    if name in ("FIRST_VALUE", "LAST_VALUE", "NTH_VALUE") and not window.args.get("spec"):
        # Snowflake's default is the whole window.
        spec = exp.WindowSpec(
            kind="ROWS",
            start="UNBOUNDED",
            start_side="PRECEDING",
            end="UNBOUNDED",
            end_side="FOLLOWING",
        )
        window.set("spec", spec)
    window.set("this", call(name.lower(), *arguments))
    return window


def _maybe(value: exp.Expr, *, distinct: bool) -> exp.Expr:
    return exp.Distinct(expressions=[value]) if distinct else value


def _is_not_null(value: exp.Expr) -> exp.Expr:
    return exp.Not(this=exp.Is(this=value.copy(), expression=exp.null()))


def _extreme(name: str, value: exp.Expr) -> Aggregate:
    if kind_of(value) is Kind.VARIANT:
        return Aggregate(call(f"arg_{name.lower()}", value, call("sf_key", value.copy())))
    return Aggregate(call(name.lower(), value))


def _by(name: str, arguments: list[exp.Expr]) -> Aggregate:
    """Translate MIN_BY or MAX_BY, whose result may be NULL if that is the value in the row."""
    if len(arguments) != 2:
        raise FieldError(f"{name} is only supported with two arguments")
    value, by = arguments
    if kind_of(by) is Kind.VARIANT:
        by = exp.Case(ifs=[exp.If(this=_is_not_null(by), true=call("sf_key", by))])
    packed = call("struct_pack", exp.PropertyEQ(this=exp.to_identifier("v"), expression=value))
    inner = call(f"arg_{name[:3].lower()}", packed, by)
    return Aggregate(inner, lambda row: call("struct_extract", row, exp.Literal.string("v")))


def _sum(name: str, value: exp.Expr, *, distinct: bool) -> Aggregate:
    number = as_number(value)
    inner = call(name.lower(), _maybe(number, distinct=distinct))
    if name == "AVG" and kind_of(value) is Kind.FIXED:
        scale = scale_of(value)
        digits = exp.Literal.number(max(scale, min(scale + 6, 12)))
        return Aggregate(inner, lambda mean: call("round", mean, digits))
    return Aggregate(inner)


def _listagg(arguments: list[exp.Expr], order: list[exp.Expr], *, distinct: bool) -> Aggregate:
    value = as_text(arguments[0])
    delimiter = arguments[1] if len(arguments) > 1 else exp.Literal.string("")
    if order:
        delimiter = exp.Order(this=delimiter, expressions=order)
    elif distinct:  # any order, as long as it is the same in each run
        delimiter = exp.Order(this=delimiter, expressions=[exp.Ordered(this=value.copy())])
    inner = call("string_agg", _maybe(value, distinct=distinct), delimiter)
    empty = exp.Literal.string("")
    return Aggregate(inner, lambda text: exp.Coalesce(this=text, expressions=[empty]))


def _array(value: exp.Expr, order: list[exp.Expr], *, distinct: bool) -> Aggregate:
    present = _is_not_null(value)
    item = as_variant(value)
    listed = _maybe(item, distinct=distinct)
    if distinct:  # DuckDB can order distinct values only by themselves
        listed = exp.Order(this=listed, expressions=[exp.Ordered(this=item.copy())])
    elif order:
        listed = exp.Order(this=listed, expressions=order)
    inner = exp.Filter(this=call("list", listed), expression=exp.Where(this=present))

    def outer(found: exp.Expr) -> exp.Expr:
        return call("to_json", exp.Coalesce(this=found, expressions=[exp.Array(expressions=[])]))

    return Aggregate(inner, outer)


def _object(arguments: list[exp.Expr]) -> Aggregate:
    if len(arguments) != 2:
        raise FieldError("OBJECT_AGG needs a key and a value")
    key, value = as_text(arguments[0]), as_variant(arguments[1])
    present = exp.and_(_is_not_null(key), _is_not_null(value), copy=False)
    entry = call("row", key, value)
    inner = exp.Filter(this=call("list", entry), expression=exp.Where(this=present))

    def outer(found: exp.Expr) -> exp.Expr:
        entries = exp.Coalesce(this=found, expressions=[exp.Array(expressions=[])])
        return call("to_json", call("map_from_entries", entries))

    return Aggregate(inner, outer)


def _percentile(fraction: exp.Expr, order: list[exp.Expr]) -> Aggregate:
    if len(order) != 1 or not isinstance(order[0], exp.Ordered):
        raise FieldError("PERCENTILE_CONT needs WITHIN GROUP (ORDER BY one number)")
    value = exp.Cast(this=as_number(order[0].this), to=exp.DataType.build("double"))
    if order[0].args.get("desc"):
        fraction = exp.Sub(this=exp.Literal.number(1), expression=fraction)
    return Aggregate(call("quantile_cont", value, fraction))
