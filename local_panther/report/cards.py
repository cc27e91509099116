"""Cards of incidents: what a report shows about each."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from local_panther.alerts.incidents import Incident
from local_panther.content.model import Metadata
from local_panther.packed import unpack
from local_panther.report.timeline import Timeline, incident_timeline

MITRE = "https://attack.mitre.org"
TACTIC, TECHNIQUE = re.compile(r"TA\d{4}"), re.compile(r"(T\d{4})(?:\.(\d{3}))?")
MAX_JSON = 40_000  # characters of JSON, of an incident's events and of an alert's context


@dataclass(frozen=True)
class Events:
    """Events of an incident as JSON.

    Attributes:
        text: JSON array of the first events.
        shown: Number of events in `text`.
        total: Number of all events of the incident.
    """

    text: str
    shown: int
    total: int


@dataclass(frozen=True)
class Card:
    """An incident with what a report shows about it.

    Attributes:
        incident: The incident.
        paths: Files and folders that were read, as arguments of a command.
    """

    incident: Incident
    paths: Sequence[str]

    @cached_property
    def timeline(self) -> Timeline | None:
        """Timeline of the incident; None if there is nothing to draw."""
        return incident_timeline(self.incident)

    @cached_property
    def happened(self) -> list[Mapping[str, Any]]:
        """Events that the incident's alerts keep, each once, in the order of their times."""
        found: dict[Any, Mapping[str, Any]] = {}
        for packed in dict.fromkeys(p for a in self.incident.alerts for p in a.packed_events):
            event = unpack(packed)
            found.setdefault(event.get("eventID") or packed, event)
        return sorted(found.values(), key=lambda event: str(event.get("eventTime") or ""))

    @property
    def events(self) -> Events:
        """First events of the incident as JSON of about MAX_JSON characters at most."""
        shown: list[str] = []
        size = 0
        for event in self.happened:
            text = as_json(event)
            size += len(text)
            if shown and size > MAX_JSON:
                break
            shown.append(text)
        ids = {event_id for alert in self.incident.alerts for event_id in alert.event_ids}
        total = max(len(ids), len(self.happened))
        return Events("[" + ",\n".join(shown) + "]", len(shown), total)


def as_json(value: Any) -> str:
    """Return a value as indented JSON, cut after MAX_JSON characters."""
    text = json.dumps(value, indent=1, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_JSON else text[:MAX_JSON] + "\n… cut"


def mitre_links(metadata: Metadata) -> Iterator[tuple[str, str]]:
    """Yield the names and addresses of a rule's tactics and techniques of MITRE ATT&CK."""
    for name in dict.fromkeys(part for entry in metadata.mitre for part in entry.split(":")):
        if TACTIC.fullmatch(name):
            yield name, f"{MITRE}/tactics/{name}/"
        elif found := TECHNIQUE.fullmatch(name):
            yield name, f"{MITRE}/techniques/" + "/".join(filter(None, found.groups())) + "/"


def is_link(address: str) -> bool:
    """Return whether an address is that of a web page."""
    return address.startswith(("https://", "http://"))
