"""Hands the incidents of a replay over to the instance: of those that it has, only their ranks."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from local_panther.alerts.incidents import Incident
from local_panther.alerts.model import Alert
from local_panther.alerts.runbook import QUOTED
from local_panther.instance.alerts.incident_model import found_incident, incident_id

Marks = dict[str, str]  # by incident, what it was like


class HandedIncidents:
    """The incidents that the instance has got."""

    def __init__(self) -> None:
        """Start with none."""
        self._marks: Marks = {}

    def take_note(self, marks: Mapping[str, str]) -> None:
        """Record what the instance has now."""
        self._marks = dict(marks)

    def changed(self, incidents: Iterable[Incident], id_of: Callable[[Alert], str]) -> "Changes":
        """Return which incidents are news.

        Args:
            incidents: All of them.
            id_of: Returns the ID of an alert.
        """
        found = Changes()
        for incident in incidents:
            ids = [id_of(alert) for alert in incident.alerts]
            name = incident_id(incident, ids)
            mark = found.marks[name] = _mark(incident, ids)
            found.ranks[name] = incident.number
            if self._marks.get(name) != mark:
                found.incidents.append((incident, ids))
        return found


class Changes:
    """What is news of the incidents.

    Attributes:
        marks: What each is like, by ID.
        ranks: The number of each, by ID.
        incidents: Those that are news, with the IDs of their alerts.
    """

    def __init__(self) -> None:
        self.marks: Marks = {}
        self.ranks: dict[str, int] = {}
        self.incidents: list[tuple[Incident, list[str]]] = []

    @property
    def alerts(self) -> list[Alert]:
        """The alerts of the incidents that are news."""
        return [alert for incident, _ in self.incidents for alert in incident.alerts]

    def lines(self) -> Iterator[str]:
        """Yield the ranks of all, and each incident that is news."""
        yield json.dumps(self.ranks) + "\n"
        for incident, ids in self.incidents:
            yield json.dumps(found_incident(incident, ids).as_json(), default=str) + "\n"


def named_queries(alerts: Iterable[Alert], texts: Mapping[str, str]) -> dict[str, str]:
    """Return the queries that runbooks of alerts name, with their SQL."""
    books = dict.fromkeys(alert.runbook for alert in alerts)
    names = dict.fromkeys(name for book in books for name in QUOTED.findall(book))
    return {name: texts[name] for name in names if name in texts}


def _mark(incident: Incident, ids: Sequence[str]) -> str:
    """Return what is different if an incident has changed; its rank alone does not count."""
    roles = incident.roles
    seen: list[Any] = [
        [*ids],
        [(a.severity, a.event_count, len(a.event_ids), a.last) for a in incident.alerts],
        (incident.first, incident.last, incident.session_of, incident.same_address),
        roles and (roles.attempts, len(roles.discoveries), roles.habits, roles.is_minimum),
    ]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()
