"""Normalises the syntax of a query (units, FLATTEN, labels) before names and types are resolved."""

from sqlglot import exp

from local_panther.content.sql_dialect import function_name
from local_panther.errors import FieldError
from local_panther.lake.functions import FUNCTIONS


def plain_calls(query: exp.Query) -> None:
    """Rewrite arguments such as units as values, and each FLATTEN as a LATERAL.

    Args:
        query: A result of `parse_sql`; it is changed.

    Raises:
        FieldError: The query would create a table.
    """
    if query.find(exp.Into):
        raise FieldError("the lake is read-only, but SELECT … INTO creates a table")
    for raw in list(query.find_all(exp.RawString)):
        raw.replace(exp.Literal.string(raw.name))
    _as_in(query)
    for node in list(query.find_all(exp.Anonymous)):
        if function_name(node) == "POSITION" and isinstance(node.expressions[0], exp.In):
            inside = node.expressions[0]  # POSITION('a' IN b)
            node.set("expressions", [inside.this, inside.args["field"]])
        function = FUNCTIONS.get(function_name(node))
        for place, argument in enumerate(node.expressions if function else ()):
            if function and function.letters and function.letter(place) == "u":
                _write_unit(argument)
    for extract in query.find_all(exp.Extract):
        extract.set("this", exp.Literal.string(extract.this.name))
    for table in list(query.find_all(exp.Table)):
        call = table.this
        is_function = isinstance(call, exp.Anonymous) and function_name(call) == "TABLE"
        if is_function and isinstance(call.expressions[0], exp.Explode):
            alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier("flatten"))
            table.replace(exp.Lateral(this=call.expressions[0], alias=alias))
    for rows in list(query.find_all(exp.TableFromRows)):
        if isinstance(rows.this, exp.Explode):
            alias = rows.args.get("alias") or exp.TableAlias(this=exp.to_identifier("flatten"))
            rows.replace(exp.Lateral(this=rows.this, alias=alias))
    for lateral in query.find_all(exp.Lateral):
        if isinstance(lateral.this, exp.Explode):
            name = lateral.args["alias"].this if lateral.args.get("alias") else None
            columns = [
                exp.to_identifier(c) for c in ("seq", "key", "path", "index", "value", "this")
            ]
            alias = exp.TableAlias(this=name or exp.to_identifier("flatten"), columns=columns)
            lateral.set("alias", alias)
    _label(query)


def _as_in(query: exp.Expr) -> None:
    """Rewrite `= ANY` and `<> ALL` of a subquery as IN; sqlglot parses NOT IN to `<> ALL`."""
    for node in list(query.find_all(exp.EQ, exp.NEQ)):
        quantifier = exp.Any if isinstance(node, exp.EQ) else exp.All
        if not isinstance(node.expression, quantifier):
            continue
        inner = node.expression.this.unnest()
        if isinstance(inner, exp.Query):
            found = exp.In(this=node.this, query=exp.Subquery(this=inner))
            node.replace(found if isinstance(node, exp.EQ) else exp.Not(this=found))


def _write_unit(argument: exp.Expr) -> None:
    if isinstance(argument, exp.Column) or (
        isinstance(argument, exp.Anonymous) and not argument.expressions
    ):
        argument.replace(exp.Literal.string(argument.name))


def _label(query: exp.Expr) -> None:
    """Name unnamed columns of the result as Snowflake does, by their text."""
    if isinstance(query, exp.SetOperation):
        _label(query.this.unnest())
    if not isinstance(query, exp.Select):
        return
    for projection in query.expressions:
        if not isinstance(projection, (exp.Alias, exp.Column, exp.Star)):
            label = exp.to_identifier(_text(projection).upper(), quoted=True)
            projection.replace(exp.Alias(this=projection.copy(), alias=label))


def _text(node: exp.Expr) -> str:
    """Return an expression as it was probably written."""
    if isinstance(node, exp.JSONExtract):
        path = node.expression.sql("snowflake").strip("'")
        return f"{_text(node.this)}:{path}"
    if isinstance(node, exp.Cast) and not isinstance(node, exp.TryCast):
        return f"{_text(node.this)}::{node.args['to'].sql('snowflake')}"
    if function_name(node):
        return f"{node.name}({', '.join(map(_text, node.expressions))})"
    return node.sql("snowflake")
