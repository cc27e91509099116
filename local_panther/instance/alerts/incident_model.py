"""Converts incidents to plain JSON and back.

The process of a replay writes the JSON, and content code runs in that process. So it is only data:
no pickle, and no markup. The server builds the pages of the console from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from local_panther.alerts.incidents import Incident, severity_rank
from local_panther.alerts.model import Alert
from local_panther.content.model import Metadata
from local_panther.packed import pack
from local_panther.roles.calls import RoleCall
from local_panther.roles.facts import RoleFacts
from local_panther.text import first_of

# Limits of what is kept of one incident, the worst alerts first; the count includes all alerts.
MAX_ALERTS = 1_000
MAX_EVENT_BYTES = 1024 * 1024  # compressed
MAX_EVENT_IDS = 200_000
# The fields of an alert that JSON can hold unchanged.
PLAIN = (
    *("severity", "title", "dedup", "created_at", "first", "last", "description", "runbook"),
    *("reference", "match_value", "event_count", "kind", "suppressed"),
)
TEXTS = ("severity", "title", "dedup", "description", "runbook", "reference", "kind")
NUMBERS = ("created_at", "first", "last", "event_count")


@dataclass(frozen=True)
class ListedIncident:
    """An incident in a list.

    Attributes:
        id: The ID of its earliest alert.
        number: Its rank in the latest replay, from 1; None if that replay did not find it.
        severity: The highest severity of its alerts.
        principal: The principal, "" if it is unknown; `who` describes it in words.
        headline: What happened in a few words; `sentence` says it in one sentence.
        address: The most frequent IP address, and the number of others.
        first: Time of its first event, in seconds since 1970; `last` is that of its latest one.
        tried: Number of roles that were tried; None if the incident is not about roles.
        entered: Number of roles that were entered.
    """

    id: str
    number: int | None
    severity: str
    principal: str
    who: str
    headline: str
    sentence: str
    address: str
    first: float
    last: float
    tried: int | None
    entered: int


@dataclass(frozen=True)
class FoundIncident(ListedIncident):
    """An incident as a replay found it.

    Attributes:
        alert_ids: IDs of its alerts, the worst first.
        found: The whole incident as JSON, for `incident_from`.
    """

    number: int
    alert_ids: tuple[str, ...]
    found: Mapping[str, Any]

    @property
    def rank(self) -> int:
        """The position of its severity, 0 for the worst."""
        return severity_rank(self.severity)

    def as_json(self) -> dict[str, Any]:
        """Return the incident as plain JSON, for `from_json`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "FoundIncident":
        """Return the incident from the JSON that `as_json` returned.

        Raises:
            LookupError, TypeError, ValueError: The JSON has another form.
        """
        found = cls(**{**plain, "alert_ids": tuple(plain["alert_ids"])})
        texts = (found.id, found.severity, found.principal, found.who, found.headline)
        if not all(isinstance(t, str) for t in (*texts, found.sentence, found.address)):
            raise TypeError("a field of an incident is not text")
        if not found.alert_ids or not all(isinstance(i, str) for i in found.alert_ids):
            raise TypeError("an incident has no alerts")
        for number in (found.number, found.first, found.last, found.tried or 0, found.entered):
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                raise TypeError("a field of an incident is not a number")
        incident_from(found.found, {})
        return found


def incident_id(incident: Incident, alert_ids: Sequence[str]) -> str:
    """Return the ID of an incident, which is that of its earliest alert.

    Args:
        incident: The incident.
        alert_ids: The IDs of its alerts, in their order.
    """
    made = [alert.created_at for alert in incident.alerts]
    return alert_ids[made.index(min(made))]


def found_incident(incident: Incident, alert_ids: Sequence[str]) -> FoundIncident:
    """Return an incident in the form that the instance stores.

    Args:
        incident: The incident.
        alert_ids: The IDs of its alerts, in their order.
    """
    return FoundIncident(
        id=incident_id(incident, alert_ids),
        number=incident.number,
        severity=incident.severity,
        principal=incident.principal,
        who=incident.who,
        headline=incident.headline,
        sentence=incident.sentence,
        address=first_of(incident.addresses) if incident.addresses else "",
        first=incident.first,
        last=incident.last,
        tried=incident.tried if incident.roles else None,
        entered=incident.entered,
        alert_ids=tuple(alert_ids),
        found=_plain(incident),
    )


def incident_from(plain: Mapping[str, Any], queries: Mapping[str, str]) -> Incident:
    """Return the incident from which `found_incident` was made.

    Args:
        plain: The `found` of a `FoundIncident`.
        queries: The SQL of the saved queries that runbooks name, by name.

    Raises:
        LookupError, TypeError, ValueError: The JSON has another form.
    """
    roles = plain["roles"]
    return Incident(
        number=int(plain["number"]),
        principal=_text(plain["principal"]),
        alerts=tuple(_alert(alert, plain["timelines"]) for alert in plain["alerts"]),
        first=_number(plain["first"]),
        last=_number(plain["last"]),
        roles=None if roles is None else _roles(roles),
        queries=queries,
        session_of=int(plain["session_of"]),
        same_address=tuple(map(int, plain["same_address"])),
    )


def _plain(incident: Incident) -> dict[str, Any]:
    timelines: list[list[dict[str, Any]]] = []  # several alerts may share one
    places: dict[int, int] = {}
    for alert in incident.alerts[:MAX_ALERTS]:
        if alert.timeline and id(alert.timeline) not in places:
            places[id(alert.timeline)] = len(timelines)
            timelines.append(alert.timeline)
    roles = incident.roles
    alerts: list[dict[str, Any]] = []
    size = ids = 0
    for alert in incident.alerts[:MAX_ALERTS]:
        plain = _plain_alert(alert, places.get(id(alert.timeline)))
        size += sum(map(len, alert.packed_events))
        ids += len(alert.event_ids)
        plain |= {"events": [], "event": {}} if alerts and size > MAX_EVENT_BYTES else {}
        plain |= {"event_ids": []} if alerts and ids > MAX_EVENT_IDS else {}
        alerts.append(plain)
    return {
        "number": incident.number,
        "principal": incident.principal,
        "alerts": alerts,
        "timelines": timelines,
        "first": incident.first,
        "last": incident.last,
        "roles": roles and {field.name: getattr(roles, field.name) for field in fields(roles)},
        "session_of": incident.session_of,
        "same_address": incident.same_address,
    }


def _plain_alert(alert: Alert, timeline: int | None) -> dict[str, Any]:
    return {
        **{name: getattr(alert, name) for name in PLAIN},
        "metadata": asdict(alert.metadata),
        "event_ids": list(alert.event_ids),
        "context": alert.context,
        "event": alert.event,
        "signals": dict(alert.signals),
        "events": alert.events,
        "destinations": alert.destinations,
        "timeline": timeline,
    }


def _alert(plain: Mapping[str, Any], timelines: Sequence[list[dict[str, Any]]]) -> Alert:
    values = {name: plain[name] for name in PLAIN}
    if not all(isinstance(values[name], str) for name in TEXTS):
        raise TypeError("a field of an alert is not text")
    values |= {name: _number(values[name]) for name in NUMBERS}
    timeline = [] if plain["timeline"] is None else timelines[plain["timeline"]]
    if not all(isinstance(row, dict) for row in timeline):
        raise TypeError("a row of a timeline is not an object")
    if not isinstance(plain["context"], dict) or not isinstance(plain["event"], dict):
        raise TypeError("a context is not an object")
    if not all(isinstance(event, dict) for event in plain["events"]):
        raise TypeError("an event is not an object")
    return Alert(
        metadata=_metadata(plain["metadata"]),
        event_ids=dict.fromkeys(plain["event_ids"]),
        context=plain["context"],
        event=plain["event"],
        signals=dict(plain["signals"]),
        packed_events=[pack(event) for event in plain["events"]],
        destinations=tuple(map(_text, plain["destinations"])),
        timeline=timeline,
        **values,
    )


def _metadata(plain: Mapping[str, Any]) -> Metadata:
    return Metadata(
        **{
            **plain,
            "output_ids": tuple(plain["output_ids"]),
            "tags": tuple(plain["tags"]),
            "reports": dict(plain["reports"]),
        }
    )


def _roles(plain: Mapping[str, Any]) -> RoleFacts:
    return RoleFacts(
        attempts=tuple(map(_call, plain["attempts"])),
        discoveries=tuple(map(_call, plain["discoveries"])),
        habits=tuple(map(_text, plain["habits"])),
        is_minimum=bool(plain["is_minimum"]),
        is_fan_out=bool(plain["is_fan_out"]),
    )


def _call(plain: Sequence[Any]) -> RoleCall:
    return RoleCall(_number(plain[0]), *map(_text, plain[1:]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("is not text")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("is not a number")
    return value
