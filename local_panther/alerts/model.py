"""The model of an alert."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local_panther.content.model import Metadata
from local_panther.packed import PackedField, pack, unpack

if TYPE_CHECKING:
    from local_panther.correlation.signals import StepSignal
    from local_panther.detection.signals import Signal

RULE, RULE_ERROR = "RULE", "RULE_ERROR"
MAX_EVENTS = 20  # events that an alert keeps; the total is known from their IDs


@dataclass
class Alert:
    """An alert, with all matches that have joined it.

    Attributes:
        metadata: Metadata of the rule.
        severity: INFO, LOW, MEDIUM, HIGH or CRITICAL.
        title: Title, from the rule.
        dedup: String that groups matches; for a correlation rule the matched value.
        created_at: Time at which an instance would have made it, in seconds since 1970: the arrival
            of the event that completed it, or the run of the query or correlation rule.
        first: Time of the first event, in seconds since 1970; for the row of a query, the earliest
            time in the row.
        last: Time of the last event; for the row of a query, the latest time in the row.
        event_ids: IDs of the distinct events, in the order of their arrival.
        context: `p_alert_context` of the first match; for a correlation rule, that of each step's
            latest signal by step ID.
        event: Event of the first match; for a correlation rule, that of the latest signal.
        description: Description from the rule's YAML or its `description()`.
        runbook: Runbook from the rule's YAML or its `runbook()`.
        reference: Reference from the rule's YAML or its `reference()`.
        match_value: For a correlation rule, the value that was matched on.
        signals: For a correlation rule, the number of signals by step ID.
        event_count: Number of matches; for a correlation rule, of events.
        packed_events: The first MAX_EVENTS distinct events, packed.
        kind: RULE, or RULE_ERROR for an alert about a rule that raised.
        destinations: Names or IDs of destinations from the rule; empty if the severity decides.
        suppressed: True if the rule's `destinations()` returned an empty list: it goes nowhere.
        timeline: Rows of the rule's timeline query; empty unless timelines were requested.
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
        """The alert's context; for a correlation rule the contexts of its steps."""
        found = self.context.values() if self.is_correlation else [self.context]
        return [context for context in found if isinstance(context, Mapping)]

    @property
    def events(self) -> list[Mapping[str, Any]]:
        """Events that the alert keeps."""
        return [unpack(event) for event in self.packed_events]

    @property
    def distinct_events(self) -> int:
        """Number of distinct events, or of matches if the events have no IDs.

        The runs of a scheduled query may all find the same event: each is a match of its own.
        """
        return len(self.event_ids) or self.event_count

    @property
    def events_left_out(self) -> int:
        """Number of distinct events that the alert does not keep."""
        return max(len(self.event_ids) - len(self.packed_events), 0)

    def add_event(self, signal: "Signal | StepSignal") -> None:
        """Add the event of a signal; keep it if it is new and fewer than MAX_EVENTS are kept."""
        is_known = signal.event_id in self.event_ids
        if signal.event_id:
            self.event_ids[signal.event_id] = None
        if is_known or len(self.packed_events) == MAX_EVENTS:
            return
        event = pack(signal.event)
        if signal.event_id or event not in self.packed_events:
            self.packed_events.append(event)


def in_order(alerts: Sequence[Alert]) -> list[Alert]:
    """Return alerts by the time of their creation, then by rule and dedup, to be repeatable."""
    return sorted(alerts, key=lambda a: (a.created_at, a.metadata.rule_id, a.dedup))
