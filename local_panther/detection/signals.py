"""Signals: the records of matches of rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_panther.content.model import Metadata


@dataclass(frozen=True)
class Signal:
    """A match of a rule, whether it alerts or not.

    Attributes:
        time: Event time in seconds since 1970; for a row of a query, the time of the run.
        made_at: Time of creation: the arrival of the event, or the run of the query.
        event: The event that matched.
        context: Result of `alert_context()`.
        title: Result of `title()`, or else the rule's name.
        dedup: The string that groups matches into alerts.
        unique: Result of `unique()`; None if the rule has no such function.
        severity: Result of `severity()`, or else the rule's severity.
        destinations: Result of `destinations()`; None if it returned None or does not exist.
        runbook: Result of `runbook()`, or else the rule's runbook; the same holds for `description`
            and `reference`.
    """

    metadata: Metadata
    time: float
    made_at: float
    event_id: str
    event: Mapping[str, Any]
    context: Mapping[str, Any]
    title: str
    dedup: str
    unique: str | None
    severity: str
    description: str
    runbook: str
    reference: str
    destinations: tuple[str, ...] | None = None

    @property
    def fields(self) -> Mapping[str, Any]:
        """The fields that correlation rules match on."""
        return {**self.event, "p_alert_context": self.context}
