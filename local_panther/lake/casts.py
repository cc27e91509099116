"""Translates paths into a VARIANT, and casts.

https://docs.snowflake.com/en/sql-reference/data-type-conversion
"""

from collections.abc import Callable

from sqlglot import exp

from local_panther.errors import FieldError
from local_panther.lake.coercion import PATH, as_boolean, as_text, as_variant, shown
from local_panther.lake.kinds import MOMENTS, NUMBERS, Kind, Type, kind_of, typed
from local_panther.lake.writers import call

Handler = Callable[[exp.Expr], exp.Expr]


def _path(node: exp.Expr) -> exp.Expr:
    steps = [part for part in node.expression.expressions if not isinstance(part, exp.JSONPathRoot)]
    return extracted(node.this, "".join(map(_step, steps)))


def _step(part: exp.Expr) -> str:
    if isinstance(part, exp.JSONPathKey) and isinstance(part.this, str):
        return key(part.this)
    if isinstance(part, exp.JSONPathSubscript) and str(part.this).isdecimal():
        return f"[{part.this}]"
    raise FieldError(f"the path {part.sql('snowflake')} is not supported here")


def key(name: str) -> str:
    """Return the step of a path that leads to a name.

    Raises:
        FieldError: DuckDB cannot express the name.
    """
    if '"' in name or "\\" in name:
        raise FieldError(f"the name {name!r} in a path is not supported here")
    return f'."{name}"'


def extracted(base: exp.Expr, steps: str) -> exp.Expr:
    """Return an expression for the value at a path in a VARIANT.

    Raises:
        FieldError: The base is not a VARIANT.
    """
    if kind_of(base) is not Kind.VARIANT:
        raise FieldError(f"{shown(base)} is not a VARIANT, so it has no path {steps}")
    if isinstance(base, exp.Paren):
        base = base.unnest()
    if isinstance(base, exp.Anonymous) and base.name == PATH:
        base, steps = base.expressions[0], base.expressions[1].name[1:] + steps
    return typed(call(PATH, base, exp.Literal.string(f"${steps}")), Type.VARIANT)


def _bracket(node: exp.Expr) -> exp.Expr:
    base, (step,) = node.this, node.expressions
    if isinstance(step, exp.Literal):
        return extracted(base, key(step.name) if step.is_string else f"[{int(step.name)}]")
    return typed(call("sf_get", base, as_text(step)), Type.VARIANT)


def _dot(node: exp.Expr) -> exp.Expr:
    return extracted(node.this, key(node.expression.name))


def _cast(node: exp.Expr) -> exp.Expr:
    value, target = node.this, node.args["to"]
    if node.meta.get("flatten") or isinstance(value, exp.Placeholder):
        if node.meta.get("flatten"):
            value.type = node.type
        return value if node.meta.get("flatten") else node
    if target.is_type(exp.DType.JSON):
        raise FieldError("Snowflake has no type JSON: use PARSE_JSON, or ::variant")
    is_try = isinstance(node, exp.TryCast)
    from_kind, to_kind = kind_of(value), kind_of(node)
    if is_try and from_kind not in (Kind.TEXT, Kind.NULL):
        raise FieldError("TRY_CAST works only on strings")
    if to_kind is Kind.TEXT:
        length = target.expressions[0].name if target.expressions else ""
        whole = as_text(value)
        return typed(call("left", whole, exp.Literal.number(length)), node) if length else whole
    if to_kind is Kind.VARIANT:
        found = as_variant(value)
        is_array = target.is_type(exp.DType.ARRAY)
        return typed(call("sf_to_array", found), node) if is_array else typed(found, node)
    if to_kind is Kind.BOOLEAN:
        return call("sf_try_boolean", value) if is_try else as_boolean(value)
    if from_kind is Kind.VARIANT:
        value = as_text(value)
    if to_kind in MOMENTS:
        return _cast_moment(value, node, is_try=is_try)
    return _cast_number(value, target, is_try=is_try)


def _cast_moment(value: exp.Expr, node: exp.Expr, *, is_try: bool) -> exp.Expr:
    kind, name = kind_of(node), "sf_try_" if is_try else "sf_"
    if kind_of(value) in NUMBERS:
        value = typed(call("sf_seconds", value), Type.TIMESTAMPNTZ)
    if kind_of(value) is not Kind.TEXT:
        written = {Kind.DATE: "date", Kind.ZONED: "timestamptz"}.get(kind, "timestamp")
        return exp.Cast(this=value, to=exp.DataType.build(written))
    if kind is Kind.ZONED:
        if is_try:
            raise FieldError("TRY_CAST to a timestamp with a time zone is not supported here")
        return call("sf_zoned", value)
    return call(name + ("date" if kind is Kind.DATE else "timestamp"), value)


def _cast_number(value: exp.Expr, target: exp.DataType, *, is_try: bool) -> exp.Expr:
    if target.is_type(exp.DType.TIME):
        written = "time"
        if kind_of(value) is Kind.ZONED:
            value = exp.cast(value, "timestamp")
    elif target.is_type(exp.DType.DOUBLE, exp.DType.FLOAT):
        written = "double"
    elif target.expressions and target.expressions[-1].name != "0":
        written = f"decimal({', '.join(part.name for part in target.expressions)})"
    elif target.is_type(*exp.DataType.INTEGER_TYPES, exp.DType.DECIMAL):
        written = "hugeint"
        if kind_of(value) is Kind.FLOAT:
            value = call("round", value)
    else:
        raise FieldError(f"a cast to {target.sql('snowflake')} is not supported here")
    kind = exp.DataType.build(written, dialect="duckdb")
    return exp.TryCast(this=value, to=kind) if is_try else exp.Cast(this=value, to=kind)


HANDLERS: dict[type[exp.Expr], Handler] = {
    exp.JSONExtract: _path,
    exp.Bracket: _bracket,
    exp.Dot: _dot,
    exp.Cast: _cast,
    exp.TryCast: _cast,
}
