"""Resolves the names of tables and columns in a query, and their types.

Neither Snowflake nor DuckDB distinguishes the case of unquoted names. Here each name gets the
spelling of the lake, or else that of its first use in the query.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from sqlglot import exp
from sqlglot.errors import OptimizeError, SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope
from sqlglot.schema import MappingSchema

from local_panther.content.sql_dialect import function_name
from local_panther.errors import FieldError, LineError, one_line
from local_panther.lake.functions import FUNCTIONS, common_values, gives
from local_panther.lake.kinds import SNOWFLAKE_TYPES, metadata

DEFAULT_DATABASE = "panther_logs"
SCHEMA = "public"
DIALECT = "snowflake, normalization_strategy=case_sensitive"
UNRESOLVED = re.compile(r"[Cc]olumn '\"?([^'\"]+)\"?' could not be resolved")
PLACE = re.compile(r"Line: (\d+), Col: \d+")
FLATTEN_TYPES = {
    "seq": "bigint",
    "key": "varchar",
    "path": "varchar",
    "index": "bigint",
    "value": "variant",
    "this": "variant",
}

Columns = Sequence[tuple[str, str]]  # names and DuckDB's types
Tables = Mapping[str, Mapping[str, Columns]]  # columns by database and table


def line_of(node: exp.Expr) -> int | None:
    """Return the first line of a part of a query, by its names; None if they have no line."""
    lines = [part.meta["line"] for part in node.walk() if "line" in part.meta]
    return min(lines, default=None)


def name_tables(query: exp.Expr, tables: Tables, database: str = DEFAULT_DATABASE) -> None:
    """Add the database to the name of each table, and refuse tables that the lake does not have.

    Raises:
        FieldError: A table does not exist.
    """
    own = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    for table in list(query.find_all(exp.Table)):
        name = table.name.lower()
        if not isinstance(table.this, exp.Identifier):
            function = function_name(table.this) or table.this.sql("snowflake").partition("(")[0]
            raise LineError(line_of(table), f"{function} is not a table of the lake")
        if name in own and not table.db:
            table.set("this", exp.to_identifier(name))
            continue
        catalog, schema = table.catalog.lower(), table.db.lower()
        if not catalog and schema in tables:  # database.table, such as panther_logs.aws_cloudtrail
            catalog, schema = schema, ""
        catalog = catalog or database
        if schema not in ("", SCHEMA) or name not in tables.get(catalog, ()):
            raise LineError(line_of(table), f"there is no table {table.sql()}{_hint(name, tables)}")
        if not table.alias:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(name)))
        table.set("this", exp.to_identifier(name))
        table.set("catalog", exp.to_identifier(catalog))
        table.set("db", exp.to_identifier(SCHEMA))


def _hint(name: str, tables: Tables) -> str:
    known = sorted({table for database in tables.values() for table in database})
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f": did you mean {near[0]}?"
    shown = ", ".join(f"{db}.{SCHEMA}.{t}" for db in tables for t in sorted(tables[db]))
    return f"; there are {shown}" if shown else "; no replay has filled the lake yet"


def resolved(query: exp.Query, tables: Tables) -> exp.Query:
    """Return a query in which every column has its table and every part its type.

    Args:
        query: A query with the full names of its tables and without macros; it is changed.
        tables: The tables of the lake.

    Raises:
        FieldError: A column does not exist or is ambiguous.
    """
    _spell(query, tables)
    schema = _schema(tables)
    own = [name for alias in query.find_all(exp.Alias, exp.TableAlias) for name in _named(alias)]
    aliases = {
        lateral.alias.lower()
        for lateral in query.find_all(exp.Lateral)
        if isinstance(lateral.this, exp.Explode)
    }
    try:
        found: exp.Query = qualify(query, schema=schema, dialect=DIALECT, quote_identifiers=False)
    except OptimizeError as error:
        raise _unresolved(error, own, query, tables) from error
    except SqlglotError as error:
        raise FieldError(one_line(error)) from error
    for column in list(found.find_all(exp.Column)):
        column.set("db", None)
        column.set("catalog", None)
        kind = FLATTEN_TYPES.get(column.name.lower())
        if kind and column.table.lower() in aliases:
            if column.name.lower() == "seq":
                raise LineError(line_of(column), "SEQ of FLATTEN is not supported here")
            wrapped = exp.Cast(this=column.copy(), to=exp.DataType.build(kind, dialect="snowflake"))
            wrapped.meta["flatten"] = True
            column.replace(wrapped)
    annotate_types(
        found,
        schema=schema,
        dialect=DIALECT,
        expression_metadata=metadata(
            lambda node: gives(node, function_name(node)),
            lambda node: common_values(node, function_name(node)),
        ),
    )
    _mark_lists(found, tables)
    return found


def _spell(query: exp.Expr, tables: Tables) -> None:
    """Give each name one spelling."""
    spelling = {
        name.lower(): name
        for database, found in tables.items()
        for table, columns in found.items()
        for name in (database, table, *(column for column, _ in columns))
    }
    for name in query.find_all(exp.Identifier):
        # Keys of objects and steps of paths are case-sensitive and stay as written.
        if not isinstance(name.parent, (exp.PropertyEQ, exp.Dot)):
            name.set("this", spelling.setdefault(name.name.lower(), name.name))


def _schema(tables: Tables) -> MappingSchema:
    return MappingSchema(
        {
            database: {
                SCHEMA: {
                    table: {name: SNOWFLAKE_TYPES.get(kind, kind) for name, kind in columns}
                    for table, columns in found.items()
                }
            }
            for database, found in tables.items()
        },
        dialect=DIALECT,
        normalize=False,
    )


def _named(alias: exp.Expr) -> list[str]:
    columns = alias.args.get("columns") or []
    return [column.name for column in columns] if columns else [alias.alias] * bool(alias.alias)


def _unresolved(
    error: OptimizeError, own: Sequence[str], query: exp.Expr, tables: Tables
) -> LineError:
    message = one_line(error)
    name, place = UNRESOLVED.search(message), PLACE.search(message)
    line = int(place[1]) if place else None
    if not name:
        return LineError(line, PLACE.sub("", message).strip(" .,"))
    given = name[1].rpartition(".")[2]
    known = [column for columns in _used(query, tables) for column, _ in columns]
    if known.count(given) > 1:
        return LineError(
            line, f"the column {given} is ambiguous: write its table or alias before it"
        )
    by_lower = {column.lower(): column for column in (*known, *own)}
    near = difflib.get_close_matches(given.lower(), by_lower, n=1)
    meant = f": did you mean {by_lower[near[0]]}?" if near else ""
    return LineError(line, f"there is no column {given}{meant}")


def _used(query: exp.Expr, tables: Tables) -> Iterable[Columns]:
    for table in query.find_all(exp.Table):
        if table.catalog:
            yield tables[table.catalog][table.name]


def _mark_lists(query: exp.Expr, tables: Tables) -> None:
    """Mark the columns that are lists, not JSON, in DuckDB."""
    for scope in traverse_scope(query):
        for column in scope.columns:
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table) and source.catalog:
                types = dict(tables[source.catalog][source.name])
                column.meta["list"] = types.get(column.name, "").endswith("[]")


def similar_function(name: str) -> str:
    """Return a hint with the supported function of the most similar name; "" if none is similar."""
    near = difflib.get_close_matches(name, FUNCTIONS, n=1, cutoff=0.8)
    return f": did you mean {near[0]}?" if near else ""
