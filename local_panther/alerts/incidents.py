"""Incidents: alerts of one principal that belong together, as an analyst works on them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from local_panther.activity.log import RoleLog
from local_panther.activity.principals import principal_of
from local_panther.activity.role_calls import DISCOVERY
from local_panther.alerts.model import RULE_ERROR, Alert
from local_panther.alerts.role_facts import REACH, RoleFacts, role_facts

GAP = 3 * 3600  # seconds between two alerts of a principal that are still one incident
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFO")  # worst first


@dataclass(frozen=True)
class Incident:
    """Alerts of one principal, none more than GAP after the one before it.

    Attributes:
        number: Its place among all incidents, worst first, from 1.
        principal: Who did it; "" if the alerts do not say.
        alerts: Worst first, and in order of time.
        first: When the first of its events happened, in seconds since 1970.
        last: When the last of them happened.
        roles: What the principal did with roles; None if the alerts are about something else.
    """

    number: int
    principal: str
    alerts: tuple[Alert, ...]
    first: float
    last: float
    roles: RoleFacts | None = None

    @property
    def severity(self) -> str:
        """The highest severity of its alerts."""
        return self.alerts[0].severity

    @property
    def tried(self) -> int:
        """Number of roles that were tried."""
        return len(self.roles.tried) if self.roles else 0

    @property
    def entered(self) -> int:
        """Number of roles that were assumed or whose trust policy was changed."""
        return len(self.roles.entered) if self.roles else 0

    @cached_property
    def event_count(self) -> int:
        """Number of the events behind its alerts, as far as these know their IDs."""
        return len({event_id for alert in self.alerts for event_id in alert.event_ids})

    @cached_property
    def addresses(self) -> tuple[str, ...]:
        """Where its calls came from, the most frequent first."""
        return self._most_frequent("address", "sourceIPAddress")

    @cached_property
    def agents(self) -> tuple[str, ...]:
        """With what its calls were made, the most frequent first."""
        return self._most_frequent("agent", "userAgent")

    def _most_frequent(self, attribute: str, field: str) -> tuple[str, ...]:
        if self.roles:
            found = [getattr(call, attribute) for call in self.roles.attempts]
        else:
            events = (event for alert in self.alerts for event in alert.events)
            found = [event.get(field) for event in events]
        counts = Counter(value for value in found if isinstance(value, str) and value)
        return tuple(value for value, _ in counts.most_common())


def incidents_of(alerts: Iterable[Alert], log: RoleLog) -> list[Incident]:
    """Join alerts into incidents, worst first.

    First comes the highest severity, among equals what got into the most roles, then what tried the
    most, then what began first.

    Args:
        alerts: All of them, in any order.
        log: The calls about roles that were read.
    """
    by_principal: dict[str, list[Alert]] = {}
    found: list[Incident] = []
    for alert in alerts:
        principal = "" if alert.kind == RULE_ERROR else principal_of_alert(alert, log)
        if principal:
            by_principal.setdefault(principal, []).append(alert)
        else:
            found.append(_incident("", [alert], log))
    for principal, own in by_principal.items():
        found += [_incident(principal, group, log) for group in _chains(own)]
    found.sort(key=_rank)
    return [replace(incident, number=number) for number, incident in enumerate(found, 1)]


def principal_of_alert(alert: Alert, log: RoleLog) -> str:
    """Return who an alert is about; "" if it does not say.

    That is the principal that its context names or, for a correlation rule, that it matched on;
    else who made the call that matched; else, for the row of a query, a value that is the name of
    a principal.
    """
    contexts = list(_contexts(alert))
    named = [context.get("principal") for context in contexts]
    for name in [*named, alert.match_value]:
        if isinstance(name, str) and (name in log or name in named):
            return name
    if principal := principal_of(alert.event.get("userIdentity")):
        return principal
    values = (value for context in contexts for value in context.values())
    return next((value for value in values if value in log), "")


def _contexts(alert: Alert) -> Iterator[Mapping[str, Any]]:
    given = alert.context.values() if alert.is_correlation else [alert.context]
    yield from (context for context in given if isinstance(context, Mapping))
    yield alert.event


def _chains(alerts: Sequence[Alert]) -> Iterator[list[Alert]]:
    chain: list[Alert] = []
    end = 0.0
    for alert in sorted(alerts, key=lambda alert: (alert.first, alert.created_at)):
        if chain and alert.first > end + GAP:
            yield chain
            chain = []
        end = max(end, alert.last) if chain else alert.last
        chain.append(alert)
    yield chain


def _incident(principal: str, alerts: list[Alert], log: RoleLog) -> Incident:
    worst_first = tuple(sorted(alerts, key=lambda a: (_severity(a.severity), a.created_at)))
    first, last = min(a.first for a in alerts), max(a.last for a in alerts)
    calls = log.of(principal, first - REACH, last + REACH) if principal else []
    ids = {event_id for alert in alerts for event_id in alert.event_ids}
    is_about_roles = any(call.event_id in ids and call.outcome != DISCOVERY for call in calls)
    facts = role_facts(calls, first, last) if is_about_roles else None
    if facts:
        first, last = min(first, facts.first), max(last, facts.last)
    return Incident(0, principal, worst_first, first, last, facts)


def _rank(incident: Incident) -> tuple[int, int, int, float, str]:
    severity = _severity(incident.severity)
    return severity, -incident.entered, -incident.tried, incident.first, incident.principal


def _severity(name: str) -> int:
    return SEVERITIES.index(name) if name in SEVERITIES else len(SEVERITIES)
