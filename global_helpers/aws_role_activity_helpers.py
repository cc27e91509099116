"""Who tried what on which IAM role, read from a CloudTrail record as AWS writes it.

A call that AWS denies is recorded without request parameters, so the role that it was aimed at
stands only in the error message. Everything here takes an event of any shape: a missing, null or
wrongly typed field gives no answer, never an exception.

Field reference:
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

ASSUME_ROLE = "AssumeRole"
UPDATE_TRUST_POLICY = "UpdateAssumeRolePolicy"
LIST_ROLES = "ListRoles"

EVENT_SOURCES = {
    ASSUME_ROLE: "sts.amazonaws.com",
    UPDATE_TRUST_POLICY: "iam.amazonaws.com",
    LIST_ROLES: "iam.amazonaws.com",
}

# Errors that say nothing about access: the service was busy or broken. AWS writes most codes both
# with and without "Exception" at the end; here they stand without.
NOT_ABOUT_ACCESS = (
    "Throttling",
    "ThrottledRequest",
    "RequestLimitExceeded",
    "RequestThrottled",
    "TooManyRequests",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "ServiceFailure",
    "ServiceUnavailable",
)

# True: the sessions of an ordinary role count as one principal, the role, so that rotating session
# names does not split the count. False: every userIdentity.arn is a principal of its own.
COLLAPSE_SESSIONS = True

# IAM Identity Center creates these roles and sets the session name to the person who signed in.
IDENTITY_CENTER_ROLE_PREFIX = "AWSReservedSSO_"

# The characters of IAM paths and names:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
# The same patterns stand in the queries, in SQL.
ROLE_ARN = r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/[!-~]+"
ROLE_NAME = r"[A-Za-z0-9_+=,.@-]+"
DENIED = r"User: \S+ is not authorized to perform: [a-z]+:[A-Za-z]+ on resource: "

ROLE_ARN_ONLY = re.compile(ROLE_ARN)
ROLE_NAME_ONLY = re.compile(ROLE_NAME)
# The resource ends the sentence, or a reason follows after a space. Anchored at the start: what an
# attacker writes into the role's own name can not pass for the resource.
DENIED_ROLE_ARN = re.compile(DENIED + rf"({ROLE_ARN})(?: |\Z)")
DENIED_ROLE_NAME = re.compile(DENIED + rf"role ({ROLE_NAME})(?: |\Z)")
ACCOUNT_ID = re.compile(r"[0-9]{12}")
# arn:aws:sts::123456789012:assumed-role/RoleName/SessionName
ASSUMED_ROLE_ARN = re.compile(r"(arn:[a-z0-9-]+):sts::([0-9]{12}):assumed-role/([^/\s]+)/(\S+)")

LATEST_EPOCH = 253402300799  # 9999-12-31T23:59:59Z, the last moment that can be written as a date

# Bounds for what is copied from an event into an alert context (its limit is 200 KB).
MAX_TEXT = 1024
MAX_ITEMS = 50
MAX_DEPTH = 6
MAX_FIELD = 16 * 1024


def is_failed_call(event: Any) -> bool:
    """Tell whether the call was answered with an error of any kind."""
    return bool(event.get("errorCode") or event.get("errorMessage"))


def is_role_discovery(event: Any) -> bool:
    """Tell whether this is a ListRoles call; a denied one is discovery all the same."""
    return _is_call(event, LIST_ROLES)


def is_failed_role_attempt(event: Any) -> bool:
    """Tell whether access to a role was tried and refused.

    That is an AssumeRole or UpdateAssumeRolePolicy call with an error that is about the call, not
    about throttling or a fault of the service.
    """
    name = event.get("eventName")
    if name != ASSUME_ROLE and name != UPDATE_TRUST_POLICY:
        return False
    return _is_call(event, name) and is_failed_call(event) and _is_about_access(event)


def attempt_target(event: Any) -> str | None:
    """Return the role that an AssumeRole or UpdateAssumeRolePolicy call was aimed at.

    Request parameters come first. Where AWS left them out (it does on every denial), the error
    message tells.

    Returns:
        For AssumeRole the role's ARN with its path. For UpdateAssumeRolePolicy, which names a role
        of the caller's account, "<account ID>:role/<name>". None where the role can not be told.
    """
    message = event.get("errorMessage")
    message = message if isinstance(message, str) else ""
    if event.get("eventName") == ASSUME_ROLE:
        arn = event.deep_get("requestParameters", "roleArn")
        return _full_match(ROLE_ARN_ONLY, arn) or _first_group(DENIED_ROLE_ARN, message)
    if event.get("eventName") != UPDATE_TRUST_POLICY:
        return None
    name = event.deep_get("requestParameters", "roleName")
    name = _full_match(ROLE_NAME_ONLY, name) or _first_group(DENIED_ROLE_NAME, message)
    account = recipient_account(event)
    return f"{account}:role/{name}" if name and account else None


def principal_arn(event: Any, collapse_sessions: bool = COLLAPSE_SESSIONS) -> str | None:
    """Return who made the call, as one name for all the calls of one person or workload.

    Args:
        event: The CloudTrail record.
        collapse_sessions: Name the role behind an AssumedRole session instead of the session, whose
            name the caller picks freely. Sessions of IAM Identity Center roles are never collapsed:
            there AWS sets the session name to the person, and many people share the role.

    Returns:
        An ARN, or None for AWS services and for callers that the record gives no ARN of.
    """
    arn = event.deep_get("userIdentity", "arn")
    kind = event.deep_get("userIdentity", "type")
    if not isinstance(arn, str) or not arn.strip() or kind == "AWSService":
        return None
    if not collapse_sessions or kind != "AssumedRole":
        return arn
    session = ASSUMED_ROLE_ARN.fullmatch(arn)
    issuer = event.deep_get("userIdentity", "sessionContext", "sessionIssuer", "arn")
    issuer = issuer if isinstance(issuer, str) and issuer.strip() else None
    role_name = session.group(3) if session else (issuer or "").rsplit("/", 1)[-1]
    if role_name.startswith(IDENTITY_CENTER_ROLE_PREFIX):
        return arn
    if issuer:
        return issuer
    return f"{session.group(1)}:iam::{session.group(2)}:role/{role_name}" if session else arn


def session_name(event: Any) -> str | None:
    """Return the session name of an AssumedRole caller, None for any other."""
    session = _full_match(ASSUMED_ROLE_ARN, event.deep_get("userIdentity", "arn"))
    return session.rsplit("/", 1)[-1] if session else None


def recipient_account(event: Any) -> str | None:
    """Return the ID of the account that the record belongs to, else that of the caller."""
    for account in (event.get("recipientAccountId"), event.deep_get("userIdentity", "accountId")):
        if _full_match(ACCOUNT_ID, account):
            return account
    return None


def error_name(event: Any) -> str:
    """Return the error code without its "Exception" ending, or "" where there is none."""
    code = event.get("errorCode")
    return code.removesuffix("Exception") if isinstance(code, str) else ""


def event_epoch(event: Any) -> int | None:
    """Return when the call was made, in whole seconds since 1970, or None where no time is given.

    Takes CloudTrail's own form (2026-01-05T10:00:00Z) and Panther's (2026-01-05 10:00:00.000).
    """
    for value in (event.get("eventTime"), event.get("p_event_time")):
        if not isinstance(value, str):
            continue
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            continue
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        epoch = math.floor(moment.timestamp())
        if 0 <= epoch <= LATEST_EPOCH:
            return epoch
    return None


def iso_time(epoch: int) -> str:
    """Write seconds since 1970 as CloudTrail writes times."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def cloudtrail_context(event: Any) -> dict:
    """Return the fields of a CloudTrail record that a SOC analyst looks for first, bounded in size.

    The same fields as in Panther's own AWS rules, so that triage knows them.
    """
    fields = (
        "eventName",
        "eventSource",
        "awsRegion",
        "recipientAccountId",
        "sourceIPAddress",
        "userAgent",
        "userIdentity",
    )
    return bounded_fields({field: event.get(field) for field in fields})


def bounded_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Copy values from an event, each bounded by itself: a huge one takes no other with it."""
    return {name: bounded(value) for name, value in fields.items()}


def bounded(value: Any) -> Any:
    """Copy a value from an event as plain JSON of at most 16 KB, whatever stands in the event."""
    copy = _plain(value, MAX_DEPTH)
    return copy if len(json.dumps(copy)) <= MAX_FIELD else "(left out: too large)"


def _plain(value: Any, depth: int) -> Any:
    if value is None or (isinstance(value, int) and abs(value) < 2**63):
        return value
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + "…"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth and isinstance(value, Mapping):
        keys = list(value)[:MAX_ITEMS]
        return {str(key)[:MAX_TEXT]: _plain(value[key], depth - 1) for key in keys}
    if depth and isinstance(value, Sequence):
        return [_plain(item, depth - 1) for item in value[:MAX_ITEMS]]
    return f"({type(value).__name__})"


def _is_call(event: Any, name: str) -> bool:
    return event.get("eventName") == name and event.get("eventSource") == EVENT_SOURCES[name]


def _is_about_access(event: Any) -> bool:
    # Some services write the fault's side in front: "Client.RequestLimitExceeded".
    return error_name(event).rsplit(".", 1)[-1] not in NOT_ABOUT_ACCESS


def _full_match(pattern: re.Pattern, value: Any) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def _first_group(pattern: re.Pattern, text: str) -> str | None:
    found = pattern.match(text)
    return found.group(1) if found else None
