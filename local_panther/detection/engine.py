"""Runs the streaming rules of some content over records."""

from collections.abc import Iterator
from typing import Any

from local_panther.content.model import Content, EventNames, PythonRule, includes, united
from local_panther.detection.running import run_rule
from local_panther.detection.signals import Signal
from local_panther.errors import RunErrors
from local_panther.records.model import Record
from local_panther.records.panther_fields import normalised_time


class Engine:
    """The streaming rules of some content."""

    def __init__(self, content: Content, errors: RunErrors) -> None:
        """Take the rules for the log type of the content.

        Args:
            content: Its streaming rules and data models.
            errors: Takes what rules raise.
        """
        self._rules = content.rules
        self._by_name: dict[str, list[PythonRule]] = {}
        self._model = content.data_models.get(content.log_type)
        self._errors = errors

    @property
    def event_names(self) -> EventNames:
        """The eventNames of records that any rule can match, by the rules' filters."""
        return united(rule.event_names for rule in self._rules)

    def run(
        self, record: Record, arrival: float | None = None, event: dict[str, Any] | None = None
    ) -> Iterator[Signal]:
        """Run the rules that can match a record and yield a signal for each match.

        Args:
            record: The record.
            arrival: When it arrived, in seconds since 1970; when it happened if omitted.
            event: What the record returned as its event, if it was asked for that before. It gets
                its `p_parse_time`.
        """
        rules = self._for_name(record.name)
        if not rules:
            return
        event = record.event() if event is None else event
        arrival = record.time if arrival is None else arrival
        event["p_parse_time"] = normalised_time(arrival)
        for rule in rules:
            signal = run_rule(
                rule, event, record.time, record.where, self._errors, self._model, arrival
            )
            if signal:
                yield signal

    def _for_name(self, name: str) -> list[PythonRule]:
        rules = self._by_name.get(name)
        if rules is None:
            rules = [rule for rule in self._rules if includes(rule.event_names, name)]
            self._by_name[name] = rules
        return rules
