"""An alert as an instance keeps it, and what a list of alerts is asked for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

ALERT, DETECTION_ERROR = "ALERT", "DETECTION_ERROR"
STATUSES = ("OPEN", "TRIAGED", "RESOLVED", "CLOSED")
MAX_EVENTS = 500  # that are kept of an alert; its count has them all


@dataclass(frozen=True)
class FoundAlert:
    """An alert as a replay found it.

    Attributes:
        id: The same in every replay that finds it.
        rule_id: The rule that made it, and `rule_name` what people call that.
        detection_type: RULE, SCHEDULED_RULE or CORRELATION_RULE.
        kind: ALERT, or DETECTION_ERROR for one about a rule that raised.
        created: When it was made, in seconds since 1970, of event time.
        first: When the first of its events happened, and `last` the latest.
        event_count: How many events it has; the first MAX_EVENTS of them are kept.
        suppressed: True if its rule says that it goes nowhere.
        log_types: Of its events.
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
        """Return it as plain JSON, for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "FoundAlert":
        """Read what `as_json` returned.

        Raises:
            TypeError: It is anything else.
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
        assignee: The ID of a user, None if it is nobody's.
        updated: When a person changed it last, in seconds since 1970; None if nobody has.
    """

    found: FoundAlert
    status: str
    assignee: str | None
    updated: float | None


@dataclass(frozen=True)
class Comment:
    """A comment on an alert.

    Attributes:
        number: Its place among all comments.
        format: PLAIN_TEXT or HTML.
        created: Seconds since 1970; `updated` alike.
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
        attempts: How many there were.
        next_attempt: When the next is due, in seconds since 1970.
        status: Of HTTP, of the latest attempt; 0 if there was no answer.
        message: What the webhook answered, or why it did not.
        dispatched: When the latest attempt was, in seconds since 1970.
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
    """Which alerts are asked for; an empty field asks for any.

    Attributes:
        created_after: Seconds since 1970, and `created_before` alike.
        descending: The latest first.
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
