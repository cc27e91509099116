"""Prepares queries that people type, over all databases of the lake."""

import re

from local_panther.content.sql import parse_sql
from local_panther.lake.dialect import translate, written
from local_panther.lake.names import DEFAULT_DATABASE, Tables

QUOTED = re.compile(r"\"([^\"]+)\"|with name (\S+) does not exist")


def prepare(sql: str, database: str, tables: Tables) -> str:
    """Return a query in DuckDB's dialect; `$now` stands for the time of the run.

    Args:
        sql: A query in Snowflake's dialect, with Panther's macros.
        database: The database of tables named without one: "panther_logs" or
            "panther_logs.public".
        tables: The columns of the tables of each database.

    Raises:
        FieldError: It is not one SELECT over these tables, or uses something that is not supported;
            the message names the line.
    """
    name = database.partition(".")[0].lower() or DEFAULT_DATABASE
    return written(translate(parse_sql(sql), tables, name))


def with_line(message: str, sql: str) -> str:
    """Add the line of the query to a message of DuckDB, if the message quotes a name in it.

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
