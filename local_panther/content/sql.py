"""SQL of saved and scheduled queries: Snowflake's dialect, parsed, and what a query reads."""

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
    """Parse one query; its time macros may be written in any form that Panther takes.

    Raises:
        FieldError: It is not one query in the Snowflake dialect.
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
        raise FieldError("must be one SELECT")
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
    """Return what a query reads from the lake: no CTEs, and no functions such as FLATTEN."""
    found = list(query.find_all(exp.CTE, exp.Table))  # a walk costs more than what is done here
    own = {cte.alias.lower() for cte in found if isinstance(cte, exp.CTE)}
    return [
        table
        for table in found
        if isinstance(table, exp.Table)
        and isinstance(table.this, exp.Identifier)
        and (table.db or table.name.lower() not in own)
    ]


def _is_cloudtrail(table: exp.Table) -> bool:
    """Return whether a table is that of the records, not that of their signals or matches."""
    place = (table.catalog.lower(), table.db.lower())
    return table.name.lower() == CLOUDTRAIL and place in PLACES


def cloudtrail_selects(query: exp.Expr) -> Iterator[exp.Select]:
    """Yield the parts of a query that read CloudTrail itself."""
    known = {id(table) for table in cloudtrail_tables(query)}
    for select in query.find_all(exp.Select):
        if any(id(source) in known for source in sources(select)):
            yield select


def sources(select: exp.Select) -> list[exp.Expr]:
    """Return what a part of a query reads from: tables and subqueries."""
    source = select.args.get("from_") or select.args.get("from")
    joins = [join.this for join in select.args.get("joins") or []]
    laterals = select.args.get("laterals") or []
    return [*([source.this] if source else []), *joins, *laterals]


def parameters_in(query: exp.Expr) -> dict[str, exp.Alias]:
    """Return the columns of the CTE `parameters` by name, which people set before they run it."""
    return {
        column.alias: column
        for cte in query.find_all(exp.CTE)
        if cte.alias.lower() == PARAMETERS and isinstance(cte.this, exp.Select)
        for column in cte.this.expressions
        if isinstance(column, exp.Alias)
    }


def scanned_event_names(query: exp.Expr) -> frozenset[str] | None:
    """Return the only values of eventName that a query can see of CloudTrail; None for any."""
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
    return None if waiting else names  # a table in a form that was not looked into


def is_alone(table: exp.Expr, tables: Sequence[exp.Expr]) -> bool:
    """Return whether a column without a table can only be that of this one.

    Args:
        table: One of the tables.
        tables: What a part of a query reads from.
    """
    return all(other is table or _is_flatten(other) for other in tables)


def _is_flatten(source: exp.Expr) -> bool:
    return source.find(exp.Explode) is not None and source.find(exp.Select) is None


def _limited_names(
    where: exp.Expr | None, table: exp.Expr, tables: Sequence[exp.Expr]
) -> frozenset[str] | None:
    """Return the values that a WHERE leaves of a table's eventName; None for any."""
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
