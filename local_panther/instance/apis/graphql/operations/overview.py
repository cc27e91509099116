"""The operations on metrics and log sources, and those on AI, which are refused."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NoReturn

from graphql import GraphQLError

from local_panther.instance.alerts.model import AlertFilter, FoundAlert
from local_panther.instance.apis import UNSUPPORTED
from local_panther.instance.apis.identity import NAMESPACE, SINCE
from local_panther.instance.instance import SUMMARY, Instance
from local_panther.times import HOUR, iso, parse_time

MINUTE = 60  # seconds
DEFAULT_INTERVAL = 1440  # minutes
MAX_BUCKETS = 10_000
SOURCE = "CloudTrail files of --replay"


class OverviewOperations:
    """The resolvers of metrics and log sources."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def metrics(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        """Count the alerts and bytes of a period."""
        start, end = _time(input["fromDate"], "fromDate"), _time(input["toDate"], "toDate")
        minutes = input.get("intervalInMinutes") or DEFAULT_INTERVAL
        if minutes < 1 or (end - start) / (minutes * MINUTE) > MAX_BUCKETS:
            raise GraphQLError(f"intervalInMinutes: gives more than {MAX_BUCKETS:,} points")
        alerts = self._alerts(start, end)
        per_severity: dict[str, list[float]] = {}
        for alert in alerts:
            kind = alert.detection_type.replace("_", " ").title()
            per_severity.setdefault(f"{kind} {alert.severity}", []).append(alert.created)
        per_rule = Counter((alert.rule_id, alert.rule_name) for alert in alerts)
        processed = self._processed(start, end)
        return {
            "alertsPerSeverity": [
                _series(label, ((time, 1) for time in times), start, minutes)
                for label, times in sorted(per_severity.items())
            ],
            "alertsPerRule": [
                {"entityId": rule, "label": name, "value": count}
                for (rule, name), count in per_rule.most_common()
            ],
            "bytesProcessedPerSource": [
                _series(log_type, [(time, size)], start, minutes)
                for log_type, time, size in processed
            ],
            "totalAlerts": len(alerts),
            "totalBytesProcessed": sum(size for *_, size in processed),
        }

    def sources(self, *_: Any, input: dict[str, Any] | None = None) -> dict[str, Any]:
        """List the one log source, the replayed files."""
        summary = self._instance.alerts.fact(SUMMARY)
        page = {"hasNextPage": False, "hasPreviousPage": False}
        edges = [{"node": _source(summary)}] if summary and not (input or {}).get("cursor") else []
        return {"edges": edges, "pageInfo": page}

    def aiSummarizeAlert(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: there is no AI here."""
        _no_ai()

    def aiInferenceStream(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: there is no AI here."""
        _no_ai()

    def aiInferenceStreamsMetadata(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: there is no AI here."""
        _no_ai()

    def _alerts(self, start: float, end: float) -> list[FoundAlert]:
        wanted = AlertFilter(created_after=start, created_before=end, descending=False)
        return [kept.found for kept in self._instance.alerts.find(wanted, -1)]

    def _processed(self, start: float, end: float) -> list[tuple[str, float, int]]:
        """Return the bytes of each log type in the lake, with the time for which they count.

        That is the hour before the one in which the lake was filled: panther_analysis_tool asks for
        full hours that have passed, and must find what a replay has just brought.
        """
        summary = self._instance.alerts.fact(SUMMARY) or {}
        time = (summary.get("taken", 0) // HOUR - 1) * HOUR
        sizes = summary.get("bytes", {}) if start <= time <= end else {}
        return [(log_type, time, size) for log_type, size in sizes.items() if size]


def _series(
    label: str, points: Iterable[tuple[float, float]], start: float, minutes: int
) -> dict[str, Any]:
    """Return the sum of all points, and the sums of the intervals that have points."""
    buckets: Counter[float] = Counter()
    for time, value in points:
        width = minutes * MINUTE
        buckets[start + (time - start) // width * width] += value  # type: ignore[assignment]
    breakdown = {iso(time): value for time, value in sorted(buckets.items())}
    return {"label": label, "value": sum(buckets.values()), "breakdown": breakdown}


def _source(summary: dict[str, Any]) -> dict[str, Any]:
    last = summary.get("last")
    return {
        "__typename": "LocalLogIntegration",
        "integrationId": str(NAMESPACE),
        "integrationLabel": SOURCE,
        "integrationType": "local-files",
        "isEditable": False,
        "isHealthy": not summary.get("problems"),
        "logTypes": ["AWS.CloudTrail"],
        "createdAtTime": SINCE,
        "lastEventProcessedAtTime": iso(last) if last is not None else None,
        "lastEventReceivedAtTime": iso(last) if last is not None else None,
        "lastModified": None,
    }


def _time(text: Any, name: str) -> float:
    time = parse_time(text) if isinstance(text, str) else None
    if time is None:
        raise GraphQLError(f"{name}: {text!r} is not a time such as 2026-01-05T10:00:00Z")
    return time


def _no_ai() -> NoReturn:
    raise GraphQLError(f"AI triage is {UNSUPPORTED}: nothing leaves this machine")
