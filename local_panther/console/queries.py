"""The pages of lake queries: queries of runbooks with the values of an alert, and any other SQL.

They run like the queries of the API, with the same limits and messages.
"""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from local_panther.console.asked import Asked, Download, Moved, Page, Reply
from local_panther.content.filled_sql import fill
from local_panther.errors import FieldError
from local_panther.instance.apis.graphql.operations.lake import DESCRIPTIONS, snowflake_type
from local_panther.instance.apis.rest.requests import RequestError
from local_panther.instance.instance import QUERIES, Instance
from local_panther.instance.jobs import JobRefusedError
from local_panther.instance.lake.queries import (
    MAX_SQL,
    QUERY_SECONDS,
    RUNNING,
    LakeQuery,
)
from local_panther.lake.names import DEFAULT_DATABASE
from local_panther.lake.reading import DATABASES, MAX_ROWS
from local_panther.output.rows import write_csv

PAGE = 100  # rows
SET = "set."  # prefix of form fields with query parameters
RECENT = 10  # queries in the list of recent ones
EXAMPLE = """SELECT eventTime, eventName, errorCode, sourceIPAddress
FROM panther_logs.public.aws_cloudtrail
WHERE eventName = 'AssumeRole'
ORDER BY eventTime DESC
LIMIT 100"""


class Queries:
    """The handlers of the pages of queries."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._lake = instance.lake

    def editor(self, asked: Asked) -> Reply:
        """Show a field for SQL, and the tables with their columns."""
        problem, tables = "", {}
        try:
            tables = self._lake.tables()
        except FieldError as error:
            problem = str(error)
        of = asked.text("of")
        query = self._get(of) if of else None
        return Page(
            "sql.html.j2",
            {
                "sql": query.sql if query else EXAMPLE,
                "databases": [
                    (name, about, sorted(tables.get(name, {}).items()))
                    for name, about in DATABASES.items()
                    if name in tables
                ],
                "descriptions": DESCRIPTIONS,
                "snowflake_type": snowflake_type,
                "problem": problem,
                "recent": self._lake.all()[:RECENT],
                "seconds": QUERY_SECONDS,
                "most": MAX_ROWS,
            },
        )

    def run(self, asked: Asked) -> Reply:
        """Start a query, given by its name in a runbook or as SQL."""
        name = asked.form.get("name", "")
        sql = asked.form.get("sql", "").replace("\r\n", "\n")
        if name:
            texts: Mapping[str, str] = self._instance.alerts.fact(QUERIES) or {}
            if name not in texts:
                raise RequestError(404, f"no runbook of the latest replay names the query {name!r}")
            fields = asked.form.items()
            values = {key[len(SET) :]: text for key, text in fields if key.startswith(SET) and text}
            filled = fill(texts[name], values)
            sql = filled.head + filled.rest
        if not sql.strip():
            raise RequestError(400, "there is no SQL to run")
        if len(sql) > MAX_SQL:
            raise RequestError(400, f"the query has more than {MAX_SQL:,} characters")
        try:
            query = self._lake.start(sql, DEFAULT_DATABASE)
        except JobRefusedError as error:
            raise RequestError(429, str(error)) from error
        return Moved(f"/console/queries/{query.id}")

    def result(self, asked: Asked) -> Reply:
        """Show the state of a query, and its rows in the chosen order."""
        query = self._get(asked.path)
        found = query.found
        names = [name for name, _ in found.columns] if found else []
        by, is_descending = asked.text("by"), asked.text("down") == "1"
        rows: Sequence[Mapping[str, Any]] = found.rows if found else []
        if by:
            if by not in names:
                raise RequestError(400, f"by: {by!r} is not a column")
            rows = sorted(rows, key=lambda row: _key(row.get(by)), reverse=is_descending)
        start = asked.number("from")
        shown = rows[start : start + PAGE]
        return Page(
            "query.html.j2",
            {
                "query": query,
                "is_running": query.status == RUNNING,
                "has_rows": found is not None,
                "columns": names,
                "rows": [[cell_text(row.get(name)) for name in names] for row in shown],
                "numbers": {name for name in names if _is_number(rows, name)},
                "by": by,
                "down": is_descending,
                "start": start,
                "count": len(rows),
                "page": PAGE,
            },
        )

    def download(self, asked: Asked) -> Reply:
        """Return the rows of a query as CSV."""
        query = self._get(asked.path)
        found = query.found
        if found is None:
            raise RequestError(409, "the query has no rows to export; run it again")
        out = io.StringIO()
        write_csv(found.rows, [name for name, _ in found.columns], out)
        return Download(f"{query.id}.csv", out.getvalue())

    def cancel(self, asked: Asked) -> Reply:
        """Cancel a query."""
        query = self._get(asked.path)
        self._lake.cancel(query)
        return Moved(f"/console/queries/{query.id}")

    def _get(self, query_id: str) -> LakeQuery:
        query = self._lake.get(query_id)
        if query is None:
            raise RequestError(404, "query not found; only the latest are remembered")
        return query


def cell_text(value: Any) -> str:
    """Return a value of a row as text."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_number(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    values = [row.get(name) for row in rows[:PAGE]]
    numbers = [isinstance(v, (int, float)) and not isinstance(v, bool) for v in values]
    return bool(numbers) and all(numbers)


def _key(value: Any) -> tuple[int, float, str]:
    """Return a sort key: missing values come first, then numbers, then texts."""
    if value is None:
        return 0, 0.0, ""
    if isinstance(value, (int, float)):
        return 1, float(value), ""
    return 2, 0.0, cell_text(value)
