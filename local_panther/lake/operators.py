"""Translates operators: comparisons, logic, patterns, conditions and arithmetic.

https://docs.snowflake.com/en/sql-reference/operators
"""

import re
from collections.abc import Callable

from sqlglot import exp

from local_panther.errors import FieldError
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
from local_panther.lake.formats import with_flags
from local_panther.lake.kinds import MOMENTS, Kind, Type, kind_of, scale_of, typed
from local_panther.lake.units import unit_name
from local_panther.lake.writers import call

Handler = Callable[[exp.Expr], exp.Expr]
INTERVAL = re.compile(r"\s*-?\d+(?:\.\d+)?\s*")


def _comparison(node: exp.Expr) -> exp.Expr:
    sides = [node.this, node.expression]
    if any(isinstance(side.unnest(), (exp.Any, exp.All)) for side in sides):
        raise FieldError(f"{shown(node)} is not supported here: use IN or EXISTS")
    if any(isinstance(side.unnest(), exp.Tuple) for side in sides):
        return _without_variants(node)
    is_equality = isinstance(node, (exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.NullSafeNEQ))
    left, right = comparable(sides, ordered=not is_equality)
    node.set("this", left)
    node.set("expression", right)
    return node


def _between(node: exp.Expr) -> exp.Expr:
    value, low, high = comparable([node.this, node.args["low"], node.args["high"]], ordered=True)
    return exp.Between(this=value, low=low, high=high)


def _in(node: exp.Expr) -> exp.Expr:
    subquery = node.args.get("query")
    if subquery is not None:
        projections = subquery.unnest().selects
        if isinstance(node.this, exp.Tuple):
            return _without_variants(node)
        if len(projections) == 1:
            inner = projections[0].unalias()
            place = exp.Placeholder()
            place.type = inner.type
            value, other = comparable([node.this, place], ordered=False)
            node.set("this", value)
            if other is not place and isinstance(subquery.unnest(), exp.SetOperation):
                raise FieldError("IN with a UNION is not supported for a VARIANT: cast it")
            if other is not place and inner.parent:
                inner.parent.set("this", _converted(other, place, inner))
        return node
    if node.args.get("field") or node.args.get("unnest"):
        raise FieldError(f"{shown(node)} is not supported here")
    if isinstance(node.this, exp.Tuple):
        return _without_variants(node)
    value, *values = comparable([node.this, *node.expressions], ordered=False)
    return exp.In(this=value, expressions=values)


def _without_variants(node: exp.Expr) -> exp.Expr:
    """Return a comparison of tuples unchanged; refuse it if a value is a VARIANT."""
    if any(kind_of(value) is Kind.VARIANT for value in node.find_all(exp.Anonymous, exp.Column)):
        raise FieldError(f"{shown(node)} is not supported here: compare the values one by one")
    return node


def _converted(form: exp.Expr, place: exp.Expr, value: exp.Expr) -> exp.Expr:
    """Return an expression with its placeholder replaced by a value."""
    copied = value.copy()
    found = form.copy()
    for node in list(found.find_all(exp.Placeholder)):
        node.replace(copied)
    return typed(found, form)


def _like(node: exp.Expr) -> exp.Expr:
    node.set("this", as_text(node.this))
    pattern = node.expression
    if isinstance(pattern, (exp.Any, exp.All)):
        inner = pattern.this.unnest()
        patterns = inner.expressions if isinstance(inner, exp.Tuple) else [inner]
        if any(isinstance(part, exp.Query) for part in patterns):
            raise FieldError(f"{shown(node)} is not supported with a subquery")
        kind, subject = type(node), node.this
        tests = [kind(this=subject.copy(), expression=as_text(part)) for part in patterns]
        joined = exp.or_(*tests) if isinstance(pattern, exp.Any) else exp.and_(*tests)
        return exp.paren(joined, copy=False)
    node.set("expression", as_text(pattern))
    return node


def _regexp(node: exp.Expr) -> exp.Expr:
    pattern = with_flags(as_text(node.expression), node.args.get("flag"))
    return typed(call("regexp_full_match", as_text(node.this), pattern), Type.BOOLEAN)


def _logical(node: exp.Expr) -> exp.Expr:
    for key in ("this", "expression"):
        if value := node.args.get(key):
            node.set(key, as_boolean(value))
    return node


def _join(node: exp.Expr) -> exp.Expr:
    if node.args.get("using") or node.args.get("match_condition"):
        raise FieldError(f"{shown(node)} is not supported here")
    if condition := node.args.get("on"):
        node.set("on", as_boolean(condition))
    return node


def _case(node: exp.Expr) -> exp.Expr:
    operand, branches = node.this, node.args["ifs"]
    default = node.args.get("default")
    is_variant = kind_of(node) is Kind.VARIANT
    found = []
    for branch in branches:
        test = branch.this
        if operand is not None:
            left, right = comparable([operand.copy(), test], ordered=False)
            test = exp.EQ(this=left, expression=right)
        value = branch.args["true"]
        true = as_variant(value) if is_variant else value
        found.append(exp.If(this=as_boolean(test), true=true))
    if default is not None and is_variant:
        default = as_variant(default)
    return exp.Case(ifs=found, default=default)


def _coalesce(node: exp.Expr) -> exp.Expr:
    values = [node.this, *node.expressions]
    if kind_of(node) is Kind.VARIANT:
        values = list(map(as_variant, values))
    return exp.Coalesce(this=values[0], expressions=values[1:])


def _pipe(node: exp.Expr) -> exp.Expr:
    return exp.DPipe(this=as_text(node.this), expression=as_text(node.expression))


def _sum(node: exp.Expr) -> exp.Expr:
    left, right = node.this, node.expression
    if isinstance(right, exp.Interval):
        node.set("this", as_moment(left))
        return node
    kinds = kind_of(left), kind_of(right)
    if kinds[0] in MOMENTS:
        if kinds == (Kind.DATE, Kind.DATE) and isinstance(node, exp.Sub):
            return node
        if kinds[1] in MOMENTS:
            raise FieldError("timestamps cannot be subtracted from each other: use DATEDIFF")
        days = as_integer(as_number(right))
        node.set("expression", days if kinds[0] is Kind.DATE else call("to_days", days))
        return node
    return _arithmetic(node)


def _arithmetic(node: exp.Expr) -> exp.Expr:
    node.set("this", as_number(node.this))
    if node.args.get("expression"):
        node.set("expression", as_number(node.expression))
    return node


def _divide(node: exp.Expr) -> exp.Expr:
    """Write a division; for fixed-point numbers, the result has six digits more than the dividend.

    https://docs.snowflake.com/en/sql-reference/operators-arithmetic#division
    """
    left, right = node.this, node.expression
    found = call("sf_div", as_number(left), as_number(right))
    if {kind_of(left), kind_of(right)} == {Kind.FIXED}:
        scale = scale_of(left)
        digits = max(scale, min(scale + 6, 12))
        return call("round", found, exp.Literal.number(digits))
    return found


def _modulo(node: exp.Expr) -> exp.Expr:
    return call("sf_mod", as_number(node.this), as_number(node.expression))


def _interval(node: exp.Expr) -> exp.Expr:
    amount, unit = node.this, node.args.get("unit")
    if unit is None or not isinstance(amount, exp.Literal) or not INTERVAL.fullmatch(amount.name):
        raise FieldError(f"{shown(node)} is not supported here: write one number and one unit")
    return exp.Interval(this=exp.Literal.string(amount.name), unit=exp.var(unit_name(unit).upper()))


HANDLERS: dict[type[exp.Expr], Handler] = {
    **dict.fromkeys((exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.NullSafeNEQ), _comparison),
    **dict.fromkeys((exp.GT, exp.GTE, exp.LT, exp.LTE), _comparison),
    exp.Between: _between,
    exp.In: _in,
    exp.Like: _like,
    exp.ILike: _like,
    exp.RegexpLike: _regexp,
    **dict.fromkeys((exp.And, exp.Or, exp.Not), _logical),
    **dict.fromkeys((exp.Where, exp.Having, exp.Qualify), _logical),
    exp.Join: _join,
    exp.Case: _case,
    exp.Coalesce: _coalesce,
    exp.DPipe: _pipe,
    exp.Add: _sum,
    exp.Sub: _sum,
    exp.Mul: _arithmetic,
    exp.Neg: _arithmetic,
    exp.Div: _divide,
    exp.Mod: _modulo,
    exp.Interval: _interval,
}
