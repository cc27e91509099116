"""Runs the saved queries that return the timelines of alerts.

A saved query with the tag `Timeline:<RuleID>` is about the alerts of that rule. The columns of its
CTE `parameters` are set from the alert: `alert_time`, `match_value`, and the fields of the alert's
context by name. A column whose default is a text other than '' is required: an alert without a
value for it has no timeline.

A number in the column `minutes_around` promises that the query reads at most this many minutes
before and after `alert_time`, so that the lake can drop other records. Without it all records are
kept.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any

import duckdb
from sqlglot import exp

from local_panther.alerts.model import Alert
from local_panther.alerts.parameters import ALERT_TIME, TIMELINE_TAG, parameters_of
from local_panther.content.model import Content, EventNames, Query, united
from local_panther.content.sql import parameters_in
from local_panther.errors import FieldError, RunErrors, one_line
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.each import rows_of_each
from local_panther.lake.lake import Lake, TooManyRowsError
from local_panther.text import without_halves
from local_panther.times import parse_time

MINUTES_AROUND = "minutes_around"
MAX_TOGETHER = 50  # alerts in one run of a query: faster than one by one, and in bounded memory

Rows = list[dict[str, Any]]
Values = tuple[tuple[str, str], ...]  # names and values of parameters


class Timelines:
    """The timeline queries of some content."""

    def __init__(self, content: Content, lake: Lake, errors: RunErrors) -> None:
        """Collect the timeline queries.

        Args:
            content: Content with the saved queries.
            lake: Data lake that the queries read.
            errors: Collector for errors of the queries.
        """
        self._lake = lake
        self._errors = errors
        self._queries: dict[str, Query] = {}
        for query in content.queries.values():
            self._queries |= dict.fromkeys(query.names_tagged(TIMELINE_TAG), query)

    @property
    def event_names(self) -> EventNames:
        """Event names of the records that any timeline can show."""
        return united(query.event_names for query in self._queries.values())

    @cached_property
    def seconds_around(self) -> float | None:
        """Most seconds before and after an alert that a timeline reads; None if one is unknown."""
        found = [_seconds_around(query) for query in self._queries.values()]
        known = [seconds for seconds in found if seconds is not None]
        return max(known, default=0.0) if len(known) == len(found) else None

    def attach(self, alerts: Sequence[Alert]) -> None:
        """Set the timelines of the alerts whose rules have a timeline query.

        Alerts of one principal at one time share one list of rows.
        """
        for query in {query.name: query for query in self._queries.values()}.values():
            columns = parameters_in(query.sql)
            about: dict[Values, list[Alert]] = {}
            for alert in alerts:
                if self._queries.get(alert.metadata.rule_id) is query:
                    values = _values(alert, columns)
                    if values is not None:
                        about.setdefault(values, []).append(alert)
            for values, rows in self._found(query, list(about)):
                in_order = sorted(rows, key=_order)
                for alert in about[values]:
                    alert.timeline = in_order

    def _found(self, query: Query, settings: list[Values]) -> Iterator[tuple[Values, Rows]]:
        for _, group in groupby(sorted(settings, key=_names), key=_names):
            same_names = list(group)
            for start in range(0, len(same_names), MAX_TOGETHER):
                several = same_names[start : start + MAX_TOGETHER]
                yield from zip(several, self._rows(query, several), strict=True)

    def _rows(self, query: Query, settings: list[Values]) -> list[Rows]:
        """Return the rows for each of several settings; an empty list for one that fails."""
        if len(settings) > 1:
            try:
                return rows_of_each(self._lake, query.sql, [dict(s) for s in settings], ALERT_TIME)
            except (duckdb.Error, FieldError, TooManyRowsError) as error:
                logging.debug("one by one: %s", error)  # not every query can be a lateral join
        return [self._rows_alone(query, dict(values)) for values in settings]

    def _rows_alone(self, query: Query, values: Mapping[str, str]) -> Rows:
        try:
            moment = parse_time(values[ALERT_TIME]) or 0
            return self._lake.query(transpile_sql(query.sql, values), moment)
        except (duckdb.Error, FieldError, TooManyRowsError) as error:
            self._errors.add(query.name, " ".join(values.values()), one_line(error))
            return []


def _values(alert: Alert, columns: Mapping[str, exp.Alias]) -> Values | None:
    """Return an alert's values for the parameters; None if it lacks a required one."""
    known = parameters_of(alert)
    examples = (name for name, column in columns.items() if _is_example(column.this))
    if not all(name in known for name in examples):
        return None
    return tuple(
        (name, without_halves(known[name])) for name in (*columns, ALERT_TIME) if name in known
    )


def _seconds_around(query: Query) -> float | None:
    column = parameters_in(query.sql).get(MINUTES_AROUND)
    number = column.this if column else None
    is_number = isinstance(number, exp.Literal) and not number.is_string
    return float(number.name) * 60 if is_number and number else None


def _order(row: Mapping[str, Any]) -> tuple[str, str]:
    return str(row.get("event_time")), str(row)


def _names(values: Values) -> tuple[str, ...]:
    return tuple(name for name, _ in values)


def _is_example(default: exp.Expr) -> bool:
    return isinstance(default, exp.Literal) and default.is_string and bool(default.name)
