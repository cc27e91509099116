"""Translates function calls, by the table in `functions` or by a handler of their own."""

import re
from collections.abc import Callable

from sqlglot import exp

from local_panther.content.sql_dialect import function_name
from local_panther.errors import FieldError
from local_panther.lake.casts import extracted, key
from local_panther.lake.coercion import (
    as_boolean,
    as_integer,
    as_moment,
    as_number,
    as_text,
    as_variant,
    comparable,
    shown,
)
from local_panther.lake.functions import FUNCTIONS, NOW_FUNCTIONS, WINDOW_FUNCTIONS, Function
from local_panther.lake.kinds import MOMENTS, Kind, Type, common_type, kind_of, typed
from local_panther.lake.macros import now
from local_panther.lake.names import similar_function
from local_panther.lake.units import part
from local_panther.lake.writers import call

Handler = Callable[[exp.Expr], exp.Expr]


def _function(node: exp.Expr) -> exp.Expr:
    name, arguments = function_name(node), node.expressions
    if name in NOW_FUNCTIONS:
        return _moment_of_run(NOW_FUNCTIONS[name])
    if name in SPECIAL:
        return SPECIAL[name](node)
    function = FUNCTIONS.get(name)
    if function is None:
        if name in WINDOW_FUNCTIONS:
            raise FieldError(f"{name} needs OVER (…)")
        raise FieldError(f"the function {name} is not supported here{similar_function(name)}")
    if not function.accepts(len(arguments)):
        raise FieldError(f"{name} is not supported with {len(arguments)} arguments")
    return function.write(name, fitting(function, arguments, kind_of(node)))


def fitting(function: Function, arguments: list[exp.Expr], kind: Kind) -> list[exp.Expr]:
    """Convert the arguments of a function to the types of its parameters.

    Args:
        function: The function.
        arguments: The arguments, with their own types.
        kind: The kind of the function's result.

    Raises:
        FieldError: An argument cannot be converted.
    """
    found = []
    for place, argument in enumerate(arguments):
        letter = function.letter(place)
        if letter == "l" and not isinstance(argument.unnest(), (exp.Literal, exp.Neg)):
            raise FieldError(f"{shown(argument)} must be a literal value")
        if letter == "c" and function.gives == "common":
            argument = as_variant(argument) if kind is Kind.VARIANT else argument
        elif letter in FITTING:
            argument = FITTING[letter](argument)
        found.append(argument)
    return found


def _any(node: exp.Expr) -> exp.Expr:
    return as_text(node) if kind_of(node) is Kind.VARIANT else node


FITTING: dict[str, Callable[[exp.Expr], exp.Expr]] = {
    "t": as_text,
    "n": as_number,
    "i": as_integer,
    "b": as_boolean,
    "m": as_moment,
    "v": as_variant,
    "a": _any,
}


def _moment_of_run(kind: Type | str) -> exp.Expr:
    moment = now()
    if kind is Type.DATE:
        return exp.cast(moment, "date")
    if kind is Type.TIME:
        return exp.cast(moment, "time")
    if kind is Type.TIMESTAMPLTZ:
        return typed(exp.cast(moment, "timestamptz"), Type.TIMESTAMPLTZ)
    return typed(exp.paren(moment, copy=False), Type.TIMESTAMPNTZ)


def _current(kind: Type) -> Callable[[exp.Expr], exp.Expr]:
    return lambda _: _moment_of_run(kind)


def _extract(node: exp.Expr) -> exp.Expr:
    return part([node.this, as_moment(node.expression)])


def _nullif(node: exp.Expr) -> exp.Expr:
    value, other = node.expressions
    left, right = comparable([value.copy(), other], ordered=False)
    same = exp.EQ(this=left, expression=right)
    return exp.Case(ifs=[exp.If(this=same, true=exp.null())], default=value)


def _decode(node: exp.Expr) -> exp.Expr:
    """Write DECODE, which treats NULL as equal to NULL."""
    value, *rest = node.expressions
    default = rest.pop() if len(rest) % 2 else None
    is_variant = kind_of(node) is Kind.VARIANT
    branches = []
    for test, result in zip(rest[::2], rest[1::2], strict=True):
        left, right = comparable([value.copy(), test], ordered=False)
        same = exp.NullSafeEQ(this=left, expression=right)
        branches.append(exp.If(this=same, true=as_variant(result) if is_variant else result))
    if default is not None and is_variant:
        default = as_variant(default)
    return exp.Case(ifs=branches, default=default)


def _equal_null(node: exp.Expr) -> exp.Expr:
    left, right = comparable(list(node.expressions), ordered=False)
    return exp.paren(exp.NullSafeEQ(this=left, expression=right), copy=False)


def _extremum(node: exp.Expr) -> exp.Expr:
    """Write GREATEST and LEAST, whose values are compared with each other."""
    name = function_name(node)
    values = comparable(list(node.expressions), ordered=False)
    if any(kind_of(value) is Kind.VARIANT for value in node.expressions) and all(
        kind_of(value) in (Kind.VARIANT, Kind.NULL) for value in node.expressions
    ):
        raise FieldError(f"{name} of VARIANT values is not supported here: cast them")
    return typed(FUNCTIONS[name].write(name, values), common_type(values))


def get_path(node: exp.Expr) -> exp.Expr:
    """Write GET_PATH, whose path is a string.

    Raises:
        FieldError: The path is not a literal.
    """
    value, path = node.expressions
    if not isinstance(path, exp.Literal):
        raise FieldError("the path of GET_PATH must be a literal string")
    steps = re.findall(r"\['([^']*)'\]|\[(\d+)\]|\.?([A-Za-z_]\w*)", path.name)
    written = "".join(key(a or c) if a or c else f"[{b}]" for a, b, c in steps)
    return extracted(value, written)


def _to_text(node: exp.Expr) -> exp.Expr:
    value, *form = node.expressions
    if not form:
        return as_text(value)
    if kind_of(value) in (Kind.VARIANT, Kind.TEXT):
        value = as_moment(value)
    return FUNCTIONS["TO_CHAR"].write("TO_CHAR", [value, *form])


def _convert_timezone(node: exp.Expr) -> exp.Expr:
    *zones, moment = node.expressions
    if len(zones) not in (1, 2):
        raise FieldError("CONVERT_TIMEZONE needs one or two time zones and a time")
    if len(zones) == 1:
        return call("sf_convert_to", as_text(zones[0]), as_moment(moment))
    return call("sf_convert", *map(as_text, zones), as_moment(moment))


def _trunc(node: exp.Expr) -> exp.Expr:
    value, *rest = node.expressions
    if kind_of(value) not in MOMENTS:
        value = as_number(value)
        rest = list(map(as_integer, rest))
    return FUNCTIONS["TRUNC"].write("TRUNC", [value, *rest])


SPECIAL: dict[str, Callable[[exp.Expr], exp.Expr]] = {
    "NULLIF": _nullif,
    "DECODE": _decode,
    "EQUAL_NULL": _equal_null,
    "GREATEST": _extremum,
    "LEAST": _extremum,
    "GREATEST_IGNORE_NULLS": _extremum,
    "LEAST_IGNORE_NULLS": _extremum,
    "GET_PATH": get_path,
    "TO_CHAR": _to_text,
    "TO_VARCHAR": _to_text,
    "CONVERT_TIMEZONE": _convert_timezone,
    "TRUNC": _trunc,
    "TRUNCATE": _trunc,
}


def _array(node: exp.Expr) -> exp.Expr:
    return call("to_json", exp.Array(expressions=list(map(as_variant, node.expressions))))


def _struct(node: exp.Expr) -> exp.Expr:
    pairs = [
        argument
        for pair in node.expressions
        for argument in (
            as_variant(typed(exp.Literal.string(pair.this.name), Type.VARCHAR)),
            as_variant(pair.expression),
        )
    ]
    return FUNCTIONS["OBJECT_CONSTRUCT"].write("OBJECT_CONSTRUCT", pairs)


HANDLERS: dict[type[exp.Expr], Handler] = {
    exp.Anonymous: _function,
    exp.Extract: _extract,
    exp.CurrentTimestamp: _current(Type.TIMESTAMPLTZ),
    exp.CurrentDate: _current(Type.DATE),
    exp.CurrentTime: _current(Type.TIME),
    exp.Localtime: _current(Type.TIME),
    exp.Array: _array,
    exp.Struct: _struct,
}
