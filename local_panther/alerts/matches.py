"""Makes alerts from matches of correlation rules."""

from collections.abc import Callable
from dataclasses import dataclass, field

from local_panther.alerts.model import Alert
from local_panther.correlation.correlation_engine import CorrelationMatch

Key = tuple[str, tuple[str, ...]]  # rule ID, and the value of each match criterion


@dataclass
class _OpenAlert:
    """The latest alert of a rule and value, with the numbers of its signals by step ID."""

    alert: Alert
    members: dict[str, set[int]] = field(default_factory=dict)


class CorrelationAlerts:
    """A maker of alerts from matches of correlation rules.

    It is undocumented how an instance groups repeated matches of one value (low confidence): here a
    match that overlaps the value's latest alert in time joins it, and any other makes a new alert.

    Attributes:
        alerts: Alerts in the order in which they were made.
    """

    def __init__(self, joined: Callable[[Alert, CorrelationMatch], None] | None = None) -> None:
        """Start with no alerts.

        Args:
            joined: Function that is called with an alert and each match that joins it.
        """
        self._joined = joined
        self._open: dict[Key, _OpenAlert] = {}
        self.alerts: list[Alert] = []

    def add(self, found: CorrelationMatch) -> None:
        """Add a match; one of a rule with `CreateAlert: false` makes no alert."""
        if not found.metadata.creates_alert:
            return
        key = found.metadata.rule_id, found.match.binding
        latest = self._open.get(key)
        if latest is None or found.match.first > latest.alert.last:
            latest = self._open[key] = _OpenAlert(_make(found))
            self.alerts.append(latest.alert)
        _join(latest, found)
        if self._joined:
            self._joined(latest.alert, found)


def _make(found: CorrelationMatch) -> Alert:
    metadata, value = found.metadata, found.value
    return Alert(
        metadata=metadata,
        severity=metadata.severity,
        title=f"{metadata.display_name}: {value}" if value else metadata.display_name,
        dedup=value or metadata.rule_id,
        created_at=found.found_at,
        first=found.match.first,
        last=found.match.last,
        event_ids={},
        context={},
        event={},
        description=metadata.description,
        runbook=metadata.runbook,
        reference=metadata.reference,
        match_value=value,
        destinations=metadata.output_ids,
    )


def _join(latest: _OpenAlert, found: CorrelationMatch) -> None:
    alert = latest.alert
    for step, signals in found.match.signals.items():
        members = latest.members.setdefault(step, set())
        for signal in signals:
            if signal.number not in members:
                members.add(signal.number)
                alert.add_event(signal)
    alert.context = {**alert.context, **found.context}
    alert.signals = {step: len(members) for step, members in latest.members.items()}
    alert.event_count = len(alert.event_ids)
    alert.first = min(alert.first, found.match.first)
    alert.last = max(alert.last, found.match.last)
    alert.event = found.latest.event
