"""Runs rules over events with the instance's own code, `panther_core`."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from panther_core.detection import DetectionResult
from panther_core.enriched_event import PantherEvent

from local_panther.content.model import Content, StreamingRule
from local_panther.detection.events import LOG_TYPE, build
from local_panther.detection.signals import Signal
from local_panther.errors import Problem
from local_panther.records.model import Record

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

    def __init__(self, content: Content) -> None:
        self._content = content
        self._rules = [rule for rule in content.rules if LOG_TYPE in rule.log_types]
        self._by_name: dict[str, list[StreamingRule]] = {}
        self._model = content.data_models.get(LOG_TYPE)
        self.errors = RuleErrors()
        self.signals: Counter[str] = Counter()

    def wants(self, event_name: str) -> bool:
        """Tell whether any rule can match a record of this eventName, by the rules' filters."""
        return bool(self._for_name(event_name))

    def run(self, record: Record) -> Iterator[Signal]:
        """Run the rules that can match a record and yield a signal for each match."""
        rules = self._for_name(record.name)
        if not rules:
            return
        event = build(record)
        for rule in rules:
            # Every rule gets an event of its own: what one does to it is not seen by the next.
            result = rule.detection.run(PantherEvent(event, self._model), {}, {}, batch_mode=True)
            if result.detection_evaluation_failed:
                message = result.error_message or "unknown error"
                self.errors.add(rule.metadata.rule_id, record.where, message)
            if result.trigger_alert:
                self.signals[rule.metadata.rule_id] += 1
                yield _signal(rule, record, event, result)

    def _for_name(self, name: str) -> list[StreamingRule]:
        rules = self._by_name.get(name)
        if rules is None:
            rules = [r for r in self._rules if r.event_names is None or name in r.event_names]
            self._by_name[name] = rules
        return rules


def _signal(
    rule: StreamingRule, record: Record, event: Mapping[str, Any], result: DetectionResult
) -> Signal:
    metadata = rule.metadata
    return Signal(
        metadata=metadata,
        time=record.time,
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
