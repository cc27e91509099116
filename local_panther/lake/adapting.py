"""Translates the expressions of a query from Snowflake's dialect to DuckDB's.

All parts of the query must have their Snowflake types. Each part is visited once, inner parts
first. An unknown construct is refused, never passed on unchanged: a query with other results than
on an instance is worse than one that does not run.
"""

from collections.abc import Callable

from sqlglot import exp

from local_panther.content.sql_dialect import function_name
from local_panther.errors import FieldError, LineError
from local_panther.lake import calls, casts, operators
from local_panther.lake.aggregates import Aggregate, aggregate, count, window_function
from local_panther.lake.calls import fitting, get_path
from local_panther.lake.coercion import as_variant, shown
from local_panther.lake.functions import WINDOW_FUNCTIONS
from local_panther.lake.kinds import Kind, Type, kind_of, typed
from local_panther.lake.names import line_of
from local_panther.lake.writers import call

Handler = Callable[[exp.Expr], exp.Expr]
ROWS = "p_rows"

# Parts of a query that have the same meaning in both dialects.
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
    """Return a query with types as a query for DuckDB.

    Args:
        query: A result of `names.resolved`; it is changed.

    Raises:
        FieldError: The query uses something that is not supported.
    """
    _visit(query)
    _show_zones(query)
    return _with_ordered_unions(query)


def _visit(node: exp.Expr) -> exp.Expr:
    """Translate a part of a query in place and return the result."""
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
        if parent and key:  # read before the call, as the result can contain the node itself
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
    raise FieldError(f"{shown(node)} is not supported here")


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
    if function_name(node.this) == "PERCENTILE_CONT":  # orders numbers, so visit only the values
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
        raise FieldError("COUNT of all columns of a table is not supported here: use COUNT(*)")
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
            raise FieldError(f"{shown(node)} is not supported with IGNORE NULLS")
        is_group = isinstance(inner, exp.WithinGroup)
        order = _group_order(inner) if is_group else []
        found = _parts_of(inner.this if is_group else inner, order)
        window = node.copy()
        window.set("this", found.inner)
        return found.outer(window)
    name = function_name(inner)
    if name not in WINDOW_FUNCTIONS:
        raise FieldError(f"the window function {name or shown(inner)} is not supported here")
    function = WINDOW_FUNCTIONS[name]
    arguments = list(inner.expressions)
    if arguments and isinstance(arguments[0], (exp.IgnoreNulls, exp.RespectNulls)):
        ignore_nulls = isinstance(arguments[0], exp.IgnoreNulls)
        arguments[0] = arguments[0].this
    if not function.accepts(len(arguments)):
        raise FieldError(f"{name} is not supported with {len(arguments)} arguments")
    arguments = [_visit(argument).copy() for argument in arguments]
    arguments = fitting(function, arguments, kind_of(inner))
    window = node.copy()
    return window_function(name, arguments, window, ignore_nulls=ignore_nulls)


def _listed(value: object) -> list[exp.Expr]:
    return value if isinstance(value, list) else [value] if isinstance(value, exp.Expr) else []


def _order(node: exp.Expr) -> exp.Expr:
    """Write ORDER BY, in which a VARIANT is ordered by number first and then by text."""
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
    """Return the expression of a result column that ORDER BY refers to by its alias."""
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
    """Make both sides of a UNION have the same types."""
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
        raise FieldError(f"{shown(node)} is not supported here")
    given = {}
    for argument in [flatten.this, *flatten.expressions]:
        if isinstance(argument, exp.Kwarg):
            given[argument.this.name.lower()] = argument.expression
        else:
            given["input"] = argument
    source = as_variant(_visit(given["input"]).copy())
    if path := given.get("path"):
        source = get_path(call("get_path", source, path))
    if given.get("recursive") and given["recursive"].name.upper() == "TRUE":
        raise FieldError("FLATTEN with RECURSIVE is not supported here")
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
    """Format times with a zone in the results as Snowflake does."""
    for select in _results(query):
        for projection in select.selects:
            value = projection.unalias()
            if kind_of(value) is Kind.ZONED and isinstance(projection, exp.Alias):
                projection.set("this", call("sf_zoned_text", value.copy()))


def _with_ordered_unions(query: exp.Query) -> exp.Query:
    """Move each UNION that is ordered by an expression into a subquery, as DuckDB requires."""
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


# Handlers that visit the parts of their node themselves
OWN: dict[type[exp.Expr], Handler] = {
    exp.AnonymousAggFunc: _aggregate,
    exp.WithinGroup: _within_group,
    exp.Count: _count,
    exp.Window: _window,
    exp.Lateral: _lateral,
}
# Handlers that are called after the parts of their node have been visited
AFTER: dict[type[exp.Expr], Handler] = {
    **casts.HANDLERS,
    **operators.HANDLERS,
    **calls.HANDLERS,
    exp.If: lambda node: node,
    exp.Order: _order,
    exp.Column: _column,
    exp.Alias: _alias,
    **dict.fromkeys((exp.Union, exp.Except, exp.Intersect), _set_operation),
}
