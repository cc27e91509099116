"""Generated CloudTrail events for tests, in the forms of recorded ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from panther_core.enriched_event import PantherEvent

from local_panther.records.model import Record
from local_panther.records.panther_fields import panther_fields, remove_nulls
from local_panther.simulate.identities import ACCOUNT, PrincipalKind, identity
from local_panther.times import event_time, parse_time

REPO = Path(__file__).parents[2]
CONTENT_FOLDERS = ("rules", "correlation_rules", "global_helpers", "data_models", "queries")
START = 1_767_607_200  # 2026-01-05T10:00:00Z


def user(name: str) -> dict[str, Any]:
    """Return the `userIdentity` of an IAM user."""
    return identity(PrincipalKind.USER, name, "")


ALICE = user("alice")


def role_arn(name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:iam::{account}:role/{name}"


def call(name: str, who: dict[str, Any] | None = None, time: float = START, **fields: Any) -> dict:
    """Return an API call that succeeded, unless fields say otherwise."""
    source = "sts" if name == "AssumeRole" else "iam"
    return {
        "userIdentity": ALICE if who is None else who,
        "eventTime": event_time(time),
        "eventSource": f"{source}.amazonaws.com",
        "eventName": name,
        "awsRegion": "us-east-1",
        "sourceIPAddress": "203.0.113.10",
        "userAgent": "generated for a test",
        "requestParameters": None,
        "responseElements": None,
        "recipientAccountId": ACCOUNT,
        "eventType": "AwsApiCall",
        **fields,
    }


def assumed(
    target: str, who: dict[str, Any] | None = None, time: float = START, **fields: Any
) -> dict:
    """Return an AssumeRole that succeeded."""
    parameters = {"roleArn": target, "roleSessionName": "x"}
    return call("AssumeRole", who, time, **{"requestParameters": parameters, **fields})


def denied(
    target: str,
    who: dict[str, Any] | None = None,
    time: float = START,
    tail: str = "",
    **fields: Any,
) -> dict:
    """Return an AssumeRole that AWS denied: only the message names the role."""
    who = ALICE if who is None else who
    message = f"User: {who.get('arn')} is not authorized to perform: sts:AssumeRole on resource: "
    error = {"errorCode": "AccessDenied", "errorMessage": f"{message}{target}{tail}"}
    return call("AssumeRole", who, time, **{**error, **fields})


def denied_update(
    name: str, who: dict[str, Any] | None = None, time: float = START, **fields: Any
) -> dict:
    """Return a denied UpdateAssumeRolePolicy: only the message has the role, as a bare name."""
    who = ALICE if who is None else who
    action = "iam:UpdateAssumeRolePolicy"
    message = (
        f"User: {who.get('arn')} is not authorized to perform: {action} on resource: role {name} "
        f"because no identity-based policy allows the {action} action"
    )
    error = {"errorCode": "AccessDenied", "errorMessage": message}
    return call("UpdateAssumeRolePolicy", who, time, **{**error, **fields})


def burst(
    count: int,
    who: dict[str, Any] | None = None,
    start: float = START,
    step: float = 30,
    make: Callable[..., dict] = denied,
    prefix: str = "Role",
    **fields: Any,
) -> list[dict]:
    """Return attempts of one caller on distinct roles, at regular intervals.

    Args:
        count: Number of attempts and of roles.
        who: The caller.
        start: Time of the first attempt.
        step: Seconds between two attempts.
        make: Creates an attempt, such as `denied` or `denied_update`.
        prefix: Beginning of the names of the roles, before the number of the attempt.
        **fields: Fields of every record.
    """
    names = [f"{prefix}{i:02}" for i in range(count)]
    targets = map(role_arn, names) if make is denied else names
    return [make(target, who, start + i * step, **fields) for i, target in enumerate(targets)]


def event(record: dict) -> PantherEvent:
    return PantherEvent(record)


def read_record(content: dict[str, Any] | bytes) -> Record:
    """Return a record as the reader yields it, from values or, for unusual JSON, from bytes."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    values = json.loads(raw)
    if b"null" in raw:
        remove_nulls(values)
        raw = json.dumps(values).encode()
    time = parse_time(values.get("eventTime", "")) or START
    added = json.dumps(panther_fields(values, raw, time)).encode()
    name = values.get("eventName")
    who = values.get("userIdentity")
    texts = (name, values.get("eventSource"), who.get("type") if isinstance(who, dict) else None)
    name, source, kind = (text if isinstance(text, str) else "" for text in texts)
    has_failed = "errorCode" in values or "errorMessage" in values
    event_id = values.get("eventID")
    return Record(time, name, event_id, raw, added, "test", source, kind, has_failed)


def discovery(name: str, who: dict[str, Any] | None = None, time: float = START) -> dict[str, Any]:
    """Return a call that lists roles: of IAM, or of a service that lists resources of any type."""
    record = call(name, who, time)
    if name == "ListDiscoveredResources":
        return record | _listing("config", "resourceType")
    if name == "ListResources":
        return record | _listing("cloudcontrolapi", "typeName")
    return record


def _listing(service: str, parameter: str) -> dict[str, Any]:
    parameters = {parameter: "AWS::IAM::Role"}
    return {"eventSource": f"{service}.amazonaws.com", "requestParameters": parameters}
