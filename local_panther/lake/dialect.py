"""Translates Panther's SQL (Snowflake with time macros) to DuckDB.

This is used for scheduled, saved and ad hoc queries. First names and types are resolved (`names`),
then every part of the query is translated by its type (`adapting`), and finally parameters are set.
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

TRANSLATED = "duckdb"  # the key under which a parsed query caches its translations


def transpile_sql(
    query: exp.Expr,
    parameters: Mapping[str, str | exp.Expr] | None = None,
    reach: str | None = None,
    *,
    arrived: bool = False,
) -> str:
    """Return a query as SQL for DuckDB; `$now` stands for the time of the run.

    Args:
        query: As for `transpiled`.
        parameters: As for `transpiled`.
        reach: As for `transpiled`.
        arrived: Hide the records that had not arrived by the time of the run.

    Raises:
        FieldError: The query uses something that does not exist or is not supported.
    """
    found = transpiled(query, parameters, reach)
    if arrived:
        _hide_later_arrivals(found)
        inline_constants(found)
    return written(found)


def transpiled(
    query: exp.Expr,
    parameters: Mapping[str, str | exp.Expr] | None = None,
    reach: str | None = None,
) -> exp.Query:
    """Translate a query over the log to DuckDB, with its parameters set.

    Args:
        query: A result of `parse_sql`. It caches its translation, so that later calls are cheap.
        parameters: Values for the columns of the CTE named `parameters`, by name: strings or
            expressions.
        reach: A length of time, such as '3 h', that replaces the one in every p_occurs_since.

    Raises:
        FieldError: The query uses something that does not exist or is not supported.
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
    """Translate a query to DuckDB so that its results are those of Snowflake.

    Args:
        query: A result of `parse_sql`.
        tables: The tables of the lake.
        database: The database of tables named without one.
        reach: As for `transpiled`.

    Raises:
        FieldError: The query uses something that does not exist or is not supported.
    """
    kept = query.meta.pop(TRANSLATED, None)  # must not be copied
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
        FieldError: The query uses something that DuckDB does not have.
    """
    try:
        return query.sql("duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE, identify=True)
    except SqlglotError as error:
        raise FieldError(one_line(error)) from error


def _hide_later_arrivals(query: exp.Expr) -> None:
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
