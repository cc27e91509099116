"""Alerts about the content itself: rules that raise, and rules that alert too often.

An instance makes an alert of the kind RULE_ERROR for a rule that raises, one for each type of
error (https://docs.panther.com/alerts#alert-types), and stops alerting for a rule with more than
1,000 alerts in an hour.
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
        errors: What rules raised.
        rules: The metadata of all rules, by rule ID.
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
            description="The rule did not get to an answer for these events.",
            runbook="",
            reference="",
            event_count=raised.count,
            destinations=metadata.output_ids,
        )


def noisy_rules(alerts: Iterable[Alert]) -> Iterator[str]:
    """Yield a line for each rule that an instance would have stopped from alerting.

    Args:
        alerts: In the order in which they were made.
    """
    recent: dict[str, deque[float]] = {}
    told: set[str] = set()
    for alert in alerts:
        rule_id, time = alert.metadata.rule_id, alert.created_at
        times = recent.setdefault(rule_id, deque())
        times.append(time)
        while times[0] <= time - HOUR:
            times.popleft()
        if len(times) > MAX_ALERTS_AN_HOUR and rule_id not in told:
            told.add(rule_id)
            limit = f"{MAX_ALERTS_AN_HOUR:,} alerts in an hour"
            yield f"{rule_id} made more than {limit} by {iso(time)}: an instance stops alerting"
