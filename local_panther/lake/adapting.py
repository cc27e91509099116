"""The expressions of a query, from Snowflake's dialect into DuckDB's.

Every part of a query is visited once, inner parts first, when all of them have Snowflake's types.
What is not known here is refused, and never passed on as it is: a query that would answer
otherwise than on an instance is worse than one that does not run.
"""

import re
from collections.abc import Callable

from sqlglot import exp

from local_panther.content.sql_dialect import function_name
from local_panther.errors import FieldError, LineError
from local_panther.lake.aggregates import Aggregate, aggregate, count, window_function
from local_panther.lake.coercion import (
    PATH,
    as_boolean,
    as_integer,
    as_moment,
    as_number,
    as_text,
    as_variant,
    comparable,
)
from local_panther.lake.formats import with_flags
from local_panther.lake.functions import (
    FUNCTIONS,
    NOW_FUNCTIONS,
    WINDOW_FUNCTIONS,
    Function,
    call,
)
from local_panther.lake.kinds import (
    MOMENTS,
    NUMBERS,
    Kind,
    Type,
    common_type,
    kind_of,
    scale_of,
    typed,
)
from local_panther.lake.macros import now
from local_panther.lake.names import line_of, similar_function
from local_panther.lake.units import part, unit_name

ROWS = "p_rows"
INTERVAL = re.compile(r"\s*-?\d+(?:\.\d+)?\s*")

# Parts of a query that mean the same in both dialects.
PLAIN = (
    *(exp.Select, exp.Subquery, exp.CTE, exp.With, exp.From, exp.Join, exp.Where, exp.Group),
    *(exp.Having, exp.Qualify, exp.Order, exp.Ordered, exp.Limit, exp.Offset, exp.Fetch),
    *(exp.Distinct, exp.SetOperation, exp.Table, exp.TableAlias, exp.Identifier, exp.Column),
    *(exp.Literal, exp.Boolean, exp.Null, exp.Star, exp.Alias, exp.Paren, exp.Tuple, exp.Var),
    *(exp.And, exp.Or, exp.Not, exp.Is, exp.Exists, exp.Any, exp.All, exp.Placeholder),
    *(exp.Case, exp.If, exp.Coalesce, exp.Lateral, exp.DataType, exp.DataTypeParam),
    *(exp.Window, exp.WindowSpec, exp.WithinGroup, exp.IgnoreNulls, exp.RespectNulls),
    *(exp.Cube, exp.Rollup, exp.GroupingSets, exp.Interval, exp.Escape, exp.PropertyEQ),
    *(exp.JSONPath, exp.JSONPathPart, exp.Hint, exp.Kwarg, exp.Explode),
    exp.RecursiveWithSearch,
)


def adapt(query: exp.Query) -> exp.Query:
    """Return a query of DuckDB for a query with types.

    Args:
        query: From `names.resolved`; it is changed.

    Raises:
        FieldError: It has something that is not translated.
    """
    _visit(query)
    _show_zones(query)
    return _with_ordered_unions(query)


def _visit(node: exp.Expr) -> exp.Expr:
    """Adapt a part of a query, put it in its place and return it."""
    parent, key, index = node.parent, node.arg_key, node.index
    try:
        handler = OWN.get(type(node))
        if handler is None:
            for child in list(node.iter_expressions()):
                _visit(child)
            handler = AFTER.get(type(node), _plain)
        found = handler(node)
    except LineError:
        raise
    except FieldError as error:
        raise LineError(line_of(node) or _line_above(node), str(error)) from error
    if found is not node:
        if found.type is None:
            found.type = node.type
        if parent and key:  # as they were: what was found can hold the node itself
            parent.set(key, found, index)
    return found


def _line_above(node: exp.Expr) -> int | None:
    while node.parent:
        node = node.parent
        if line := line_of(node):
            return line
    return None


def _plain(node: exp.Expr) -> exp.Expr:
    if isinstance(node, PLAIN):
        return node
    raise FieldError(f"{_shown(node)} is not translated here")


def _shown(node: exp.Expr) -> str:
    text = " ".join(node.sql("snowflake").split())
    return text if len(text) <= 60 else f"{text[:57]}…"


# -- paths, casts


def _path(node: exp.Expr) -> exp.Expr:
    steps = [part for part in node.expression.expressions if not isinstance(part, exp.JSONPathRoot)]
    return _extracted(node.this, "".join(map(_step, steps)))


def _step(part: exp.Expr) -> str:
    if isinstance(part, exp.JSONPathKey) and isinstance(part.this, str):
        return _key(part.this)
    if isinstance(part, exp.JSONPathSubscript) and str(part.this).isdecimal():
        return f"[{part.this}]"
    raise FieldError(f"the path {part.sql('snowflake')} is not translated here")


def _key(name: str) -> str:
    if '"' in name or "\\" in name:
        raise FieldError(f"the name {name!r} in a path is not translated here")
    return f'."{name}"'


def _extracted(base: exp.Expr, steps: str) -> exp.Expr:
    if kind_of(base) is not Kind.VARIANT:
        raise FieldError(f"{_shown(base)} is not a VARIANT, so that it has no path {steps}")
    if isinstance(base, exp.Paren):
        base = base.unnest()
    if isinstance(base, exp.Anonymous) and base.name == PATH:
        base, steps = base.expressions[0], base.expressions[1].name[1:] + steps
    return typed(call(PATH, base, exp.Literal.string(f"${steps}")), Type.VARIANT)


def _bracket(node: exp.Expr) -> exp.Expr:
    base, (key,) = node.this, node.expressions
    if isinstance(key, exp.Literal):
        return _extracted(base, _key(key.name) if key.is_string else f"[{int(key.name)}]")
    return typed(call("sf_get", base, as_text(key)), Type.VARIANT)


def _dot(node: exp.Expr) -> exp.Expr:
    return _extracted(node.this, _key(node.expression.name))


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
        raise FieldError("TRY_CAST works on texts only")
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
            raise FieldError("TRY_CAST to a time with a zone is not translated here")
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
        raise FieldError(f"a cast to {target.sql('snowflake')} is not translated here")
    kind = exp.DataType.build(written, dialect="duckdb")
    return exp.TryCast(this=value, to=kind) if is_try else exp.Cast(this=value, to=kind)


# -- operators


def _comparison(node: exp.Expr) -> exp.Expr:
    sides = [node.this, node.expression]
    if any(function_name(side.unnest()) == "SF_CONVERT_TO" for side in sides):
        raise FieldError(
            "CONVERT_TIMEZONE with two arguments gives the clock of that zone here: "
            "compare the time itself, or name the source zone too"
        )
    if any(isinstance(side.unnest(), (exp.Any, exp.All)) for side in sides):
        raise FieldError(f"{_shown(node)} is not translated here: use IN or EXISTS")
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
            if other is not place and inner.parent:
                inner.parent.set("this", _converted(other, place, inner))
        return node
    if node.args.get("field") or node.args.get("unnest"):
        raise FieldError(f"{_shown(node)} is not translated here")
    if isinstance(node.this, exp.Tuple):
        return _without_variants(node)
    value, *values = comparable([node.this, *node.expressions], ordered=False)
    return exp.In(this=value, expressions=values)


def _without_variants(node: exp.Expr) -> exp.Expr:
    """Return a comparison of several values at once, which are not converted."""
    if any(kind_of(value) is Kind.VARIANT for value in node.find_all(exp.Anonymous, exp.Column)):
        raise FieldError(f"{_shown(node)} is not translated here: compare the values one by one")
    return node


def _converted(form: exp.Expr, place: exp.Expr, value: exp.Expr) -> exp.Expr:
    """Return a form with a value in its place."""
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
            raise FieldError(f"{_shown(node)} is not translated with a subquery")
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
        raise FieldError(f"{_shown(node)} is not translated here")
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
            raise FieldError("timestamps are not subtracted from each other: use DATEDIFF")
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
    """Write a division: that of fixed-point numbers has six digits more than its dividend.

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
        raise FieldError(f"{_shown(node)} is not translated here: write one number and one unit")
    return exp.Interval(this=exp.Literal.string(amount.name), unit=exp.var(unit_name(unit).upper()))


# -- functions


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
        raise FieldError(f"the function {name} is not translated here{similar_function(name)}")
    if not function.accepts(len(arguments)):
        raise FieldError(f"{name} is not translated with {len(arguments)} arguments")
    return function.write(name, _fitting(function, arguments, kind_of(node)))


def _fitting(function: Function, arguments: list[exp.Expr], kind: Kind) -> list[exp.Expr]:
    found = []
    for place, argument in enumerate(arguments):
        letter = function.letter(place)
        if letter == "l" and not isinstance(argument.unnest(), (exp.Literal, exp.Neg)):
            raise FieldError(f"{_shown(argument)} must be written out as a value")
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
    """Write DECODE, in which NULL equals NULL."""
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
        raise FieldError(f"{name} of VARIANT values is not translated here: cast them")
    return typed(FUNCTIONS[name].write(name, values), common_type(values))


def _get_path(node: exp.Expr) -> exp.Expr:
    value, path = node.expressions
    if not isinstance(path, exp.Literal):
        raise FieldError("the path of GET_PATH must be written out as a text")
    steps = re.findall(r"\['([^']*)'\]|\[(\d+)\]|\.?([A-Za-z_]\w*)", path.name)
    written = "".join(_key(a or c) if a or c else f"[{b}]" for a, b, c in steps)
    return _extracted(value, written)


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
        raise FieldError("CONVERT_TIMEZONE needs one zone or two, and a time")
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
    "GET_PATH": _get_path,
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


# -- aggregates and windows


def _aggregate(node: exp.Expr) -> exp.Expr:
    found = _parts_of(node, [])
    return found.outer(found.inner)


def _parts_of(node: exp.Expr, order: list[exp.Expr]) -> Aggregate:
    name = function_name(node)
    arguments = list(node.expressions)
    distinct = bool(arguments) and isinstance(arguments[0], exp.Distinct)
    if distinct:
        arguments = [*arguments[0].expressions, *arguments[1:]]
    arguments = [_visit(argument) for argument in arguments]
    return aggregate(name, [argument.copy() for argument in arguments], order, distinct=distinct)


def _within_group(node: exp.Expr) -> exp.Expr:
    found = _parts_of(node.this, _group_order(node))
    return found.outer(found.inner)


def _group_order(node: exp.Expr) -> list[exp.Expr]:
    order = node.expression
    if function_name(node.this) == "PERCENTILE_CONT":  # which is over numbers
        for ordered in order.expressions:
            _visit(ordered)
    else:
        _visit(order)
    return [ordered.copy() for ordered in order.expressions]


def _count(node: exp.Expr) -> exp.Expr:
    counted = node.this
    distinct = isinstance(counted, exp.Distinct)
    values = list(counted.expressions) if distinct else [counted, *node.expressions]
    if isinstance(counted, exp.Star):
        return call("count", exp.Star())
    if any(value.is_star for value in values):
        raise FieldError("COUNT of all columns of a table is not translated here: use COUNT(*)")
    values = [_visit(value).copy() for value in values]
    assert isinstance(node, exp.Count)
    return count(node, values, distinct=distinct)


def _window(node: exp.Expr) -> exp.Expr:
    assert isinstance(node, exp.Window)
    for key in ("partition_by", "order", "spec"):
        for child in _listed(node.args.get(key)):
            _visit(child)
    inner, ignore_nulls = node.this, False
    if isinstance(inner, (exp.IgnoreNulls, exp.RespectNulls)):
        ignore_nulls = isinstance(inner, exp.IgnoreNulls)
        inner = inner.this
    if isinstance(inner, exp.Count):
        node.set("this", _count(inner))
        return node
    if isinstance(inner, (exp.AnonymousAggFunc, exp.WithinGroup)):
        if ignore_nulls:
            raise FieldError(f"{_shown(node)} is not translated with IGNORE NULLS")
        is_group = isinstance(inner, exp.WithinGroup)
        order = _group_order(inner) if is_group else []
        found = _parts_of(inner.this if is_group else inner, order)
        window = node.copy()
        window.set("this", found.inner)
        return found.outer(window)
    name = function_name(inner)
    if name not in WINDOW_FUNCTIONS:
        raise FieldError(f"the window function {name or _shown(inner)} is not translated here")
    function = WINDOW_FUNCTIONS[name]
    arguments = list(inner.expressions)
    if arguments and isinstance(arguments[0], (exp.IgnoreNulls, exp.RespectNulls)):
        ignore_nulls = isinstance(arguments[0], exp.IgnoreNulls)
        arguments[0] = arguments[0].this
    if not function.accepts(len(arguments)):
        raise FieldError(f"{name} is not translated with {len(arguments)} arguments")
    arguments = [_visit(argument).copy() for argument in arguments]
    fitting = _fitting(function, arguments, kind_of(inner))
    window = node.copy()
    return window_function(name, fitting, window, ignore_nulls=ignore_nulls)


def _listed(value: object) -> list[exp.Expr]:
    return value if isinstance(value, list) else [value] if isinstance(value, exp.Expr) else []


def _order(node: exp.Expr) -> exp.Expr:
    """Write ORDER BY: a VARIANT is ordered by its numbers and then by its texts."""
    found: list[exp.Expr] = []
    for ordered in node.expressions:
        value = ordered.this
        if kind_of(_aliased(value, node)) is not Kind.VARIANT:
            found.append(ordered)
            continue
        for form in ("sf_order_number", "sf_text"):
            key = ordered.copy()
            key.set("this", call(form, value.copy()))
            found.append(key)
    node.set("expressions", found)
    return node


def _aliased(value: exp.Expr, order: exp.Expr) -> exp.Expr:
    """Return what a name in ORDER BY stands for: a column of the result."""
    query = order.parent
    if isinstance(value, exp.Column) and not value.table and isinstance(query, exp.Query):
        for projection in query.selects:
            if projection.alias_or_name == value.name:
                return projection.unalias()
    return value


def _column(node: exp.Expr) -> exp.Expr:
    return typed(call("to_json", node), Type.ARRAY) if node.meta.get("list") else node


def _alias(node: exp.Expr) -> exp.Expr:
    node.type = node.this.type
    return node


def _set_operation(node: exp.Expr) -> exp.Expr:
    """Let both sides of a UNION have the same types."""
    sides = [node.this.unnest().selects, node.expression.unnest().selects]
    for left, right in zip(*sides, strict=False):
        kinds = {kind_of(left.unalias()), kind_of(right.unalias())}
        if Kind.VARIANT in kinds and len(kinds) > 1:
            for projection in (left, right):
                if isinstance(projection, exp.Alias):
                    projection.set("this", as_variant(projection.this))
    return node


# -- tables


def _lateral(node: exp.Expr) -> exp.Expr:
    flatten = node.this
    if not isinstance(flatten, exp.Explode):
        raise FieldError(f"{_shown(node)} is not translated here")
    given = {}
    for argument in [flatten.this, *flatten.expressions]:
        if isinstance(argument, exp.Kwarg):
            given[argument.this.name.lower()] = argument.expression
        else:
            given["input"] = argument
    source = as_variant(_visit(given["input"]).copy())
    if path := given.get("path"):
        source = _get_path(call("get_path", source, path))
    if given.get("recursive") and given["recursive"].name.upper() == "TRUE":
        raise FieldError("FLATTEN with RECURSIVE is not translated here")
    mode = given["mode"].name.upper() if "mode" in given else "BOTH"
    if mode != "BOTH":
        fits = exp.EQ(this=call("json_type", source.copy()), expression=exp.Literal.string(mode))
        source = exp.Case(ifs=[exp.If(this=fits, true=source)])
    outer = "outer" in given and given["outer"].sql().upper() == "TRUE"
    elements = call("sf_elements_outer" if outer else "sf_elements", source)
    option = exp.PropertyEQ(this=exp.to_identifier("recursive"), expression=exp.true())
    select = exp.select(call("unnest", elements, option))
    alias = exp.TableAlias(this=node.args["alias"].this.copy())
    return exp.Lateral(this=exp.Subquery(this=select), alias=alias)


def _show_zones(query: exp.Query) -> None:
    """Write the times with a zone among the results as Snowflake writes them."""
    for select in _results(query):
        for projection in select.selects:
            value = projection.unalias()
            if kind_of(value) is Kind.ZONED and isinstance(projection, exp.Alias):
                projection.set("this", call("sf_zoned_text", value.copy()))


def _with_ordered_unions(query: exp.Query) -> exp.Query:
    """Return a query in which each UNION that is ordered by expressions is in a FROM clause."""
    for union in list(query.find_all(exp.SetOperation)):
        order = union.args.get("order")
        if order is None or not order.find(exp.Anonymous):
            continue
        place, key, index = union.parent, union.arg_key, union.index
        moved = {name: union.args.pop(name, None) for name in ("order", "limit", "offset")}
        outer = exp.select("*").from_(
            exp.Subquery(this=union, alias=exp.TableAlias(this=exp.to_identifier(ROWS)))
        )
        for name, value in moved.items():
            outer.set(name, value)
        if place and key:
            place.set(key, outer, index)
        else:
            query = outer
    return query


def _results(query: exp.Query) -> list[exp.Select]:
    if isinstance(query, exp.SetOperation):
        return [*_results(query.this.unnest()), *_results(query.expression.unnest())]
    return [query] if isinstance(query, exp.Select) else []


# What adapts its own parts.
OWN: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.AnonymousAggFunc: _aggregate,
    exp.WithinGroup: _within_group,
    exp.Count: _count,
    exp.Window: _window,
    exp.Lateral: _lateral,
}
# What is adapted when its parts have been.
AFTER: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.JSONExtract: _path,
    exp.Bracket: _bracket,
    exp.Dot: _dot,
    exp.Cast: _cast,
    exp.TryCast: _cast,
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
    exp.If: lambda node: node,
    exp.Coalesce: _coalesce,
    exp.DPipe: _pipe,
    exp.Add: _sum,
    exp.Sub: _sum,
    exp.Mul: _arithmetic,
    exp.Neg: _arithmetic,
    exp.Div: _divide,
    exp.Mod: _modulo,
    exp.Interval: _interval,
    exp.Anonymous: _function,
    exp.Extract: _extract,
    exp.CurrentTimestamp: _current(Type.TIMESTAMPLTZ),
    exp.CurrentDate: _current(Type.DATE),
    exp.CurrentTime: _current(Type.TIME),
    exp.Localtime: _current(Type.TIME),
    exp.Array: _array,
    exp.Struct: _struct,
    exp.Order: _order,
    exp.Column: _column,
    exp.Alias: _alias,
    **dict.fromkeys((exp.Union, exp.Except, exp.Intersect), _set_operation),
}
