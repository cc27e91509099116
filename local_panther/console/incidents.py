"""The list of incidents, the page of one incident, and the changes that a person makes there."""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from local_panther.alerts.incidents import SEVERITIES, Incident, incidents_of, severity_rank
from local_panther.alerts.model import MAX_EVENTS, RULE, RULE_ERROR, Alert
from local_panther.console.asked import Asked, Moved, Page, Reply
from local_panther.content.model import Metadata
from local_panther.instance.alerts.incident_model import incident_from
from local_panther.instance.alerts.incident_store import WORK, IncidentFilter, IncidentRow
from local_panther.instance.alerts.model import DETECTION_ERROR, STATUSES, Comment, TrackedAlert
from local_panther.instance.alerts.store import UnknownAlertError
from local_panther.instance.apis.identity import USER
from local_panther.instance.apis.rest.alerts import FORMATS, MAX_COMMENT
from local_panther.instance.apis.rest.requests import RequestError
from local_panther.instance.instance import QUERIES, SUMMARY, Instance
from local_panther.output.basis import basis, without_answer
from local_panther.packed import pack
from local_panther.records.model import Tally
from local_panther.report.cards import Card
from local_panther.roles.log import RoleLog

PAGE = 50  # incidents
EVENTS_PAGE = 25
MAX_RELATED = 20
MAX_COMMENTS = 200  # shown of an incident, the latest
MAX_ALERTS = 1000  # shown of an incident
ANY = "ANY"  # value of the filter for any status
FILTERS = ("severity", "status", "rule", "principal", "search", "from", "to")


@dataclass(frozen=True)
class Note:
    """A comment in the activity of an incident.

    Attributes:
        comment: The comment.
        title: The title of the alert that it belongs to.
    """

    comment: Comment
    title: str


class Incidents:
    """The handlers of the pages of incidents."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._alerts = instance.alerts
        self._incidents = instance.alerts.incidents

    def listed(self, asked: Asked) -> Reply:
        """Show incidents, the worst first."""
        changes = (
            self._alerts.changes
        )  # read before the incidents, so that no later change is missed
        wanted = _filter(asked)
        after = _place(asked.text("after"))
        found = self._incidents.find(replace(wanted, after=after), PAGE + 1)
        counts = self._incidents.counts(wanted)
        more = found[PAGE - 1] if len(found) > PAGE else None
        chosen = _chosen(asked)
        return Page(
            "incidents.html.j2",
            {
                "rows": found[:PAGE],
                "counts": [(name, counts[name]) for name in SEVERITIES if name in counts],
                "total": sum(counts.values()),
                "next": more
                and "/?" + urlencode({**_pairs(chosen), "after": _mark(more)}, doseq=True),
                "is_first": not after,
                "chosen": chosen,
                "suffix": "?" + urlencode(_pairs(chosen), doseq=True) if _pairs(chosen) else "",
                "rules": list(self._incidents.rules()),
                "changes": changes,
                **self._read(),
            },
        )

    def shown(self, asked: Asked) -> Reply:
        """Show one incident, by the ID of any of its alerts."""
        changes = self._alerts.changes
        row, incident = self._get(asked.path)
        wanted, place = _filter(asked), row.place
        chosen = _pairs(_chosen(asked))
        related = [*incident.same_address, *([incident.session_of] if incident.session_of else [])]
        near = self._incidents.by_number(related[:MAX_RELATED]) if related else []
        of_principal = IncidentFilter(principal=row.principal)
        others = self._incidents.find(of_principal, MAX_RELATED) if row.principal else []
        kept = self._kept(row.id)
        is_whole = len(incident.alerts) == row.alerts
        return Page(
            "incident_page.html.j2",
            {
                "row": row,
                "incident": incident,
                # Only some alerts of a flood are kept.
                "sentence": incident.sentence if is_whole else row.sentence,
                "card": Card(incident, ["PATHS"]),
                "kept": kept,
                "assignees": list({alert.assignee for alert in kept}),
                "own_id": USER["id"],
                "activity": list(self._activity(kept)),
                "related": [r for r in {r.id: r for r in (*near, *others)}.values() if r != row],
                "by_number": {other.number: other.id for other in near},
                "next": self._first(replace(wanted, after=place)),
                "previous": self._first(replace(wanted, before=place)),
                "suffix": f"?{urlencode(chosen, doseq=True)}" if chosen else "",
                "changes": changes,
            },
        )

    def changed(self, asked: Asked) -> Reply:
        """Change the status or the assignee of the alerts of an incident, or comment on it."""
        incident_id = self._id_of(asked.path)
        ids = self._incidents.alert_ids(incident_id)
        status, assign = asked.form.get("status"), asked.form.get("assign")
        comment = asked.form.get("comment", "").strip()
        if status and status not in STATUSES:
            raise RequestError(400, f"status: {status!r} is not one of {', '.join(STATUSES)}")
        if len(comment) > MAX_COMMENT:
            raise RequestError(400, f"a comment has at most {MAX_COMMENT:,} characters")
        if not (status or comment or assign is not None):
            raise RequestError(400, "a comment needs a text")
        assignee = None if assign is None else USER["id"] if assign else ""
        try:
            if comment:
                self._alerts.comment(self._worst(incident_id), comment, FORMATS[0])
            if status or assignee is not None:
                self._alerts.update(ids, status=status, assignee=assignee)
        except UnknownAlertError as error:
            raise RequestError(404, str(error)) from error
        return Moved(_back(asked, f"/console/incidents/{incident_id}"))

    def events(self, asked: Asked) -> Reply:
        """Show the stored events of an alert, as they were recorded."""
        start = asked.number("from")
        try:
            kept = self._alerts.get(asked.path)
            found = self._alerts.events(asked.path, start, EVENTS_PAGE + 1)
        except UnknownAlertError as error:
            raise RequestError(404, str(error)) from error
        return Page(
            "events.html.j2",
            {
                "kept": kept,
                "events": found[:EVENTS_PAGE],
                "start": start,
                "next": start + EVENTS_PAGE if len(found) > EVENTS_PAGE else 0,
                "previous": max(start - EVENTS_PAGE, 0) if start else None,
            },
        )

    def _read(self) -> Mapping[str, Any]:
        """Return the line on the records that were read, and whether it is a warning."""
        summary = self._alerts.fact(SUMMARY)
        if summary is None:
            return {"basis": "No replay has finished yet.", "is_warning": True}
        tally = tally_of(summary)
        reason = without_answer(tally)
        return {"basis": reason or basis(tally), "is_warning": bool(reason)}

    def _id_of(self, alert_id: str) -> str:
        found = self._incidents.of_alert(alert_id)
        if found is None:
            raise RequestError(404, f"{alert_id}: no such incident")
        return found

    def _get(self, alert_id: str) -> tuple[IncidentRow, Incident]:
        incident_id = self._id_of(alert_id)
        found = self._incidents.get(incident_id)
        if found is None:  # a replay has just merged it into another one
            raise RequestError(404, f"{alert_id}: no such incident any more; look again")
        row, plain = found
        queries = self._alerts.fact(QUERIES) or {}
        if plain is None:
            return row, self._alone(incident_id, queries)
        incident = incident_from(plain, queries)
        if row.number is None:  # the numbers in it are those of an earlier replay
            return row, replace(incident, number=0, session_of=0, same_address=())
        return row, replace(incident, number=row.number)

    def _alone(self, alert_id: str, queries: Mapping[str, str]) -> Incident:
        """Return an incident that consists of one alert."""
        kept = self._alerts.get(alert_id)
        events = self._alerts.events(alert_id, 0, MAX_EVENTS)
        return incidents_of([_alert(kept, events)], RoleLog(), queries)[0]

    def _kept(self, incident_id: str) -> list[TrackedAlert]:
        ids = self._incidents.alert_ids(incident_id)[:MAX_ALERTS]
        return sorted(map(self._alerts.get, ids), key=_severity)

    def _worst(self, incident_id: str) -> str:
        return self._kept(incident_id)[0].found.id

    def _activity(self, kept: list[TrackedAlert]) -> Iterator[Note]:
        notes = [
            Note(comment, alert.found.title)
            for alert in kept
            for comment in self._alerts.comments(alert.found.id, 0, MAX_COMMENTS)
        ]
        yield from sorted(notes, key=lambda note: note.comment.number)[-MAX_COMMENTS:]

    def _first(self, wanted: IncidentFilter) -> IncidentRow | None:
        return next(iter(self._incidents.find(wanted, 1)), None)


def tally_of(summary: Mapping[str, Any]) -> Tally:
    """Return the counts of a replay from its summary."""
    reading = summary.get("reading", {})
    numbers = ("duplicates", "wanted", "outside", "late")
    tally = Tally(
        files=summary["files"],
        records=summary["records"],
        first=summary["first"],
        last=summary["last"],
        **{name: reading.get(name, 0) for name in numbers},
    )
    tally.other.update(reading.get("other", {}))
    tally.skipped.update(reading.get("skipped", {}))
    return tally


def _alert(kept: TrackedAlert, events: list[Any]) -> Alert:
    found = kept.found
    shown = [event for event in events if isinstance(event, dict)]
    ids = [event.get("eventID") for event in shown]
    metadata = Metadata(
        rule_id=found.rule_id,
        analysis_type=found.detection_type.lower(),
        display_name=found.rule_name,
        severity=found.severity,
        creates_alert=True,
        description=found.description,
        runbook=found.runbook,
        reference=found.reference,
        tags=tuple(found.tags),
    )
    return Alert(
        metadata=metadata,
        severity=found.severity,
        title=found.title,
        dedup=found.dedup,
        created_at=found.created,
        first=found.first,
        last=found.last,
        event_ids={event_id: None for event_id in ids if isinstance(event_id, str)},
        description=found.description,
        runbook=found.runbook,
        reference=found.reference,
        context=found.context if isinstance(found.context, dict) else {},
        event=shown[0] if shown else {},
        event_count=found.event_count,
        packed_events=[pack(event) for event in shown],
        kind=RULE_ERROR if found.kind == DETECTION_ERROR else RULE,
        destinations=tuple(found.destinations),
        suppressed=found.suppressed,
    )


def _severity(kept: TrackedAlert) -> tuple[int, float]:
    return severity_rank(kept.found.severity), kept.found.created


def _chosen(asked: Asked) -> dict[str, Any]:
    """Return the fields of the filter as the person filled them in."""
    texts = {name: asked.text(name) for name in FILTERS if name != "severity"}
    return {"severity": asked.many("severity", SEVERITIES), **texts}


def _pairs(chosen: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in chosen.items() if value}


def _filter(asked: Asked) -> IncidentFilter:
    status = (asked.many("status", (*STATUSES, ANY)) or ("",))[-1]
    return IncidentFilter(
        severities=asked.many("severity", SEVERITIES),
        statuses={"": WORK, ANY: ()}.get(status, (status,)),
        rule_id=asked.text("rule"),
        principal=asked.text("principal"),
        words=tuple(asked.text("search").split()),
        since=asked.time("from"),
        until=asked.time("to"),
    )


def _mark(row: IncidentRow) -> str:
    return base64.urlsafe_b64encode(json.dumps(row.place).encode()).decode()


def _place(mark: str) -> tuple[Any, ...]:
    """Return the position after which a page begins; () for the first page."""
    if not mark:
        return ()
    try:
        rank, entered, tried, first, incident_id = json.loads(base64.urlsafe_b64decode(mark))
        return int(rank), int(entered), int(tried), float(first), str(incident_id)
    except (ValueError, TypeError, RecursionError) as error:
        raise RequestError(400, "after: is not a cursor that a page ended with") from error


def _back(asked: Asked, default: str) -> str:
    """Return the list or page that a form was sent from; the default for any other address."""
    back = asked.form.get("back", "")
    is_list = back == "/" or back.startswith("/?")
    is_page = back == default or back.startswith(f"{default}?")
    return (
        back
        if back.isascii() and back.isprintable() and " " not in back and (is_list or is_page)
        else default
    )
