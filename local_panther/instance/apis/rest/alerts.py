"""Alerts, their events and comments over REST."""

from typing import Any

from local_panther.alerts.incidents import SEVERITIES
from local_panther.instance.alerts.model import (
    ALERT,
    DETECTION_ERROR,
    STATUSES,
    AlertFilter,
    Comment,
    TrackedAlert,
    WebhookDelivery,
)
from local_panther.instance.alerts.store import AlertStore, UnknownAlertError
from local_panther.instance.apis.identity import USER, USER_ACTOR
from local_panther.instance.apis.rest.requests import (
    BAD,
    NOT_FOUND,
    Page,
    Parameters,
    Reply,
    RequestError,
    RestRequest,
    text_of,
)
from local_panther.times import iso

SYSTEM_ERROR = "SYSTEM_ERROR"  # never occurs here: its causes, Panther's own services, are missing
TYPES = (ALERT, DETECTION_ERROR, SYSTEM_ERROR)
DETECTION_TYPES = ("RULE", "SCHEDULED_RULE", "POLICY", "CORRELATION_RULE")
SUBTYPES = (*DETECTION_TYPES, *(f"{name}_ERROR" for name in DETECTION_TYPES), SYSTEM_ERROR)
WEBHOOK = "webhook"  # the only destination
FORMATS = ("PLAIN_TEXT", "HTML")
PAGE, LARGEST_PAGE = 25, 50
MAX_COMMENT = 100_000  # characters
MAX_CHANGED = 1000  # alerts, in one request


class AlertRoutes:
    """The handlers of the paths of alerts."""

    def __init__(self, store: AlertStore) -> None:
        self._store = store

    def find(self, request: RestRequest) -> Reply:
        """List alerts."""
        parameters = request.parameters
        page = Page.of(parameters, PAGE, LARGEST_PAGE)
        wanted = _filter(parameters)
        without = parameters.many("log-source"), parameters.many("resource-type")
        parameters.end()
        if wanted.kind == SYSTEM_ERROR or any(without):  # no alert here matches any of these
            return Reply({"results": []})
        try:
            found = self._store.find(wanted, page.limit + 1, page.cursor)
        except UnknownAlertError as error:
            raise RequestError(BAD, f"cursor: {error}") from error
        return page.reply(found, self._json, lambda kept: kept.found.id)

    def get(self, request: RestRequest) -> Reply:
        """Return an alert."""
        request.parameters.end()
        return Reply(self._json(self._get(request.id)))

    def change_many(self, request: RestRequest) -> Reply:
        """Change the status or assignee of several alerts."""
        ids = request.mapping(["ids"])["ids"]
        if not isinstance(ids, list) or not all(isinstance(i, str) for i in ids):
            raise RequestError(BAD, "ids: is not a list of texts")
        if not 1 <= len(ids) <= MAX_CHANGED:
            raise RequestError(BAD, f"ids: has {len(ids)} entries, not 1 to {MAX_CHANGED}")
        self._change(ids, request)
        return Reply(status=204)

    def change(self, request: RestRequest) -> Reply:
        """Change the status or assignee of an alert, and return it."""
        self._change([request.id], request)
        return Reply(self._json(self._get(request.id)))

    def events(self, request: RestRequest) -> Reply:
        """List the events of an alert."""
        parameters = request.parameters
        page = Page.of(parameters, PAGE, LARGEST_PAGE)
        parameters.end()
        start = _number(page.cursor)
        self._get(request.id)
        found = self._store.events(request.id, start, page.limit + 1)
        numbered = list(enumerate(found, start + 1))
        return page.reply(numbered, lambda entry: entry[1], lambda entry: str(entry[0]))

    def comments(self, request: RestRequest) -> Reply:
        """List the comments on an alert."""
        parameters = request.parameters
        page = Page.of(parameters, PAGE, LARGEST_PAGE)
        alert_id = parameters.text("alert-id")
        parameters.end()
        if not alert_id:
            raise RequestError(BAD, "alert-id: is missing")
        found = self._store.comments(alert_id, _number(page.cursor), page.limit + 1)
        return page.reply(found, comment_json, lambda comment: str(comment.number))

    def comment(self, request: RestRequest) -> Reply:
        """Add a comment to an alert."""
        alert_id = text_of(request.mapping(["alertId"]), "alertId")
        self._get(alert_id)
        return Reply(comment_json(self._store.comment(alert_id, *_comment(request))))

    def get_comment(self, request: RestRequest) -> Reply:
        """Return a comment."""
        request.parameters.end()
        return _one_comment(self._store.get_comment(request.id), request)

    def edit_comment(self, request: RestRequest) -> Reply:
        """Change a comment."""
        return _one_comment(self._store.edit_comment(request.id, *_comment(request)), request)

    def _json(self, kept: TrackedAlert) -> dict[str, Any]:
        delivery = self._store.webhook_queue.get(kept.found.id)
        return alert_json(kept) | {"deliveries": _deliveries(delivery)}

    def _get(self, alert_id: str) -> TrackedAlert:
        try:
            return self._store.get(alert_id)
        except UnknownAlertError as error:
            raise RequestError(NOT_FOUND, str(error)) from error

    def _change(self, ids: list[str], request: RestRequest) -> None:
        request.parameters.end()
        body = request.mapping()
        status = text_of(body, "status", STATUSES) or None
        assignee = text_of(body, "assignee") if body.get("assignee") is not None else None
        if assignee and assignee not in (USER["id"], USER["email"]):
            raise RequestError(BAD, f"assignee: there is no user {assignee}; see /users")
        if status is None and assignee is None:
            raise RequestError(BAD, "neither status nor assignee is given")
        try:
            self._store.update(ids, status=status, assignee=assignee and USER["id"])
        except UnknownAlertError as error:
            raise RequestError(NOT_FOUND, str(error)) from error


def alert_json(kept: TrackedAlert) -> dict[str, Any]:
    """Return an alert in the form of the API."""
    found = kept.found
    plain: dict[str, Any] = {
        "id": found.id,
        "type": _type(kept),
        "status": kept.status,
        "severity": found.severity,
        "title": found.title,
        "createdAt": iso(found.created),
        "firstEventOccurredAt": iso(found.first),
        "lastReceivedEventAt": iso(found.last),
        "eventCount": found.event_count,
        "detection": {"id": found.rule_id, "type": found.detection_type},
        "context": found.context,
        "runbook": found.runbook,
    }
    if kept.assignee:
        plain["assignee"] = {"id": kept.assignee, "type": "user"}
    if kept.updated is not None:
        plain["updatedBy"] = USER_ACTOR
    return plain


def _deliveries(delivery: WebhookDelivery | None) -> list[dict[str, Any]]:
    """Return a list with the latest attempt of a delivery, or an empty one."""
    if delivery is None or delivery.dispatched is None:
        return []
    return [
        {
            "outputId": WEBHOOK,
            "label": WEBHOOK,
            "dispatchedAt": iso(delivery.dispatched),
            "statusCode": delivery.status,
            "success": delivery.state == "done",
            "message": delivery.message,
        }
    ]


def comment_json(comment: Comment) -> dict[str, Any]:
    """Return a comment in the form of the API."""
    return {
        "id": comment.id,
        "alertId": comment.alert_id,
        "body": comment.body,
        "format": comment.format,
        "createdAt": iso(comment.created),
        "createdBy": USER_ACTOR,
        "updatedAt": iso(comment.updated),
        "updatedBy": USER_ACTOR,
    }


def _filter(parameters: Parameters) -> AlertFilter:
    kind = parameters.choice("type", TYPES, ALERT)
    subtypes = parameters.many("sub-type", SUBTYPES)
    suffix = "_ERROR" if kind == DETECTION_ERROR else ""
    for name in subtypes:
        if name not in [f"{known}{suffix}" for known in DETECTION_TYPES]:
            raise RequestError(BAD, f"sub-type: {name} is not one of type {kind}")
    return AlertFilter(
        kind=kind,
        detection_types=tuple(name.removesuffix("_ERROR") for name in subtypes),
        detection_id=parameters.text("detection-id"),
        created_after=parameters.time("created-after"),
        created_before=parameters.time("created-before"),
        severities=parameters.many("severity", SEVERITIES),
        statuses=parameters.many("status", STATUSES),
        assignees=parameters.many("assignee"),
        log_types=parameters.many("log-type"),
        name_contains=parameters.text("name-contains"),
        event_count_min=parameters.integer("event-count-min", None),
        event_count_max=parameters.integer("event-count-max", None),
        descending=parameters.choice("sort-dir", ("asc", "desc"), "desc") == "desc",
    )


def _type(kept: TrackedAlert) -> str:
    is_error = kept.found.kind == DETECTION_ERROR
    return f"{kept.found.detection_type}_ERROR" if is_error else kept.found.detection_type


def _number(cursor: str) -> int:
    if cursor and not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 15):
        raise RequestError(BAD, f"cursor: {cursor!r} is not one that a page ended with")
    return int(cursor or 0)


def _comment(request: RestRequest) -> tuple[str, str]:
    request.parameters.end()
    body = request.mapping(["body"])
    text = text_of(body, "body")
    if not 1 <= len(text) <= MAX_COMMENT:
        raise RequestError(BAD, f"body: has {len(text):,} characters, not 1 to {MAX_COMMENT:,}")
    return text, text_of(body, "format", FORMATS) or FORMATS[0]


def _one_comment(found: Comment | None, request: RestRequest) -> Reply:
    if found is None:
        raise RequestError(NOT_FOUND, f"{request.id}: no such comment")
    return Reply(comment_json(found))
