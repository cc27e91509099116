"""SQL of saved and scheduled queries: Snowflake's dialect, parsed, and what a query reads."""

import re
from collections.abc import Iterator

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from local_panther.content.sql_dialect import PantherSnowflake
from local_panther.content.sql_text import parsable_macros
from local_panther.errors import FieldError, one_line

CLOUDTRAIL = "aws_cloudtrail"
PARAMETERS = "parameters"
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
        raise FieldError(f"not a query in the Snowflake dialect: {_uncoloured(error)}") from error
    if len(found) != 1 or not isinstance(found[0], exp.Query):
        raise FieldError("must be one SELECT")
    return found[0]


def reads_only_cloudtrail(query: exp.Expr) -> bool:
    """Return whether a query reads CloudTrail and no other table of the lake."""
    own = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    tables = {table.name.lower() for table in query.find_all(exp.Table)}
    return tables - own == {CLOUDTRAIL}


def cloudtrail_selects(query: exp.Expr) -> Iterator[exp.Select]:
    """Yield the parts of a query that read CloudTrail itself."""
    for select in query.find_all(exp.Select):
        tables = [table for table in sources(select) if isinstance(table, exp.Table)]
        if any(table.name.lower() == CLOUDTRAIL for table in tables):
            yield select


def sources(select: exp.Select) -> list[exp.Expr]:
    """Return what a part of a query reads from: tables and subqueries."""
    source = select.args.get("from_") or select.args.get("from")
    joins = [join.this for join in select.args.get("joins") or []]
    return [source.this, *joins] if source else joins


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
    names: frozenset[str] = frozenset()
    for select in cloudtrail_selects(query):
        limit = _limited_names(select.args.get("where"))
        if limit is None:
            return None
        names |= limit
    return names


def _limited_names(where: exp.Expr | None) -> frozenset[str] | None:
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


def _uncoloured(error: Exception) -> str:
    return ANSI_COLOURS.sub("", one_line(error))
