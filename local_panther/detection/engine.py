"""Runs rules over events with the instance's own code, `panther_core`."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from panther_core.detection import DetectionResult
from panther_core.enriched_event import PantherEvent

from local_panther.content.model import Content, EventNames, StreamingRule, includes, united
from local_panther.detection.signals import Signal
from local_panther.errors import Problem
from local_panther.records.model import Record
from local_panther.records.panther_fields import LOG_TYPE

MAX_ERRORS_SHOWN = 20


@dataclass
class RuleErrors:
    """What rules raised: a failing rule is a result to report, not a crash."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[Problem] = field(default_factory=list)

    def add(self, rule_id: str, where: str, message: str) -> None:
        """Count an error of a rule, and keep the first ones with their place."""
        self.counts[rule_id] += 1
        if len(self.examples) < MAX_ERRORS_SHOWN:
            self.examples.append(Problem(where, f"{rule_id}: {message}"))


class Engine:
    """The streaming rules of some content."""

    def __init__(self, content: Content, errors: RuleErrors) -> None:
        self._rules = [rule for rule in content.rules if LOG_TYPE in rule.log_types]
        self._by_name: dict[str, list[StreamingRule]] = {}
        self._model = content.data_models.get(LOG_TYPE)
        self._errors = errors

    @property
    def event_names(self) -> EventNames:
        """The eventNames of records that any rule can match, by the rules' filters."""
        return united(rule.event_names for rule in self._rules)

    def run(self, record: Record) -> Iterator[Signal]:
        """Run the rules that can match a record and yield a signal for each match."""
        rules = self._for_name(record.name)
        event = record.event() if rules else {}
        for rule in rules:
            # Every rule gets an event of its own: what one does to it is not seen by the next.
            result = rule.detection.run(PantherEvent(event, self._model), {}, {}, batch_mode=True)
            if result.detection_evaluation_failed:
                message = result.error_message or "unknown error"
                self._errors.add(rule.metadata.rule_id, record.where, message)
            if result.trigger_alert:
                yield make_signal(rule, record.time, event, result)

    def _for_name(self, name: str) -> list[StreamingRule]:
        rules = self._by_name.get(name)
        if rules is None:
            rules = [rule for rule in self._rules if includes(rule.event_names, name)]
            self._by_name[name] = rules
        return rules


def make_signal(
    rule: StreamingRule, time: float, event: Mapping[str, Any], result: DetectionResult
) -> Signal:
    """Return the signal of a match.

    Args:
        time: When it happened, in seconds since 1970.
        result: What running the rule on the event came to.
    """
    metadata = rule.metadata
    return Signal(
        metadata=metadata,
        time=time,
        event_id=str(event.get("eventID", "")),
        event=event,
        context=json.loads(result.alert_context_output or "{}"),
        title=result.title_output or metadata.display_name,
        dedup=result.dedup_output or f"defaultDedupString:{metadata.rule_id}",
        unique=result.unique_output,
        severity=result.severity_output or metadata.severity,
        description=result.description_output or metadata.description,
        runbook=result.runbook_output or metadata.runbook,
        reference=result.reference_output or metadata.reference,
    )
