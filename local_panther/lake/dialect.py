"""Panther's SQL, Snowflake with time macros, translated to DuckDB.

For scheduled, saved and ad hoc queries alike: names and types come first (`names`), then every part
of the query is adapted by them (`adapting`), and parameters are set in the result.
"""

from collections.abc import Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from local_panther.content.parameters import parameter_value
from local_panther.content.sql import CLOUDTRAIL, parameters_in
from local_panther.errors import FieldError, one_line
from local_panther.lake.adapting import adapt
from local_panther.lake.columns import LAKE_TABLE, TABLES
from local_panther.lake.constants import inline_constants
from local_panther.lake.macros import expand_macros, now
from local_panther.lake.names import DEFAULT_DATABASE, Tables, name_tables, resolved
from local_panther.lake.preparation import plain_calls

TRANSLATED = "duckdb"  # where a query keeps what it became


def transpile_sql(
    query: exp.Expr,
    parameters: Mapping[str, str | exp.Expr] | None = None,
    reach: str | None = None,
    *,
    arrived: bool = False,
) -> str:
    """Write a query in DuckDB's dialect; `$now` stands for the time of the run.

    Args:
        query: As for `transpiled`, and so are `parameters` and `reach`.
        parameters: Values of its parameters.
        reach: A length of time.
        arrived: Let the query see only what had arrived by the time of the run.

    Raises:
        FieldError: It has something that does not exist or is not translated.
    """
    found = transpiled(query, parameters, reach)
    if arrived:
        _hide_what_is_to_come(found)
        inline_constants(found)
    return written(found)


def transpiled(
    query: exp.Expr,
    parameters: Mapping[str, str | exp.Expr] | None = None,
    reach: str | None = None,
) -> exp.Query:
    """Return a query of DuckDB over the log, with its parameters set.

    Args:
        query: From `parse_sql`. It keeps what it became, so that asking again costs little.
        parameters: Values for the columns of the CTE named `parameters`, by name: texts, or
            expressions in their place.
        reach: A length of time, such as '3 h', that replaces the one in every p_occurs_since.

    Raises:
        FieldError: It has something that does not exist or is not translated.
    """
    kept = query.meta.setdefault(TRANSLATED, {})
    if reach not in kept:
        kept[reach] = translate(query, TABLES, reach=reach)
    found: exp.Query = kept[reach].copy()
    if parameters:
        _set_parameters(found, query, parameters)
    return found


def translate(
    query: exp.Expr, tables: Tables, database: str = DEFAULT_DATABASE, reach: str | None = None
) -> exp.Query:
    """Return a query of DuckDB that answers as Snowflake answers a query.

    Args:
        query: From `parse_sql`.
        tables: What the lake has.
        database: Where tables are that are named without one.
        reach: As in `transpile_sql`.

    Raises:
        FieldError: It has something that does not exist or is not translated.
    """
    kept = query.meta.pop(TRANSLATED, None)  # not to be copied
    found = query.copy()
    if kept is not None:
        query.meta[TRANSLATED] = kept
    assert isinstance(found, exp.Query)
    plain_calls(found)
    expand_macros(found, reach)
    name_tables(found, tables, database)
    return adapt(resolved(found, tables))


def written(query: exp.Query) -> str:
    """Return the text of a query in DuckDB's dialect.

    Raises:
        FieldError: It has something that DuckDB has not.
    """
    try:
        return query.sql("duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE, identify=True)
    except SqlglotError as error:
        raise FieldError(one_line(error)) from error


def _hide_what_is_to_come(query: exp.Expr) -> None:
    for table in list(query.find_all(exp.Table)):
        if table.name == CLOUDTRAIL and table.catalog:
            alias = table.alias or table.name
            plain = exp.to_table(LAKE_TABLE)
            had_arrived = exp.LTE(this=exp.column("p_parse_time"), expression=now())
            table.replace(exp.select("*").from_(plain).where(had_arrived).subquery(alias))


def _set_parameters(found: exp.Expr, query: exp.Expr, values: Mapping[str, str | exp.Expr]) -> None:
    defaults = {name.lower(): column.this for name, column in parameters_in(query).items()}
    given = {name.lower(): value for name, value in values.items()}
    for name, column in parameters_in(found).items():
        if name.lower() in given:
            value = parameter_value(defaults[name.lower()], given[name.lower()])
            column.set("this", value)
