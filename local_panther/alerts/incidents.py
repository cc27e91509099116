"""Incidents: alerts of one principal that an analyst works on together."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from local_panther.alerts.callers import Caller, caller_of
from local_panther.alerts.containment import Action, containment
from local_panther.alerts.model import RULE_ERROR, Alert
from local_panther.alerts.runbook import Runbook, Step, runbook_steps
from local_panther.alerts.verdict import sentence, who
from local_panther.roles import verdict as role_verdict
from local_panther.roles.calls import name_of
from local_panther.roles.facts import RoleFacts, role_facts
from local_panther.roles.log import RoleLog
from local_panther.roles.principals import IDENTITY_CENTER, described, principal_of
from local_panther.text import first_of, is_address, most_frequent

GAP = 3 * 3600  # maximum seconds between two successive alerts of one incident
MAX_ADDRESSES = 20  # an incident's most frequent addresses, by which related ones are found
MAX_OF_ADDRESS = 20  # incidents with one address; an address with more is taken for a gateway
CONTAINED = ("CRITICAL", "HIGH")  # severities at which stopping the caller comes first
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFO")  # most severe first


@dataclass(frozen=True)
class Incident:
    """Alerts of one principal, each beginning at most GAP after those before it ended.

    An alert whose principal is unknown is an incident by itself. An incident has all texts and
    values that an analyst reads; outputs only lay them out.

    Attributes:
        number: Rank among all incidents, from 1 for the most severe.
        principal: Principal of the alerts; "" if it is unknown.
        alerts: Alerts, most severe first, then by time.
        first: Time of the first event or attempt on a role, in seconds since 1970.
        last: Time of the last event or attempt on a role.
        roles: Facts about the principal and roles; None if no alert is about attempts on roles.
        queries: SQL of the saved queries that runbooks name, by name.
        session_of: Number of the incident in which its access key was issued; 0 for none.
        same_address: Numbers of other incidents with one of its addresses, at most GAP away.
    """

    number: int
    principal: str
    alerts: tuple[Alert, ...]
    first: float
    last: float
    roles: RoleFacts | None = None
    queries: Mapping[str, str] = field(default_factory=dict, repr=False)
    session_of: int = 0
    same_address: tuple[int, ...] = ()

    @property
    def severity(self) -> str:
        """Highest severity of the alerts."""
        return self.alerts[0].severity

    @cached_property
    def sentence(self) -> str:
        """Sentence to read first, about the most severe alert."""
        if self.is_about_roles(self.alerts[0]):
            parts = [self._role_sentence]
        else:
            what = sentence(self.alerts, self._caller, self.event_count, self.first, self.last)
            parts = [what, *([role_verdict.answer(self.roles)] if self.roles else [])]
        return "; ".join([*parts, *self._links])

    def sentence_of(self, alert: Alert) -> str:
        """Return the sentence about one of the alerts."""
        if self.is_about_roles(alert):
            return self._role_sentence
        return sentence([alert], self._caller, len(alert.event_ids), alert.first, alert.last)

    def is_about_roles(self, alert: Alert) -> bool:
        """Return whether an alert is about attempts on roles."""
        return not self._role_events.isdisjoint(alert.event_ids)

    @cached_property
    def _role_sentence(self) -> str:
        return role_verdict.sentence(self.roles, self._caller) if self.roles else ""

    @cached_property
    def _role_events(self) -> frozenset[str]:
        calls = self.roles.attempts if self.roles else ()
        return frozenset(call.event_id for call in calls if call.event_id)

    @property
    def _links(self) -> Iterator[str]:
        if self.session_of:
            yield f"session of incident {self.session_of}"
        if self.same_address:
            yield f"same address as incident{'s' * (len(self.same_address) > 1)} " + first_of(
                [str(number) for number in self.same_address]
            )

    @cached_property
    def caller(self) -> Caller:
        """Credentials of the calls."""
        return caller_of(self.alerts, self.roles)

    @cached_property
    def containment(self) -> tuple[Action, ...]:
        """Actions that stop the caller; none at low severities, which may be everyday work."""
        if self.severity not in CONTAINED:
            return ()
        return containment(self.principal, self.caller.access_keys, self.roles)

    @property
    def headline(self) -> str:
        """What happened in a few words, from the most severe alert."""
        worst = self.alerts[0]
        if self.roles and self.is_about_roles(worst):
            return role_verdict.answer(self.roles)
        return worst.title

    @property
    def who(self) -> str:
        """Readable form of the principal; "" if it is unknown."""
        return described(self.principal) if self.principal else ""

    @cached_property
    def runbooks(self) -> tuple[Runbook, ...]:
        """Distinct runbooks of the alerts, that of the most severe alert first."""
        worst: dict[str, Alert] = {}
        for alert in self.alerts:
            if alert.runbook:
                worst.setdefault(alert.runbook, alert)
        return tuple(Runbook(alert, self.steps(alert)) for alert in worst.values())

    def steps(self, alert: Alert) -> tuple[Step, ...]:
        """Return the steps of the runbook of one of the alerts, with values filled in."""
        calls = self.roles.entered if self.roles else ()
        entered = [_role_values(call.role) for call in calls]
        keys = self.roles.issued_keys if self.roles else ()
        return runbook_steps(alert, self._known, self.queries, entered, keys)

    @cached_property
    def columns(self) -> Mapping[str, Any]:
        """Columns about the incident that exports add to each of its alerts."""
        return {
            "incident": self.number,
            "verdict": self.sentence,
            "principal": self.principal,
            "roles_tried": self.tried,
            "roles_entered": self.entered,
            "addresses": " ".join(self.addresses),
            "user_agents": "; ".join(self.agents),
        }

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
        """Number of distinct events of the alerts; events without an ID do not count."""
        return len({event_id for alert in self.alerts for event_id in alert.event_ids})

    @cached_property
    def addresses(self) -> tuple[str, ...]:
        """Source addresses of the calls, most frequent first."""
        return self._most_frequent("address", "sourceIPAddress")

    @cached_property
    def agents(self) -> tuple[str, ...]:
        """User agents of the calls, most frequent first."""
        return self._most_frequent("agent", "userAgent")

    @property
    def _caller(self) -> str:
        return who(self.principal, self.addresses, self.agents)

    @cached_property
    def _known(self) -> Mapping[str, str]:
        """Values for parameters of queries, by name.

        The parameters are `principal`; `name`, the last part of its ARN; `address`, the most
        frequent one; and `role_name` and `account` of the first role that was entered, or else of
        the first one that was tried.
        """
        roles = self.roles
        key = roles.entered[0].role if roles and roles.entered else roles.tried[0] if roles else ""
        return {
            "principal": self.principal,
            "name": re.split("[/:]", self.principal.removeprefix(IDENTITY_CENTER))[-1],
            "address": self.addresses[0] if self.addresses else "",
            **_role_values(key),
        }

    def _most_frequent(self, attribute: str, field: str) -> tuple[str, ...]:
        if self.roles:
            return most_frequent(getattr(call, attribute) for call in self.roles.attempts)
        events = (event for alert in self.alerts for event in alert.events)
        return most_frequent(event.get(field) for event in events)


def incidents_of(
    alerts: Iterable[Alert], log: RoleLog, queries: Mapping[str, str] | None = None
) -> list[Incident]:
    """Join alerts into incidents, in the order in which an analyst should read them.

    Incidents are sorted by severity, then by most roles entered, most roles tried, and earliest
    start.

    Args:
        alerts: All alerts, in any order.
        log: All calls about roles that were read.
        queries: SQL of the saved queries that runbooks name, by name.
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
    numbered = [
        replace(incident, number=number, queries=queries or {})
        for number, incident in enumerate(found, 1)
    ]
    return list(_linked(numbered))


def principal_of_alert(alert: Alert, log: RoleLog) -> str:
    """Return the principal that an alert is about; "" if it is unknown.

    The first of these that is found: the principal in the alert's context or event; the value that
    a correlation rule matched on, if the log has calls of that principal; the caller of the event;
    any value in the context or event that is a principal in the log.
    """
    contexts = list(_contexts(alert))
    named = [context.get("principal") for context in contexts]
    for name in [*named, alert.match_value]:
        if isinstance(name, str) and (name in log or name in named):
            return name
    if principal := principal_of(alert.event.get("userIdentity"), log.settings):
        return principal
    values = (value for context in contexts for value in context.values())
    return next((value for value in values if value in log), "")


def _linked(incidents: Sequence[Incident]) -> Iterator[Incident]:
    """Yield incidents with `session_of` and `same_address` set.

    An address that many incidents share links none of them.
    """
    issued_in: dict[str, int] = {}
    by_address: dict[str, list[Incident]] = {}
    for incident in incidents:
        for key in incident.roles.issued_keys if incident.roles else ():
            issued_in.setdefault(key, incident.number)
        for address in incident.addresses[:MAX_ADDRESSES]:
            if incident.principal and is_address(address):
                by_address.setdefault(address, []).append(incident)
    shared = {a: found for a, found in by_address.items() if 1 < len(found) <= MAX_OF_ADDRESS}
    for incident in incidents:
        keys = incident.caller.access_keys if issued_in else ()
        issued = {issued_in[key] for key in keys if key in issued_in} - {incident.number}
        session_of = min(issued, default=0)
        same = {
            other.number
            for address in incident.addresses[:MAX_ADDRESSES]
            for other in shared.get(address, ())
            if incident.principal and _are_near(incident, other)
        }
        same_address = tuple(sorted(same - {incident.number, session_of}))
        if session_of or same_address:
            incident = replace(incident, session_of=session_of, same_address=same_address)
        yield incident


def _are_near(one: Incident, other: Incident) -> bool:
    return one.first <= other.last + GAP and other.first <= one.last + GAP


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
    worst_first = tuple(sorted(alerts, key=lambda a: (severity_rank(a.severity), a.created_at)))
    first, last = min(a.first for a in alerts), max(a.last for a in alerts)
    facts = role_facts(log, principal, first, last) if principal else None
    ids = {event_id for alert in alerts for event_id in alert.event_ids}
    if facts and not any(call.event_id in ids for call in facts.attempts):
        facts = None
    if facts:
        first, last = min(first, facts.first), max(last, facts.last)
    return Incident(0, principal, worst_first, first, last, facts)


def _role_values(key: str) -> dict[str, str]:
    """Return a role's query parameters from its key; empty ones for ""."""
    return {"role_name": name_of(key) if key else "", "account": key.partition(":")[0]}


def _rank(incident: Incident) -> tuple[int, int, int, float, str]:
    severity = severity_rank(incident.severity)
    return severity, -incident.entered, -incident.tried, incident.first, incident.principal


def severity_rank(name: str) -> int:
    """Return the rank of a severity, 0 for the most severe; an unknown one comes last."""
    return SEVERITIES.index(name) if name in SEVERITIES else len(SEVERITIES)
