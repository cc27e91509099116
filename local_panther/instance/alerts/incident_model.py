"""Incidents as an instance keeps them: as plain JSON, from which the same objects are made again.

The process that replays writes it, and content code runs there. So it is data and nothing else: no
pickle, and no markup. What the pages of the console show is made of it in the server.
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

# What is kept of one incident, the worst alerts first: their count has them all.
MAX_ALERTS = 1_000
MAX_EVENT_BYTES = 1024 * 1024  # packed
MAX_EVENT_IDS = 200_000
# The fields of an alert that are plain already.
PLAIN = (
    *("severity", "title", "dedup", "created_at", "first", "last", "description", "runbook"),
    *("reference", "match_value", "event_count", "kind", "suppressed"),
)
TEXTS = ("severity", "title", "dedup", "description", "runbook", "reference", "kind")
NUMBERS = ("created_at", "first", "last", "event_count")


@dataclass(frozen=True)
class ListedIncident:
    """What a list of incidents shows of one.

    Attributes:
        id: The ID of the alert of it that was made first.
        number: Its rank in the latest replay, from 1; None if that did not find it.
        severity: The highest of its alerts.
        principal: Who did it, and `who` the same in words; "" if that is unknown.
        headline: What happened, in a few words, and `sentence` in one sentence.
        address: The most frequent address, and how many more there are.
        first: When the first of its events happened, in seconds since 1970, and `last` the latest.
        tried: Number of roles that were tried; None if it is not about roles.
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
        alert_ids: Of its alerts, the worst first.
        found: All of it, for `incident_from`.
    """

    number: int
    alert_ids: tuple[str, ...]
    found: Mapping[str, Any]

    @property
    def rank(self) -> int:
        """The place of its severity, 0 for the worst."""
        return severity_rank(self.severity)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON, for `from_json`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "FoundIncident":
        """Read what `as_json` returned.

        Raises:
            LookupError, TypeError, ValueError: It is anything else.
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
    """Return the ID of an incident: that of its alert that was made first.

    Args:
        incident: The incident.
        alert_ids: The IDs of its alerts, in their order.
    """
    made = [alert.created_at for alert in incident.alerts]
    return alert_ids[made.index(min(made))]


def found_incident(incident: Incident, alert_ids: Sequence[str]) -> FoundIncident:
    """Return an incident as the instance keeps it.

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
    """Return the incident that `found_incident` was made of.

    Args:
        plain: Its `found`.
        queries: The SQL of the saved queries that runbooks name, by name.

    Raises:
        LookupError, TypeError, ValueError: It is anything else.
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
    timelines: list[list[dict[str, Any]]] = []  # alerts of one time share one
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
        raise TypeError("a timeline is not of rows")
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
