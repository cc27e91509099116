"""The operations of the data lake."""

from typing import Any

from graphql import GraphQLError

from local_panther.errors import FieldError
from local_panther.instance.apis.identity import TOKEN
from local_panther.instance.instance import Instance
from local_panther.instance.jobs import JobRefusedError
from local_panther.instance.lake.queries import (
    CANCELLED,
    SUCCEEDED,
    LakeQuery,
)
from local_panther.lake.names import DEFAULT_DATABASE
from local_panther.lake.reading import DATABASES
from local_panther.times import iso

LARGEST_PAGE = 999
LOG_TYPES = {"aws_cloudtrail": "AWS.CloudTrail"}
DESCRIPTIONS = {
    "aws_cloudtrail": "CloudTrail records",
    "scheduled_rules": "rows of scheduled queries that a rule matched",
    "correlation_signals": "matches of all rules, with what they have in common",
}


class LakeOperations:
    """The resolvers of the data lake."""

    def __init__(self, instance: Instance) -> None:
        self._queries = instance.lake

    def executeDataLakeQuery(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        """Start a query."""
        try:
            database = input["databaseName"] or DEFAULT_DATABASE
            return {"id": self._queries.start(input["sql"], database).id}
        except JobRefusedError as error:
            raise GraphQLError(str(error)) from error

    def cancelDataLakeQuery(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        """Cancel a query."""
        query = self._get(input["id"])
        if not self._queries.cancel(query) and query.status != CANCELLED:
            raise GraphQLError(f"{query.id} cannot be cancelled: it has {query.status}")
        return {"id": query.id}

    def dataLakeQuery(self, *_: Any, id: str, root: bool = False) -> dict[str, Any]:
        """Return a query."""
        return _query_json(self._get(id))

    def dataLakeQueries(self, *_: Any, input: dict[str, Any] | None = None) -> dict[str, Any]:
        """List the remembered queries."""
        asked = input or {}
        found = [query for query in self._queries.all() if _is_wanted(query, asked)]
        start, size = _start(asked.get("cursor")), _size(asked.get("pageSize", 25))
        edges = [{"node": _query_json(query)} for query in found[start : start + size]]
        return {"edges": edges, "pageInfo": _page_info(start, size, len(found))}

    def dataLakeDatabases(self, *_: Any) -> list[dict[str, Any]]:
        """List the databases."""
        return [self._database(name) for name in DATABASES]

    def dataLakeDatabase(self, *_: Any, name: str) -> dict[str, Any]:
        """Return a database."""
        return self._database(name)

    def dataLakeDatabaseTables(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        """List the tables of a database."""
        tables = self._database(input["databaseName"])["tables"]
        start, size = _start(input.get("cursor")), _size(input.get("pageSize", 25))
        edges = [{"node": table} for table in tables[start : start + size]]
        return {"edges": edges, "pageInfo": _page_info(start, size, len(tables))}

    def dataLakeDatabaseTable(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        """Return a table, by its name or its log type."""
        database, wanted = input["databaseName"], input["tableName"].lower().replace(".", "_")
        for table in self._database(database)["tables"]:
            if table["name"] == wanted:
                return dict(table)
        raise GraphQLError(f"there is no table {input['tableName']} in {database}")

    def _database(self, given: str) -> dict[str, Any]:
        name, _, schema = given.lower().partition(".")
        if name not in DATABASES or schema not in ("", "public"):
            raise GraphQLError(f"there is no database {given}; there are {', '.join(DATABASES)}")
        try:
            tables = self._queries.tables().get(name, {})
        except FieldError as error:
            raise GraphQLError(str(error)) from error
        return {
            "name": f"{name}.public",
            "description": DATABASES[name],
            "tables": [_table_json(table, tables[table]) for table in sorted(tables)],
        }

    def _get(self, query_id: str) -> LakeQuery:
        query = self._queries.get(query_id)
        if query is None:
            raise GraphQLError(f"{query_id}: query not found; only the latest are remembered")
        return query


def _table_json(name: str, columns: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "name": name,
        "displayName": name,
        "description": DESCRIPTIONS.get(name),
        "logType": LOG_TYPES.get(name),
        "columns": [{"name": name, "type": snowflake_type(kind)} for name, kind in columns],
    }


def snowflake_type(kind: str) -> str:
    """Return the name of a DuckDB type in Snowflake."""
    if kind.endswith("[]"):
        return "ARRAY"
    return {"VARCHAR": "TEXT", "JSON": "VARIANT", "TIMESTAMP": "TIMESTAMP_NTZ"}.get(kind, kind)


def _query_json(query: LakeQuery) -> dict[str, Any]:
    def results(_info: Any, input: dict[str, Any] | None = None) -> dict[str, Any] | None:
        return _results_json(query, input or {})

    return {
        "id": query.id,
        "sql": query.sql,
        "status": query.status,
        "message": query.message,
        "startedAt": iso(query.started),
        "completedAt": iso(query.completed) if query.completed is not None else None,
        "isScheduled": False,
        "issuedBy": {"__typename": "APIToken", "id": TOKEN["id"], "name": TOKEN["name"]},
        "children": [],
        "results": results,
    }


def _results_json(query: LakeQuery, asked: dict[str, Any]) -> dict[str, Any] | None:
    if query.status != SUCCEEDED:
        return None
    found = query.found
    if found is None:
        raise GraphQLError(f"{query.id}: its rows are no longer kept; run it again")
    start, size = _start(asked.get("cursor")), _size(asked.get("pageSize", LARGEST_PAGE))
    rows = found.rows[start : start + size]
    return {
        "edges": [{"id": str(number), "node": row} for number, row in enumerate(rows, start)],
        "pageInfo": _page_info(start, size, len(found.rows)),
        "columnInfo": {
            "order": [name for name, _ in found.columns],
            "types": {name: snowflake_type(kind) for name, kind in found.columns},
        },
        "stats": {
            "bytesScanned": found.size,
            "executionTime": 1000 * ((query.completed or query.started) - query.started),
            "rowCount": len(found.rows),
        },
        "tryAgain": False,
    }


def _is_wanted(query: LakeQuery, asked: dict[str, Any]) -> bool:
    return (
        query.status in (asked.get("status") or [query.status])
        and (asked.get("contains") or "").lower() in query.sql.lower()
        and not asked.get("isScheduled")
    )


def _start(cursor: str | None) -> int:
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 9):
        raise GraphQLError(f"{cursor!r} is not a cursor that a page ended with")
    return int(cursor)


def _size(asked: int | None) -> int:
    size = LARGEST_PAGE if asked is None else asked
    if not 1 <= size <= LARGEST_PAGE:
        raise GraphQLError(f"pageSize: {size} is not between 1 and {LARGEST_PAGE}")
    return size


def _page_info(start: int, size: int, total: int) -> dict[str, Any]:
    more = start + size < total
    return {
        "hasNextPage": more,
        "hasPreviousPage": start > 0,
        "startCursor": str(start) if start else None,
        "endCursor": str(start + size) if more else None,
    }
