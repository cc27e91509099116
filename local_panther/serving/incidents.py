"""Hands new and changed incidents of a replay to the instance, and the ranks of all."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from local_panther.alerts.incidents import Incident
from local_panther.alerts.model import Alert
from local_panther.alerts.runbook import QUOTED
from local_panther.instance.alerts.incident_model import found_incident, incident_id

Marks = dict[str, str]  # fingerprints of incidents, by ID


class HandedIncidents:
    """The incidents that the instance has."""

    def __init__(self) -> None:
        """Start with none."""
        self._marks: Marks = {}

    def take_note(self, marks: Mapping[str, str]) -> None:
        """Record the fingerprints of the incidents that the instance has now."""
        self._marks = dict(marks)

    def changed(self, incidents: Iterable[Incident], id_of: Callable[[Alert], str]) -> "Changes":
        """Return the incidents that are new or have changed.

        Args:
            incidents: All incidents of the replay.
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
    """The new and changed incidents of a replay.

    Attributes:
        marks: The fingerprint of each incident, by ID.
        ranks: The number of each incident, by ID.
        incidents: Those that are new or have changed, with the IDs of their alerts.
    """

    def __init__(self) -> None:
        self.marks: Marks = {}
        self.ranks: dict[str, int] = {}
        self.incidents: list[tuple[Incident, list[str]]] = []

    @property
    def alerts(self) -> list[Alert]:
        """The alerts of the new and changed incidents."""
        return [alert for incident, _ in self.incidents for alert in incident.alerts]

    def lines(self) -> Iterator[str]:
        """Yield a line with the ranks of all, and one for each new or changed incident."""
        yield json.dumps(self.ranks) + "\n"
        for incident, ids in self.incidents:
            yield json.dumps(found_incident(incident, ids).as_json(), default=str) + "\n"


def named_queries(alerts: Iterable[Alert], texts: Mapping[str, str]) -> dict[str, str]:
    """Return the SQL of the queries that runbooks of alerts name, by name."""
    books = dict.fromkeys(alert.runbook for alert in alerts)
    names = dict.fromkeys(name for book in books for name in QUOTED.findall(book))
    return {name: texts[name] for name in names if name in texts}


def _mark(incident: Incident, ids: Sequence[str]) -> str:
    """Return a fingerprint of an incident, which does not depend on its rank."""
    roles = incident.roles
    seen: list[Any] = [
        [*ids],
        [(a.severity, a.event_count, len(a.event_ids), a.last) for a in incident.alerts],
        (incident.first, incident.last, incident.session_of, incident.same_address),
        roles and (roles.attempts, len(roles.discoveries), roles.habits, roles.is_minimum),
    ]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()
