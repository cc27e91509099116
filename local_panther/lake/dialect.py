"""Panther's SQL, Snowflake with time macros, translated to DuckDB.

Macros: https://docs.panther.com/search/data-explorer#macros
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from local_panther.errors import FieldError, one_line

CLOUDTRAIL = "aws_cloudtrail"
VARIANT = (  # its columns that hold objects and lists
    "userIdentity",
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "resources",
    "serviceEventDetails",
    "tlsDetails",
    "addendum",
)
PARAMETERS = "parameters"
TIME_COLUMN = "p_event_time"

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
OFFSET = re.compile(
    r"\s*(\d+)\s*(s|m|h|d|w|seconds?|min(?:ute)?s?|hours?|days?|weeks?)\s*", re.IGNORECASE
)


def parse_sql(sql: str) -> exp.Expression:
    """Parse one query.

    Raises:
        FieldError: It is not one query in the Snowflake dialect.
    """
    try:
        found = [part for part in sqlglot.parse(sql, read="snowflake") if part is not None]
    except SqlglotError as error:
        raise FieldError(f"no query in the Snowflake dialect: {_uncoloured(error)}") from error
    if len(found) != 1 or not isinstance(found[0], exp.Query):
        raise FieldError("must be one SELECT")
    return found[0]


def translate_sql(
    query: exp.Expression, parameters: Mapping[str, str] | None = None, reach: str | None = None
) -> str:
    """Write a query for DuckDB, in which `$now` stands for what Panther means by now.

    Args:
        query: From `parse_sql`.
        parameters: Values for the columns of the CTE named `parameters`, by name.
        reach: A length of time, such as '3 h', in place of every one in p_occurs_since.

    Raises:
        FieldError: A macro has arguments of no known form.
    """
    query = query.copy()
    if parameters:
        _set_parameters(query, parameters)
    for macro in query.find_all(exp.Anonymous):
        if reach and macro.name.lower() == "p_occurs_since":
            macro.expressions[0].replace(exp.Literal.string(reach))
    _open_variants(query)
    return query.transform(_translated).sql("duckdb")


def reads_only_cloudtrail(query: exp.Expression) -> bool:
    """Tell whether a query reads CloudTrail and no other table of the lake."""
    own = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    tables = {table.name.lower() for table in query.find_all(exp.Table)}
    return tables - own == {CLOUDTRAIL}


def scanned_event_names(query: exp.Expression) -> frozenset[str] | None:
    """Tell which values of eventName a query can see of CloudTrail at all; None for any."""
    names: frozenset[str] = frozenset()
    for select in query.find_all(exp.Select):
        source = select.args.get("from_") or select.args.get("from")
        tables = [source.this] if source else []
        tables += [join.this for join in select.args.get("joins") or []]
        if not any(isinstance(t, exp.Table) and t.name.lower() == CLOUDTRAIL for t in tables):
            continue
        limit = _limited_names(select.args.get("where"))
        if limit is None:
            return None
        names |= limit
    return names


def _limited_names(where: exp.Expression | None) -> frozenset[str] | None:
    if where is None:
        return None
    for part in where.this.flatten() if isinstance(where.this, exp.And) else [where.this]:
        column = part.this if isinstance(part, (exp.EQ, exp.In)) else None
        if not isinstance(column, exp.Column) or column.name.lower() != "eventname":
            continue
        values = part.expressions if isinstance(part, exp.In) else [part.expression]
        if values and all(isinstance(v, exp.Literal) and v.is_string for v in values):
            return frozenset(value.name for value in values)
    return None


def _translated(node: exp.Expression) -> exp.Expression:
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


def _open_variants(query: exp.Expression) -> None:
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


def _since(arguments: list[exp.Expression]) -> exp.Expression:
    offset, column = _seconds(arguments[0]), _column(arguments[1:])
    return _between(column, _shifted(_now(), -offset), _now())


def _around(arguments: list[exp.Expression]) -> exp.Expression:
    moment, offset, column = arguments[0], _seconds(arguments[1]), _column(arguments[2:])
    return _between(column, _shifted(moment, -offset), _shifted(moment, offset))


def _range(arguments: list[exp.Expression]) -> exp.Expression:
    return _between(_column(arguments[2:]), *(_shifted(moment, 0) for moment in arguments[:2]))


def _after(arguments: list[exp.Expression]) -> exp.Expression:
    return exp.GTE(this=_column(arguments[1:]), expression=_shifted(arguments[0], 0))


def _before(arguments: list[exp.Expression]) -> exp.Expression:
    return exp.LT(this=_column(arguments[1:]), expression=_shifted(arguments[0], 0))


MACROS: dict[str, Callable[[list[exp.Expression]], exp.Expression]] = {
    "p_occurs_since": _since,
    "p_occurs_around": _around,
    "p_occurs_between": _range,
    "p_occurs_after": _after,
    "p_occurs_before": _before,
}


def _seconds(argument: exp.Expression) -> float:
    """Return the length of an offset such as '3 h', in seconds; a bare number counts seconds."""
    found = OFFSET.fullmatch(argument.name)
    if found:
        return int(found[1]) * UNITS[found[2][0].lower()]
    if argument.name.isdecimal():
        return int(argument.name)
    raise FieldError(f"{argument.sql()} is no length of time, such as '3 h'")


def _column(rest: list[exp.Expression]) -> exp.Column:
    """Return the time column of a macro, behind the table's alias where one is given."""
    alias = rest[0].name if rest else None
    return exp.column(TIME_COLUMN, table=alias)


def _between(column: exp.Column, low: exp.Expression, high: exp.Expression) -> exp.Expression:
    return exp.Between(this=column, low=low, high=high)


def _shifted(moment: exp.Expression, seconds: float) -> exp.Expression:
    base = exp.cast(moment.copy(), "timestamp")
    interval = exp.Interval(this=exp.Literal.string(str(int(seconds))), unit=exp.var("SECOND"))
    return exp.Add(this=base, expression=interval)


def _now() -> exp.Expression:
    return exp.cast(exp.Placeholder(this="now"), "timestamp")


def timestamp_text(epoch: float) -> str:
    """Write seconds since 1970 as a SQL timestamp without zone."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=epoch)
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


def _set_parameters(query: exp.Expression, values: Mapping[str, str]) -> None:
    for cte in query.find_all(exp.CTE):
        if cte.alias.lower() != PARAMETERS or not isinstance(cte.this, exp.Select):
            continue
        for projection in cte.this.expressions:
            if isinstance(projection, exp.Alias) and projection.alias in values:
                literal = exp.Literal.string(values[projection.alias])
                kind = projection.this.to if isinstance(projection.this, exp.Cast) else None
                projection.set("this", exp.cast(literal, kind) if kind else literal)


def _uncoloured(error: Exception) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", one_line(error))
