"""Alerts about rules that raise, and notes on rules that alert too often.

An instance makes an alert of type RULE_ERROR for each type of error that a rule raises
(https://docs.panther.com/alerts#alert-types), and stops the alerts of a rule after 1,000 in an
hour.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

from local_panther.alerts.model import RULE_ERROR, Alert
from local_panther.content.model import Metadata
from local_panther.errors import RunErrors
from local_panther.times import HOUR, iso

MAX_ALERTS_AN_HOUR = 1000


def rule_error_alerts(errors: RunErrors, rules: Mapping[str, Metadata]) -> Iterator[Alert]:
    """Yield an alert for each rule and type of error.

    Args:
        errors: Errors that rules raised.
        rules: Metadata of all rules, by rule ID.
    """
    for (rule_id, kind), raised in errors.raised.items():
        metadata = rules.get(rule_id)
        if metadata is None:
            continue
        yield Alert(
            metadata=metadata,
            kind=RULE_ERROR,
            severity=metadata.severity,
            title=f"{metadata.display_name} raised {kind}",
            dedup=f"{rule_id}:{kind}",
            created_at=raised.made_at,
            first=raised.first,
            last=raised.last,
            event_ids={},
            context={"error": raised.message, "where": raised.where},
            event={},
            description="The rule raised an error, so these events were not checked.",
            runbook="",
            reference="",
            event_count=raised.count,
            destinations=metadata.output_ids,
        )


def noisy_rules(alerts: Iterable[Alert]) -> Iterator[str]:
    """Yield a line for each rule whose alerts an instance would have stopped.

    Args:
        alerts: Alerts in the order in which they were made.
    """
    recent: dict[str, deque[float]] = {}
    reported: set[str] = set()
    for alert in alerts:
        rule_id, time = alert.metadata.rule_id, alert.created_at
        times = recent.setdefault(rule_id, deque())
        times.append(time)
        while times[0] <= time - HOUR:
            times.popleft()
        if len(times) > MAX_ALERTS_AN_HOUR and rule_id not in reported:
            reported.add(rule_id)
            limit = f"{MAX_ALERTS_AN_HOUR:,} alerts in an hour"
            yield f"{rule_id} made more than {limit} by {iso(time)}: an instance stops its alerts"
