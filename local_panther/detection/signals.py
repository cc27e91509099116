"""What a match of a rule leaves behind."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_panther.content.model import Metadata


@dataclass(frozen=True)
class Signal:
    """One match of a rule, whether it alerts or not.

    Attributes:
        time: Event time in seconds since 1970; for the row of a query, the time of the run.
        made_at: When it was made: the arrival of the event, or the run.
        event: The event that matched.
        context: What `alert_context()` returned.
        title: What `title()` returned, else the rule's name.
        dedup: The string that groups matches into alerts.
        unique: What `unique()` returned, None if the rule has none.
        severity: What `severity()` returned, else the rule's.
        destinations: What `destinations()` returned, None if the rule has none or returned None.
        runbook: What `runbook()` returned, else the rule's; `description` and `reference` alike.
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
