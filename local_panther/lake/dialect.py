"""Panther's SQL, Snowflake with time macros, transpiled to DuckDB.

Macros: https://docs.panther.com/search/data-explorer#macros
"""

import re
from collections.abc import Callable, Mapping

from sqlglot import exp

from local_panther.content.sql import CLOUDTRAIL, parameters_in
from local_panther.errors import FieldError

VARIANT = (  # columns that hold objects and lists
    "userIdentity",
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "resources",
    "serviceEventDetails",
    "tlsDetails",
    "addendum",
)
LAKE_TABLE = "panther_logs.public.aws_cloudtrail"
TIME_COLUMN = "p_event_time"
NOW = "CAST($now AS TIMESTAMP)"  # the time of the run, in a query in DuckDB's dialect

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
OFFSET = re.compile(
    r"\s*(\d+)\s*(s|m|h|d|w|seconds?|min(?:ute)?s?|hours?|days?|weeks?)\s*", re.IGNORECASE
)


def transpile_sql(
    query: exp.Expr,
    parameters: Mapping[str, str | exp.Expr] | None = None,
    reach: str | None = None,
    *,
    arrived: bool = False,
) -> str:
    """Write a query in DuckDB's dialect; `$now` stands for the time of the run.

    Args:
        query: From `parse_sql`.
        parameters: Values for the columns of the CTE named `parameters`, by name: texts, or
            expressions in their place.
        reach: A length of time, such as '3 h', that replaces the one in every p_occurs_since.
        arrived: Let the query see only what had arrived by the time of the run.

    Raises:
        FieldError: A macro has invalid arguments.
    """
    query = query.copy()
    if parameters:
        _set_parameters(query, parameters)
    for macro in query.find_all(exp.Anonymous):
        if reach and macro.name.lower() == "p_occurs_since":
            macro.expressions[0].replace(exp.Literal.string(reach))
    open_variants(query)
    if arrived:
        _hide_what_is_to_come(query)
    return query.transform(_transpiled).sql("duckdb")


def _transpiled(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.CurrentTimestamp):
        return _now()
    if isinstance(node, exp.Anonymous) and node.name.lower() in MACROS:
        return MACROS[node.name.lower()](node.expressions)
    is_text = isinstance(node, exp.Cast) and node.to.is_type(*exp.DataType.TEXT_TYPES)
    if is_text and isinstance(node.this, exp.JSONExtract):
        # A cast of a JSON text to text would keep its quotes.
        path = node.this
        return exp.JSONExtractScalar(this=path.this, expression=path.expression)
    return node


def open_variants(query: exp.Expr) -> None:
    """Turn brackets behind variant columns, resources[0]['ARN'], into paths, inner ones first."""
    for bracket in reversed(list(query.find_all(exp.Bracket))):
        base, keys = bracket.this, bracket.expressions
        is_variant = isinstance(base, exp.Column) and base.name in VARIANT
        if not (is_variant or isinstance(base, exp.JSONExtract)) or len(keys) != 1:
            continue
        if isinstance(keys[0], exp.Literal):
            is_name, name = keys[0].is_string, keys[0].name
            step = exp.JSONPathKey(this=name) if is_name else exp.JSONPathSubscript(this=int(name))
            path = exp.JSONPath(expressions=[exp.JSONPathRoot(), step])
            bracket.replace(exp.JSONExtract(this=base.copy(), expression=path))


def _hide_what_is_to_come(query: exp.Expr) -> None:
    for table in list(query.find_all(exp.Table)):
        if table.name.lower() == CLOUDTRAIL:
            alias = table.alias or table.name
            plain = exp.to_table(LAKE_TABLE)
            had_arrived = exp.LTE(this=exp.column("p_parse_time"), expression=_now())
            table.replace(exp.select("*").from_(plain).where(had_arrived).subquery(alias))


def offset_of(macro: exp.Anonymous) -> float:
    """Return the length of the window of a p_occurs_since, in seconds.

    Raises:
        FieldError: Its first argument is not a length of time.
    """
    if not macro.expressions:
        raise FieldError(f"{macro.sql()} needs a length of time such as '3 h'")
    return _seconds(macro.expressions[0])


def _since(arguments: list[exp.Expr]) -> exp.Expr:
    offset, column = _seconds(arguments[0]), _column(arguments[1:])
    return _between(column, _shifted(_now(), -offset), _now())


def _around(arguments: list[exp.Expr]) -> exp.Expr:
    moment, offset, column = arguments[0], _seconds(arguments[1]), _column(arguments[2:])
    return _between(column, _shifted(moment, -offset), _shifted(moment, offset))


def _range(arguments: list[exp.Expr]) -> exp.Expr:
    return _between(_column(arguments[2:]), *(_shifted(moment, 0) for moment in arguments[:2]))


def _after(arguments: list[exp.Expr]) -> exp.Expr:
    return exp.GTE(this=_column(arguments[1:]), expression=_shifted(arguments[0], 0))


def _before(arguments: list[exp.Expr]) -> exp.Expr:
    return exp.LT(this=_column(arguments[1:]), expression=_shifted(arguments[0], 0))


def _current(_arguments: list[exp.Expr]) -> exp.Expr:
    return _now()


MACROS: dict[str, Callable[[list[exp.Expr]], exp.Expr]] = {
    "p_current_timestamp": _current,
    "p_occurs_since": _since,
    "p_occurs_around": _around,
    "p_occurs_between": _range,
    "p_occurs_after": _after,
    "p_occurs_before": _before,
}


def _seconds(argument: exp.Expr) -> float:
    """Return the length of an offset such as '3 h', in seconds; a bare number counts seconds."""
    found = OFFSET.fullmatch(argument.name)
    if found:
        return int(found[1]) * UNIT_SECONDS[found[2][0].lower()]
    if argument.name.isdecimal():
        return int(argument.name)
    raise FieldError(f"{argument.sql()} is not a length of time such as '3 h'")


def _column(rest: list[exp.Expr]) -> exp.Column:
    """Return the time column of a macro: its last two arguments name the table and the column."""
    given = [None if isinstance(part, exp.Null) else part.name for part in rest]
    alias, column = (*given, None, None)[:2]
    return exp.column(column or TIME_COLUMN, table=alias)


def _between(column: exp.Column, low: exp.Expr, high: exp.Expr) -> exp.Expr:
    return exp.Between(this=column, low=low, high=high)


def _shifted(moment: exp.Expr, seconds: float) -> exp.Expr:
    base = exp.cast(moment.copy(), "timestamp")
    interval = exp.Interval(this=exp.Literal.string(str(int(seconds))), unit=exp.var("SECOND"))
    return exp.Add(this=base, expression=interval)


def _now() -> exp.Expr:
    return exp.cast(exp.Placeholder(this="now"), "timestamp")


def _set_parameters(query: exp.Expr, values: Mapping[str, str | exp.Expr]) -> None:
    for name, column in parameters_in(query).items():
        if name in values:
            value = values[name]
            value = exp.Literal.string(value) if isinstance(value, str) else value
            kind = column.this.to if isinstance(column.this, exp.Cast) else None
            column.set("this", exp.cast(value, kind) if kind else value)
