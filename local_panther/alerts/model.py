"""Alerts: what an analyst gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local_panther.content.model import Metadata
from local_panther.packed import PackedField, pack, unpack

if TYPE_CHECKING:
    from local_panther.correlation.signals import StepSignal
    from local_panther.detection.signals import Signal

RULE, RULE_ERROR = "RULE", "RULE_ERROR"
MAX_EVENTS = 20  # that an alert holds; how many there are beside them is known


@dataclass
class Alert:
    """One alert, with everything that has joined it.

    Attributes:
        metadata: Of the rule that made it.
        severity: INFO, LOW, MEDIUM, HIGH or CRITICAL.
        title: What it is called.
        dedup: The string that groups matches; for a correlation rule the matched value.
        created_at: When an instance would have made it, in seconds since 1970: when the event that
            completed it had arrived, or at the run of the query or correlation rule that found it.
        first: When the first of its events happened, in seconds since 1970; for the row of a query,
            what the row says of it.
        last: When the latest of them happened.
        event_ids: Of the events behind it, each once, in the order of their arrival.
        context: The `p_alert_context` of its first match; for a correlation rule, by step ID, that
            of the step's latest signal.
        event: The event of its first match; for a correlation rule that of its latest signal.
        description: What the rule, or its `description()`, says; `runbook` and `reference` alike.
        match_value: For a correlation rule the value that was matched on.
        signals: For a correlation rule the number of signals by step ID.
        event_count: Number of matches; for a correlation rule, of events.
        packed_events: The first MAX_EVENTS of the events behind it, each once, packed.
        kind: RULE, or RULE_ERROR for an alert about a rule that raised.
        destinations: Names or IDs of where it goes, by the rule; none if the severity decides.
        suppressed: True if the rule's `destinations()` says that it goes nowhere.
        timeline: The rows of the rule's timeline query, if they were asked for.
    """

    metadata: Metadata
    severity: str
    title: str
    dedup: str
    created_at: float
    first: float
    last: float
    event_ids: dict[str, None]
    description: str
    runbook: str
    reference: str
    context: PackedField[Mapping[str, Any]] = PackedField()
    event: PackedField[Mapping[str, Any]] = PackedField()
    match_value: str | None = None
    signals: Mapping[str, int] = field(default_factory=dict)
    event_count: int = 0
    packed_events: list[bytes] = field(default_factory=list)
    kind: str = RULE
    destinations: tuple[str, ...] = ()
    suppressed: bool = False
    timeline: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_correlation(self) -> bool:
        """True if a correlation rule made it."""
        return self.metadata.analysis_type == "correlation_rule"

    @property
    def contexts(self) -> list[Mapping[str, Any]]:
        """Its context; for a correlation rule those of its steps."""
        found = self.context.values() if self.is_correlation else [self.context]
        return [context for context in found if isinstance(context, Mapping)]

    @property
    def events(self) -> list[Mapping[str, Any]]:
        """The events behind it that it holds."""
        return [unpack(event) for event in self.packed_events]

    @property
    def distinct_events(self) -> int:
        """Number of the events behind it, each once; of matches if the events have no IDs.

        A scheduled query finds the same in each of its runs: these are matches, but not events.
        """
        return len(self.event_ids) or self.event_count

    @property
    def events_left_out(self) -> int:
        """Number of the events behind it that it does not hold."""
        return max(len(self.event_ids) - len(self.packed_events), 0)

    def add_event(self, signal: "Signal | StepSignal") -> None:
        """Take the event behind a signal; one that it has, or beyond the bound, only counts."""
        is_known = signal.event_id in self.event_ids
        if signal.event_id:
            self.event_ids[signal.event_id] = None
        if is_known or len(self.packed_events) == MAX_EVENTS:
            return
        event = pack(signal.event)
        if signal.event_id or event not in self.packed_events:
            self.packed_events.append(event)


def in_order(alerts: Sequence[Alert]) -> list[Alert]:
    """Sort alerts by when they were made; equal times by rule and dedup, to be repeatable."""
    return sorted(alerts, key=lambda a: (a.created_at, a.metadata.rule_id, a.dedup))
