"""Parses the SQL of saved and scheduled queries (Snowflake's dialect), and finds what they read."""

import re
from collections.abc import Iterator, Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from local_panther.content.sql_dialect import PantherSnowflake
from local_panther.content.sql_text import parsable_macros
from local_panther.errors import FieldError, LineError, one_line

CLOUDTRAIL = "aws_cloudtrail"
PARAMETERS = "parameters"
PLACES = {("", ""), ("", "public"), ("", "panther_logs"), ("panther_logs", "public")}
ANSI_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def parse_sql(sql: str) -> exp.Query:
    """Parse one query, whose time macros may have any form that Panther accepts.

    Raises:
        FieldError: The text is not one query in the Snowflake dialect.
    """
    try:
        found = [
            part
            for part in sqlglot.parse(parsable_macros(sql), read=PantherSnowflake)
            if part is not None
        ]
    except SqlglotError as error:
        places = [detail.get("line") for detail in getattr(error, "errors", [])]
        message = f"not a query in the Snowflake dialect: {_uncoloured(error)}"
        raise LineError(next(iter(places), None), message) from error
    if len(found) != 1 or not isinstance(found[0], exp.Query):
        raise FieldError("must be one SELECT statement")
    return found[0]


def cloudtrail_tables(query: exp.Expr) -> list[exp.Table]:
    """Return each place where a query reads CloudTrail."""
    return [table for table in _tables(query) if _is_cloudtrail(table)]


def reads_only_cloudtrail(query: exp.Expr) -> bool:
    """Return whether a query reads CloudTrail and no other table of the lake."""
    tables = _tables(query)
    return bool(tables) and all(map(_is_cloudtrail, tables))


def other_tables(query: exp.Expr) -> list[exp.Table]:
    """Return each place where a query reads another table than CloudTrail."""
    return [table for table in _tables(query) if not _is_cloudtrail(table)]


def _tables(query: exp.Expr) -> list[exp.Table]:
    """Return the tables of the lake that a query reads, without CTEs and functions like FLATTEN."""
    found = list(query.find_all(exp.CTE, exp.Table))  # one walk for both: it costs the most
    own = {cte.alias.lower() for cte in found if isinstance(cte, exp.CTE)}
    return [
        table
        for table in found
        if isinstance(table, exp.Table)
        and isinstance(table.this, exp.Identifier)
        and (table.db or table.name.lower() not in own)
    ]


def _is_cloudtrail(table: exp.Table) -> bool:
    """Return whether a table is that of the log itself, not of its signals or rule matches."""
    place = (table.catalog.lower(), table.db.lower())
    return table.name.lower() == CLOUDTRAIL and place in PLACES


def cloudtrail_selects(query: exp.Expr) -> Iterator[exp.Select]:
    """Yield the SELECTs of a query that read CloudTrail directly."""
    known = {id(table) for table in cloudtrail_tables(query)}
    for select in query.find_all(exp.Select):
        if any(id(source) in known for source in sources(select)):
            yield select


def sources(select: exp.Select) -> list[exp.Expr]:
    """Return the tables and subqueries that a SELECT reads from."""
    source = select.args.get("from_") or select.args.get("from")
    joins = [join.this for join in select.args.get("joins") or []]
    laterals = select.args.get("laterals") or []
    return [*([source.this] if source else []), *joins, *laterals]


def parameters_in(query: exp.Expr) -> dict[str, exp.Alias]:
    """Return the columns of the CTE `parameters`, which people set before a run, by name."""
    return {
        column.alias: column
        for cte in query.find_all(exp.CTE)
        if cte.alias.lower() == PARAMETERS and isinstance(cte.this, exp.Select)
        for column in cte.this.expressions
        if isinstance(column, exp.Alias)
    }


def scanned_event_names(query: exp.Expr) -> frozenset[str] | None:
    """Return the only values of eventName that a query can see in CloudTrail; None for any."""
    waiting = {id(table) for table in cloudtrail_tables(query)}
    names: frozenset[str] = frozenset()
    for select in cloudtrail_selects(query):
        tables = sources(select)
        for table in tables:
            if id(table) not in waiting:
                continue
            limit = _limited_names(select.args.get("where"), table, tables)
            if limit is None:
                return None
            waiting.remove(id(table))
            names |= limit
    return None if waiting else names  # a table that is left is used in a way not analysed here


def is_alone(table: exp.Expr, tables: Sequence[exp.Expr]) -> bool:
    """Return whether a column without a table name can only belong to one table.

    Args:
        table: The table.
        tables: All sources of the SELECT.
    """
    return all(other is table or _is_flatten(other) for other in tables)


def _is_flatten(source: exp.Expr) -> bool:
    return source.find(exp.Explode) is not None and source.find(exp.Select) is None


def _limited_names(
    where: exp.Expr | None, table: exp.Expr, tables: Sequence[exp.Expr]
) -> frozenset[str] | None:
    """Return the values of a table's eventName that a WHERE allows; None for any."""
    if where is None:
        return None
    owners = [table.alias_or_name.lower(), *([""] if is_alone(table, tables) else [])]
    for part in where.this.flatten() if isinstance(where.this, exp.And) else [where.this]:
        column = part.this if isinstance(part, (exp.EQ, exp.In)) else None
        if not isinstance(column, exp.Column) or column.name.lower() != "eventname":
            continue
        if column.table.lower() not in owners:
            continue
        values = part.expressions if isinstance(part, exp.In) else [part.expression]
        if values and all(isinstance(v, exp.Literal) and v.is_string for v in values):
            return frozenset(value.name for value in values)
    return None


def _uncoloured(error: Exception) -> str:
    return ANSI_COLOURS.sub("", one_line(error))
