"""Runs the saved queries that return the timeline of an alert.

A saved query with the tag `Timeline:<RuleID>` runs for each alert of that rule. The columns of its
CTE `parameters` are set from the alert: `alert_time`, `match_value`, and the fields of the alert's
context by name.
"""

from collections.abc import Mapping
from typing import Any

import duckdb

from local_panther.alerts.model import Alert
from local_panther.content.model import Content, EventNames, Query, united
from local_panther.errors import FieldError, RunErrors, one_line
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.lake import Lake
from local_panther.times import sql_timestamp

TAG = "Timeline:"


class Timelines:
    """The timeline queries of some content."""

    def __init__(self, content: Content, lake: Lake, errors: RunErrors) -> None:
        """Take the timeline queries.

        Args:
            content: Its saved queries.
            lake: What the queries read.
            errors: Takes what goes wrong in queries.
        """
        self._lake = lake
        self._errors = errors
        self._queries: dict[str, Query] = {}
        for query in content.queries.values():
            self._queries |= dict.fromkeys(query.names_tagged(TAG), query)

    @property
    def event_names(self) -> EventNames:
        """The eventNames of records that any timeline can show."""
        return united(query.event_names for query in self._queries.values())

    def rows(self, alert: Alert) -> list[dict[str, Any]]:
        """Return the rows of an alert's timeline; none if its rule has no timeline query."""
        query = self._queries.get(alert.metadata.rule_id)
        if query is None:
            return []
        try:
            sql = transpile_sql(query.sql, parameters_of(alert))
            return self._lake.query(sql, alert.created_at)
        except (duckdb.Error, FieldError) as error:
            self._errors.add(query.name, alert.title, one_line(error))
            return []


def parameters_of(alert: Alert) -> dict[str, str]:
    """Return what the CTE `parameters` of a timeline query can ask for."""
    contexts = alert.context.values() if alert.is_correlation else [alert.context]
    found: dict[str, str] = {}
    for context in contexts:
        if isinstance(context, Mapping):
            found |= {key: value for key, value in context.items() if isinstance(value, str)}
    return found | {
        "match_value": alert.match_value or "",
        "alert_time": sql_timestamp(alert.created_at),
    }
