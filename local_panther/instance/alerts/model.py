"""Alerts of an instance, their comments and deliveries, and the filter of a list of alerts."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

ALERT, DETECTION_ERROR = "ALERT", "DETECTION_ERROR"
STATUSES = ("OPEN", "TRIAGED", "RESOLVED", "CLOSED")
MAX_EVENTS = 500  # kept of each alert; its event_count includes the others


@dataclass(frozen=True)
class FoundAlert:
    """An alert as a replay found it.

    Attributes:
        id: Its ID, the same in every replay that finds it.
        rule_id: ID of the rule that made it; `rule_name` is the name for people.
        detection_type: RULE, SCHEDULED_RULE or CORRELATION_RULE.
        kind: ALERT, or DETECTION_ERROR for an alert about an exception in a rule.
        created: Event time at which it was created, in seconds since 1970.
        first: Time of its first event, in seconds since 1970; `last` is that of its latest one.
        event_count: Number of its events, of which the first MAX_EVENTS are kept.
        suppressed: True if its rule has no destinations for it.
        log_types: Log types of its events.
    """

    id: str
    rule_id: str
    rule_name: str
    detection_type: str
    kind: str
    severity: str
    title: str
    dedup: str
    created: float
    first: float
    last: float
    event_count: int
    context: Any
    description: str
    runbook: str
    reference: str
    suppressed: bool = False
    destinations: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    log_types: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the alert as plain JSON, for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "FoundAlert":
        """Return the alert from the JSON that `as_json` returned.

        Raises:
            TypeError: The JSON has another form.
        """
        for name in ("id", "rule_id", "severity", "title", "kind", "detection_type"):
            if not isinstance(plain.get(name), str):
                raise TypeError(f"an alert has no {name}")
        return cls(**{name: plain[name] for name in NAMES if name in plain})


NAMES = tuple(field.name for field in fields(FoundAlert))


@dataclass(frozen=True)
class TrackedAlert:
    """An alert with its status and assignee, which people set.

    Attributes:
        found: The alert as the latest replay found it.
        status: OPEN, TRIAGED, RESOLVED or CLOSED.
        assignee: The ID of a user; None if it is unassigned.
        updated: When a person last changed it, in seconds since 1970; None if nobody has.
    """

    found: FoundAlert
    status: str
    assignee: str | None
    updated: float | None


@dataclass(frozen=True)
class Comment:
    """A comment on an alert.

    Attributes:
        number: Its position among all comments.
        format: PLAIN_TEXT or HTML.
        created: When it was added, in seconds since 1970; `updated` is when it was last changed.
    """

    id: str
    alert_id: str
    body: str
    format: str
    created: float
    updated: float
    number: int = 0


@dataclass(frozen=True)
class WebhookDelivery:
    """The delivery of an alert to a webhook.

    Attributes:
        state: pending, done or failed.
        attempts: Number of attempts so far.
        next_attempt: When the next attempt is due, in seconds since 1970.
        status: HTTP status of the latest attempt; 0 if there was no answer.
        message: Answer to the latest attempt, or why there was none.
        dispatched: Time of the latest attempt, in seconds since 1970.
    """

    alert_id: str
    state: str
    attempts: int
    next_attempt: float
    status: int | None
    message: str | None
    dispatched: float | None


@dataclass(frozen=True)
class AlertFilter:
    """A filter of alerts. An empty field matches any alert.

    Attributes:
        created_after: Earliest time of creation, in seconds since 1970; `created_before` is the
            latest one.
        descending: Return the latest alerts first.
    """

    kind: str = ALERT
    detection_types: tuple[str, ...] = ()
    detection_id: str = ""
    created_after: float | None = None
    created_before: float | None = None
    severities: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    log_types: tuple[str, ...] = ()
    name_contains: str = ""
    event_count_min: int | None = None
    event_count_max: int | None = None
    descending: bool = True
