"""Groups the matches of rules into alerts: threshold, unique values, dedup string and period."""

from collections.abc import Callable
from dataclasses import dataclass, field

from local_panther.alerts.model import Alert
from local_panther.content.model import PythonRule
from local_panther.detection.signals import Signal
from local_panther.times import parse_time

SCHEDULED = "scheduled_rule"


@dataclass
class _Group:
    """Matches of one rule with one dedup string, within one dedup period from the first match."""

    started: float
    signals: list[Signal] = field(default_factory=list)  # emptied when the alert is made
    uniques: set[str] = field(default_factory=set)
    alert: Alert | None = None


class AlertGrouper:
    """A maker of alerts from signals, which works as an instance does, but by event time.

    An alert is made when the number of matches (or of distinct values of `unique()`) in the dedup
    period reaches `Threshold`. The period begins with the first match. Later matches in the period
    join the alert; the next match after it starts a new period.
    """

    def __init__(
        self, rules: list[PythonRule], joined: Callable[[Alert, Signal], None] | None = None
    ) -> None:
        """Start with no alerts.

        Args:
            rules: Rules that make the signals.
            joined: Function that is called with an alert and each signal that joins it.
        """
        self._joined = joined
        self._rules = {rule.metadata.rule_id: rule for rule in rules}
        self._groups: dict[tuple[str, str], _Group] = {}
        self.alerts: list[Alert] = []

    def add(self, signal: Signal) -> None:
        """Add a signal; one of a rule with `CreateAlert: false` makes no alert."""
        if not signal.metadata.creates_alert:
            return
        rule = self._rules[signal.metadata.rule_id]
        key = signal.metadata.rule_id, signal.dedup
        group = self._groups.get(key)
        if group is None or not self._belongs(signal, group, rule):
            group = self._groups[key] = _Group(signal.time)
        if group.alert:
            _join(group.alert, signal)
            self._report(group.alert, [signal])
            return
        group.signals.append(signal)
        if signal.unique is not None:
            group.uniques.add(signal.unique)
        reached = len(group.uniques) if rule.counts_unique else len(group.signals)
        if reached >= rule.threshold:
            group.alert = _make(group.signals, signal.made_at)
            self._report(group.alert, group.signals)
            group.signals = []
            self.alerts.append(group.alert)

    def _report(self, alert: Alert, signals: list[Signal]) -> None:
        if self._joined:
            for signal in signals:
                self._joined(alert, signal)

    @staticmethod
    def _belongs(signal: Signal, group: _Group, rule: PythonRule) -> bool:
        return abs(signal.time - group.started) < rule.dedup_seconds


def _make(signals: list[Signal], created_at: float) -> Alert:
    first = signals[0]
    alert = Alert(
        metadata=first.metadata,
        severity=first.severity,
        title=first.title,
        dedup=first.dedup,
        created_at=created_at,
        first=first.time,
        last=first.time,
        event_ids={},
        context=first.context,
        event=first.event,
        description=first.description,
        runbook=first.runbook,
        reference=first.reference,
        destinations=first.destinations or first.metadata.output_ids,
        suppressed=first.destinations == (),
    )
    for signal in signals:
        _join(alert, signal)
    return alert


def _join(alert: Alert, signal: Signal) -> None:
    first, last = happened(signal)
    if not alert.event_count:
        alert.first, alert.last = first, last
    alert.event_count += 1
    alert.add_event(signal)
    alert.first = min(alert.first, first)
    alert.last = max(alert.last, last)


def happened(signal: Signal) -> tuple[float, float]:
    """Return the times of a signal's first and last event, in seconds since 1970.

    A scheduled rule runs when its query does, so the times of its events are taken from the row.
    """
    if signal.metadata.analysis_type != SCHEDULED:
        return signal.time, signal.time
    texts = (value for value in signal.event.values() if isinstance(value, str))
    times = [time for text in texts if (time := parse_time(text)) and time <= signal.time]
    return min(times, default=signal.time), max(times, default=signal.time)
