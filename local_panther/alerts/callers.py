"""The credentials of an incident, which tell whom to stop and what to look for in other logs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from local_panther.alerts.model import Alert
from local_panther.roles.calls import mfa_of
from local_panther.roles.facts import RoleFacts
from local_panther.roles.principals import KINDS_OF_IDENTITY, session_of
from local_panther.text import most_frequent


class Credentials(NamedTuple):
    """The credentials and client of a call. A text is "" if the record does not have the fact.

    Attributes:
        kind: Type of the record's userIdentity.
        access_key: ID of the access key.
        session: Name of the role's session; "" for other callers.
        mfa: "true" or "false", whether the session began with MFA; "" for long-term keys.
        agent: User agent.
    """

    kind: str
    access_key: str
    session: str
    mfa: str
    agent: str


@dataclass(frozen=True)
class Caller:
    """The credentials of all calls of an incident.

    Attributes:
        calls: Credentials of each call.
    """

    calls: tuple[Credentials, ...]

    @cached_property
    def access_keys(self) -> tuple[str, ...]:
        """IDs of access keys, most frequent first."""
        return most_frequent(call.access_key for call in self.calls)

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Types of userIdentity, most frequent first."""
        return most_frequent(call.kind for call in self.calls)

    @property
    def facts(self) -> Iterator[tuple[str, list[str]]]:
        """Name and values of each fact that an analyst looks for in other logs."""
        kinds = [KINDS_OF_IDENTITY.get(kind, kind) for kind in self.kinds]
        mfa = most_frequent(call.mfa for call in self.calls)
        columns = {
            "Caller": kinds,
            "Access key": self.access_keys,
            "Session": most_frequent(call.session for call in self.calls),
            "MFA": [{"true": "yes", "false": "no"}.get(value, value) for value in mfa],
            "User agent": most_frequent(call.agent for call in self.calls),
        }
        yield from ((name, list(values)) for name, values in columns.items() if values)


def caller_of(alerts: Iterable[Alert], roles: RoleFacts | None) -> Caller:
    """Return the credentials of the calls of an incident.

    Args:
        alerts: Alerts of the incident.
        roles: Facts about its principal and roles; None if the alerts are about something else.
    """
    found = [
        Credentials(
            call.identity_type, call.access_key, session_of(call.caller), call.mfa, call.agent
        )
        for call in (roles.calls if roles else ())
    ]
    if not found:
        found = [_credentials(event) for alert in alerts for event in alert.events]
    return Caller(tuple(found))


def _credentials(event: Mapping[str, Any]) -> Credentials:
    identity = event.get("userIdentity")
    identity = identity if isinstance(identity, Mapping) else {}
    texts = (identity.get("type"), identity.get("accessKeyId"), identity.get("arn"))
    kind, access_key, arn = (text if isinstance(text, str) else "" for text in texts)
    agent = event.get("userAgent")
    agent = agent if isinstance(agent, str) else ""
    return Credentials(kind, access_key, session_of(arn), mfa_of(identity), agent)
