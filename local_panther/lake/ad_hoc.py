"""Queries that people write, over all databases of the lake, in DuckDB's dialect.

What a comparison or a text function gets of a VARIANT is its text, as in Snowflake; in DuckDB it
would be JSON, with quotes. FLATTEN becomes a list of the elements.
"""

import re
from collections.abc import Collection, Mapping

from sqlglot import exp

from local_panther.content.sql import parse_sql
from local_panther.errors import FieldError
from local_panther.lake.dialect import open_variants, transpile_sql

DEFAULT_DATABASE = "panther_logs"
SCHEMA = "public"
COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Between)
TEXT_FUNCTIONS = (
    exp.Like,
    exp.ILike,
    exp.RegexpLike,
    exp.RegexpReplace,
    exp.RegexpExtract,
    exp.Lower,
    exp.Upper,
    exp.Length,
    exp.Substring,
    exp.SplitPart,
    exp.StartsWith,
    exp.EndsWith,
    exp.Contains,
    exp.Concat,
    exp.DPipe,
    exp.Trim,
    exp.Replace,
)
QUOTED = re.compile(r"\"([^\"]+)\"|with name (\S+) does not exist")

Tables = Mapping[str, Collection[str]]


def prepare(sql: str, database: str, tables: Tables) -> str:
    """Return a query in DuckDB's dialect; `$now` stands for the time of the run.

    Args:
        sql: In Snowflake's dialect, with Panther's macros.
        database: Where tables are that are named without one: "panther_logs" or
            "panther_logs.public".
        tables: The tables of each database.

    Raises:
        FieldError: It is not one SELECT over these tables; the message names the line.
    """
    query = parse_sql(sql)
    if query.find(exp.Into):
        raise FieldError("the lake is read only: SELECT … INTO makes a table")
    for lateral in list(query.find_all(exp.Lateral, exp.TableFromRows)):
        if isinstance(lateral.this, exp.Explode):
            lateral.replace(_elements(lateral, sql))
    _name_tables(query, sql, database.partition(".")[0].lower() or DEFAULT_DATABASE, tables)
    open_variants(query)
    _compare_texts(query)
    return transpile_sql(query)


def with_line(message: str, sql: str) -> str:
    """Return a message of DuckDB with the line of the query that it is about, if it names it.

    Args:
        message: The message.
        sql: The query as it was written.
    """
    first, *more = message.strip().splitlines()
    hint = next((line for line in more if line.startswith(("Candidate", "Did you mean"))), "")
    named = [name for pair in QUOTED.findall(first) for name in pair if name]
    lines = [line for name in named if (line := _line_of(name, sql))]
    text = f"{first}. {hint}" if hint else first
    return f"line {lines[0]}: {text}" if lines else text


def _line_of(name: str, sql: str) -> int | None:
    found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sql, re.IGNORECASE)
    return sql.count("\n", 0, found.start()) + 1 if found else None


def _at(name: str, sql: str) -> str:
    line = _line_of(name, sql)
    return f"line {line}: " if line else ""


def _name_tables(query: exp.Query, sql: str, database: str, tables: Tables) -> None:
    """Write out the database of each table, and refuse what is not a table of the lake."""
    own = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    for table in query.find_all(exp.Table):
        name = table.name.lower()
        if not isinstance(table.this, exp.Identifier):
            function = table.this.sql("snowflake").partition("(")[0]
            raise FieldError(f"{_at(function, sql)}{function} is not a table of the lake")
        if name in own and not table.db:
            continue
        catalog = table.catalog.lower()
        schema = table.db.lower()
        if not catalog and schema in tables:  # panther_logs.aws_cloudtrail
            catalog, schema = schema, ""
        catalog = catalog or database
        if schema not in ("", SCHEMA) or name not in tables.get(catalog, ()):
            shown = ", ".join(f"{db}.{SCHEMA}.{t}" for db in tables for t in sorted(tables[db]))
            hint = f"there are {shown}" if shown else "no replay has filled the lake yet"
            raise FieldError(f"{_at(table.name, sql)}there is no table {table.sql()}; {hint}")
        if not table.alias:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name)))
        table.set("catalog", exp.to_identifier(catalog))
        table.set("db", exp.to_identifier(SCHEMA))


def _compare_texts(query: exp.Query) -> None:
    """Let comparisons and functions of text get the text of a VARIANT."""
    for node in list(query.find_all(*COMPARISONS, *TEXT_FUNCTIONS)):
        values = [part for part in node.iter_expressions() if isinstance(part, exp.Literal)]
        is_number = any(not value.is_string for value in values)
        for part in list(node.iter_expressions()):
            if not isinstance(part, exp.JSONExtract) or isinstance(part, exp.JSONExtractScalar):
                continue
            text = exp.cast(part.copy(), "text")  # without quotes, by the dialect
            is_compared = isinstance(node, COMPARISONS)
            part.replace(exp.TryCast(this=text, to=DOUBLE) if is_compared and is_number else text)


def _elements(flatten: exp.Expr, sql: str) -> exp.Expr:
    """Return what FLATTEN is in DuckDB: the elements of a list, each with its place."""
    given = {argument.name.lower(): argument.expression for argument in flatten.find_all(exp.Kwarg)}
    source = given.get("input", flatten.this.this)
    if set(given) - {"input"}:
        raise FieldError(f"{_at('flatten', sql)}FLATTEN has no arguments here but INPUT")
    alias = flatten.args.get("alias")
    name = alias.name if alias else "flatten"
    inner = exp.select(exp.alias_(exp.cast(source.copy(), "JSON[]"), "found")).subquery("list")
    elements = exp.select(
        exp.alias_(exp.func("UNNEST", exp.column("found")), "value"),
        exp.alias_(exp.func("UNNEST", exp.func("RANGE", exp.func("LEN", "found"))), "index"),
    ).from_(inner)
    return exp.Lateral(
        this=exp.Subquery(this=elements), alias=exp.TableAlias(this=exp.to_identifier(name))
    )


DOUBLE = exp.DataType.build("double")
