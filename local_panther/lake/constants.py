"""Replaces columns of a one-row CTE of constants by their values.

Content keeps its settings in a CTE of one row, which other parts CROSS JOIN. DuckDB does not filter
by such columns before the join; with the values in their place it does, and so evaluates the costly
expressions for few records.
"""

from collections.abc import Iterator, Mapping

from sqlglot import exp

from local_panther.content.sql import sources

MAX_INTEGER = 2**31  # from here on, a literal is not an INTEGER
EVERY_ROW = ("expressions", "kind")  # the only parts of a SELECT of one constant row
FILLING = ("RIGHT", "FULL")  # joins that can replace the constants by nulls
BY_PLACE = (exp.Group, exp.Order, exp.Ordered)  # here a number means the position of a column


def inline_constants(query: exp.Expr) -> None:
    """Replace the columns of rows of constants by their values, where the result stays the same.

    Args:
        query: A query for DuckDB, with a table before every column and without `*`. It is changed.
    """
    rows = _rows_of_constants(query)
    for select in list(query.find_all(exp.Select)) if rows else ():
        for join in list(select.args.get("joins") or []):
            row = rows.get(join.this.name) if _is_cross_join(join) else None
            if row is not None and not any(map(_may_fill, select.args["joins"])):
                _inline(select, join, row)


def _rows_of_constants(query: exp.Expr) -> dict[str, Mapping[str, exp.Expr]]:
    """Return the CTEs that are one row of constants, by name: their values by column."""
    ctes = list(query.find_all(exp.CTE))
    names = [cte.alias for cte in ctes]
    found: dict[str, Mapping[str, exp.Expr]] = {}
    for cte in ctes:
        select = cte.this
        if not isinstance(select, exp.Select) or names.count(cte.alias) > 1:
            continue
        has_more = any(value for name, value in select.args.items() if name not in EVERY_ROW)
        row = {
            column.alias: value
            for column in select.expressions
            if (value := _typed(column.unalias())) is not None
        }
        if not has_more and len(row) == len(select.expressions):
            found[cte.alias] = row
    return found


def _typed(value: exp.Expr) -> exp.Expr | None:
    """Return a constant with a cast, as the type of a bare literal depends on its context."""
    literal = value.this if isinstance(value, exp.Neg) else value
    if isinstance(literal, exp.Boolean):
        return value
    if not isinstance(literal, exp.Literal):
        return None
    if literal.is_string:
        return exp.cast(value.copy(), "text") if literal is value else None
    is_usual = literal.is_int and int(literal.name) < MAX_INTEGER
    return exp.cast(value.copy(), "int") if is_usual else None


def _is_cross_join(join: exp.Join) -> bool:
    has_condition = any(join.args.get(name) for name in ("on", "using", "method", "side"))
    table = join.this
    return (
        join.kind.upper() == "CROSS"
        and not has_condition
        and isinstance(table, exp.Table)
        and not table.db
        and not any(value for name, value in table.args.items() if name not in ("this", "alias"))
    )


def _may_fill(join: exp.Join) -> bool:
    return (join.side or "").upper() in FILLING or bool(join.args.get("using") or join.method)


def _inline(select: exp.Select, join: exp.Join, row: Mapping[str, exp.Expr]) -> None:
    alias = join.this.alias_or_name
    columns = [column for column in select.find_all(exp.Column) if _owner(column, alias) is select]
    known = all(column.name in row and not isinstance(column.this, exp.Star) for column in columns)
    if not known or any(isinstance(column.parent, BY_PLACE) for column in columns):
        return
    for column in columns:
        value = row[column.name].copy()
        is_output = column.parent is select and column.arg_key == "expressions"
        column.replace(exp.alias_(value, column.name) if is_output else value)
    select.set("joins", [other for other in select.args["joins"] if other is not join])


def _owner(column: exp.Column, alias: str) -> exp.Expr | None:
    """Return the SELECT that reads the table of a column; None for a table of another name."""
    if column.table != alias:
        return None
    return next(
        (
            select
            for select in _selects_around(column)
            if alias in [source.alias_or_name for source in sources(select)]
        ),
        None,
    )


def _selects_around(node: exp.Expr) -> Iterator[exp.Select]:
    parent = node.find_ancestor(exp.Select)
    while parent is not None:
        yield parent
        parent = parent.find_ancestor(exp.Select)
