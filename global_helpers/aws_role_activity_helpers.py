"""Who tried what on which IAM role, read from a CloudTrail record as AWS writes it.

AWS records a denied call without request parameters: only the error message names the role.
Everything here takes an event of any shape: a missing, null or wrongly typed field gives no answer,
never an exception.

Field reference:
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import aws_role_escalation_config as config

ASSUME_ROLE = "AssumeRole"
ASSUME_ROLE_BY_OIDC = "AssumeRoleWithWebIdentity"
UPDATE_TRUST_POLICY = "UpdateAssumeRolePolicy"
ATTEMPTS = (ASSUME_ROLE, ASSUME_ROLE_BY_OIDC, UPDATE_TRUST_POLICY)
# Calls that list roles, by the service they are made to. The second returns every role of the
# account with its trust policy, in one call.
DISCOVERIES = {
    "ListRoles": "iam.amazonaws.com",
    "GetAccountAuthorizationDetails": "iam.amazonaws.com",
    "ListInstanceProfiles": "iam.amazonaws.com",
    "ListDiscoveredResources": "config.amazonaws.com",
    "ListResources": "cloudcontrolapi.amazonaws.com",
}
# Of those that list resources of any type, the request parameter that names the type
LISTED_TYPES = {"ListDiscoveredResources": "resourceType", "ListResources": "typeName"}
TYPE_OF_ROLES = "AWS::IAM::Role"

EVENT_SOURCES = {
    ASSUME_ROLE: "sts.amazonaws.com",
    ASSUME_ROLE_BY_OIDC: "sts.amazonaws.com",
    UPDATE_TRUST_POLICY: "iam.amazonaws.com",
}

# What an error says about access to the role, by its code. AWS writes most codes both with and
# without "Exception" at the end; here they are without it. Every other error, known or not, says
# nothing about access: throttling, faults, the caller's own credentials, chained sessions of more
# than an hour. The queries have the same lists, in SQL.
REFUSED = ("UnmodifiableEntity", "NoSuchEntity")
REFUSED_BEGINNINGS = ("AccessDenied", "Unauthorized")
# IAM looks at a trust policy only once the caller was authorised to set it.
AFTER_AUTHORISATION = ("MalformedPolicyDocument", "LimitExceeded")
# The session was to last longer than the role allows: with less, the caller gets in.
TOO_LONG_SESSION = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role"

# The policy that denied a call is named at the end of the message. With this one AWS itself
# restricts a user whose key it has found in public.
POLICY = re.compile(
    r"arn:[a-z0-9-]+:(?:iam|organizations)::[a-z0-9]+:policy/[!-~]*[A-Za-z0-9_+=@-]"
)
QUARANTINE = ":policy/AWSCompromisedKeyQuarantine"

# Prefix of a principal that is a person of IAM Identity Center, whatever account and permission set
IDENTITY_CENTER = "identity-center:"
# Prefix of a principal of OpenID Connect: the provider and the subject's name follow
WEB_IDENTITY = "web-identity:"

# By what is in the name of a principal of that kind
HOW_TO_STOP = {
    IDENTITY_CENTER: "disable the user in IAM Identity Center and end its active sessions",
    WEB_IDENTITY: "take it out of the trust policies that name its provider",
    ":user/": "deactivate its access keys, end its sessions and change its password",
    ":federated-user/": "deactivate the keys of the user that called GetFederationToken",
    ":assumed-role/": "revoke the sessions of its role, then fix what holds its credentials",
    ":role/": "revoke its sessions, then fix the workload that holds its credentials",
    ":root": "change the root password, delete its access keys and check its MFA devices",
}
MAX_NAME = 200  # characters of a principal in a runbook
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_+=,.@:/*-]")

# The characters of IAM paths and names:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
# The queries have the same patterns, in SQL.
NAME = r"[A-Za-z0-9_+=,.@-]+"
ROLE = rf"arn:[a-z0-9-]+:iam::[0-9]{{12}}:role/(?:[!-~]+/)?{NAME}"
DENIED = r"User: \S+ is not authorized to perform: [a-z]+:[A-Za-z]+ on resource: "

ROLE_ARN = re.compile(ROLE)
ROLE_NAME = re.compile(NAME)
# The resource ends the sentence, or a reason follows after a space. Anchored at the start: what an
# attacker writes into a role's name cannot pass for the resource.
DENIED_ROLE_ARN = re.compile(DENIED + rf"({ROLE})(?: |\Z)")
DENIED_ROLE_NAME = re.compile(DENIED + rf"role ({NAME})(?: |\Z)")
# On most IAM calls a sentence follows. The dot before it is not part of the resource, although role
# names can end in a dot.
TRAILER = ". Go to "
TARGET_ACCOUNT = re.compile(r"([0-9]{12}):role/")
ACCOUNT_ID = re.compile(r"[0-9]{12}")
# arn:aws:sts::123456789012:assumed-role/RoleName/SessionName
ASSUMED_ROLE_ARN = re.compile(r"(arn:[a-z0-9-]+):sts::([0-9]{12}):assumed-role/([^/\s]+)/(\S+)")
# Only IAM Identity Center can create roles here, and it sets the session name to the person.
IDENTITY_CENTER_ROLE = re.compile(
    r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/aws-reserved/sso\.amazonaws\.com/\S+"
)

LATEST_EPOCH = 253402300799  # 9999-12-31T23:59:59Z, the last moment that can be written as a date

CONTEXT_FIELDS = (
    "eventID",
    "eventTime",
    "eventName",
    "eventSource",
    "awsRegion",
    "recipientAccountId",
    "sourceIPAddress",
    "userAgent",
    "userIdentity",
)

# Bounds for what is copied from an event into an alert context (its limit is 200 KB).
MAX_TEXT = 1024
MAX_ITEMS = 50
MAX_DEPTH = 6
MAX_FIELD = 16 * 1024


def is_failed_call(event: Any) -> bool:
    """Return whether the call was answered with an error of any kind."""
    return bool(event.get("errorCode") or event.get("errorMessage"))


def is_role_discovery(event: Any) -> bool:
    """Return whether the call lists the account's roles; a denied one is discovery all the same."""
    name = event.get("eventName")
    if not isinstance(name, str) or name not in DISCOVERIES:
        return False
    if event.get("eventSource") != DISCOVERIES[name]:
        return False
    parameter = LISTED_TYPES.get(name)
    return parameter is None or event.deep_get("requestParameters", parameter) == TYPE_OF_ROLES


def is_failed_role_attempt(event: Any) -> bool:
    """Return whether access to a role was tried and the answer says something about access.

    The role refused, or the caller would get in but for something else, see `is_open`. Errors that
    are not known to be about access do not count.
    """
    if not is_failed_call(event):  # first, as most calls succeed
        return False
    name = event.get("eventName")
    if name not in ATTEMPTS or event.get("eventSource") != EVENT_SOURCES[name]:
        return False
    return is_refused(event) or is_open(event)


def is_refused(event: Any) -> bool:
    """Return whether the error of a call about a role is a refusal."""
    code = error_name(event)
    if not code:  # a record can have the message alone
        return _denied(DENIED_ROLE_ARN, event) is not None
    return code in REFUSED or code.startswith(REFUSED_BEGINNINGS)


def is_open(event: Any) -> bool:
    """Return whether a failed call shows that the caller has access to the role.

    AssumeRole that asked for too long a session, or UpdateAssumeRolePolicy with a policy that IAM
    does not take: with a proper request, both succeed.
    """
    if event.get("eventName") == UPDATE_TRUST_POLICY:
        return error_name(event) in AFTER_AUTHORISATION
    message = event.get("errorMessage")
    return isinstance(message, str) and message.startswith(TOO_LONG_SESSION)


def denying_policy(event: Any) -> str | None:
    """Return the ARN of the policy that denied a call, where the message names it."""
    message = event.get("errorMessage")
    if not isinstance(message, str) or error_name(event) != "AccessDenied":
        return None
    # What is before this comes from the caller in part; no ARN of a policy is in the resource.
    found = POLICY.search(message.partition(TRAILER)[0].partition(" with an explicit deny ")[2])
    return found.group() if found else None


def is_quarantined(event: Any) -> bool:
    """Return whether AWS itself has restricted the caller, because its key has leaked."""
    return QUARANTINE in (denying_policy(event) or "")


def attempt_target(event: Any) -> str | None:
    """Return the role that an AssumeRole or UpdateAssumeRolePolicy call was aimed at.

    Request parameters come first. Where AWS left them out (it does on every denial), the error
    message names the role.

    Returns:
        The role's ARN, with its path. UpdateAssumeRolePolicy mostly names a role of the account
        without its path: then "<account ID>:role/<name>". None if the role is unknown.
    """
    if event.get("eventName") in (ASSUME_ROLE, ASSUME_ROLE_BY_OIDC):
        arn = event.deep_get("requestParameters", "roleArn")
        return _full_match(ROLE_ARN, arn) or _denied(DENIED_ROLE_ARN, event)
    if event.get("eventName") != UPDATE_TRUST_POLICY:
        return None
    given = event.deep_get("requestParameters", "roleName")
    name = _full_match(ROLE_NAME, given)
    arn = None if name else _full_match(ROLE_ARN, given) or _denied(DENIED_ROLE_ARN, event)
    if arn:
        return arn
    name, account = name or _denied(DENIED_ROLE_NAME, event), recipient_account(event)
    return f"{account}:role/{name}" if name and account else None


def role_key(target: str) -> str:
    """Return "<account ID>:role/<name>", which is the same whichever way a call names the role.

    Args:
        target: From `attempt_target`.
    """
    account = TARGET_ACCOUNT.search(target)
    return f"{account.group(1) if account else ''}:role/{target.rsplit('/', 1)[-1]}"


def principal_arn(event: Any) -> str | None:
    """Return who made the call, as one name for all the calls of one person or workload.

    Returns:
        For the session of a role the role's ARN, since the caller picks the session name. For a
        person of IAM Identity Center "identity-center:" and the session name, the same in every
        account and permission set. For a caller of OpenID Connect "web-identity:", its provider and
        its name. For the roles under PERSON_ROLE_PREFIXES, and for every other kind of caller,
        `userIdentity.arn`. None for AWS services and callers without an ARN.
    """
    arn = event.deep_get("userIdentity", "arn")
    kind = event.deep_get("userIdentity", "type")
    if kind == "WebIdentityUser":
        return _web_identity(event)
    if not isinstance(arn, str) or not arn.strip() or kind == "AWSService":
        return None
    if not config.COLLAPSE_SESSIONS or kind != "AssumedRole":
        return arn
    return _session_principal(event, arn)


def is_role(principal: str) -> bool:
    """Return whether a principal is a role or another workload, not a person, user or root."""
    return ":role/" in principal or principal.startswith(WEB_IDENTITY)


def how_to_stop(principal: Any) -> str:
    """Return how to stop a caller of its kind, for runbooks.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_disable-perms.html
    """
    name = principal if isinstance(principal, str) else ""
    for part, how in HOW_TO_STOP.items():
        if part in name:  # what it holds beside may not pass for a step or a query of the runbook
            return f"Stop {NOT_IN_NAMES.sub('?', name[:MAX_NAME])}: {how}"
    return "Stop the caller"


def is_expected(principal: str) -> bool:
    """Return whether a principal is one of EXPECTED_PRINCIPALS."""
    return any(fnmatchcase(principal, pattern) for pattern in config.EXPECTED_PRINCIPALS)


def is_identity_center(event: Any) -> bool:
    """Return whether the caller is a person's session of IAM Identity Center."""
    return _full_match(IDENTITY_CENTER_ROLE, _issuer_arn(event)) is not None


def session_name(event: Any) -> str | None:
    """Return the session name of an AssumedRole caller, None for any other."""
    session = _full_match(ASSUMED_ROLE_ARN, event.deep_get("userIdentity", "arn"))
    return session.rsplit("/", 1)[-1] if session else None


def recipient_account(event: Any) -> str | None:
    """Return the ID of the account that the record belongs to, else that of the caller."""
    for account in (event.get("recipientAccountId"), event.deep_get("userIdentity", "accountId")):
        if _full_match(ACCOUNT_ID, account):
            return str(account)
    return None


def error_name(event: Any) -> str:
    """Return the error code without its "Exception" ending, or "" where there is none.

    Some services write whose fault it is in front, which is left out: "Client.AccessDenied".
    """
    code = event.get("errorCode")
    return code.removesuffix("Exception").rsplit(".", 1)[-1] if isinstance(code, str) else ""


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
    """Return seconds since 1970 as CloudTrail writes times."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def cloudtrail_context(event: Any) -> dict[str, Any]:
    """Return the fields of a CloudTrail record that a SOC analyst looks for first, bounded in size.

    The same fields as in Panther's own AWS rules, and what the saved queries ask for.
    """
    fields = {field: event.get(field) for field in CONTEXT_FIELDS}
    identity = ("userIdentity", "sessionContext")
    return bounded_fields(
        fields
        | {
            "sessionName": session_name(event),
            "sourceIdentity": event.deep_get(*identity, "sourceIdentity"),
            "mfaAuthenticated": event.deep_get(*identity, "attributes", "mfaAuthenticated"),
            "accessKeyId": event.deep_get("userIdentity", "accessKeyId"),
            "denyingPolicy": denying_policy(event),
        }
    )


def bounded_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Copy values from an event, each bounded by itself: a huge one takes no other with it."""
    return {name: bounded(value) for name, value in fields.items()}


def bounded(value: Any) -> Any:
    """Copy a value from an event as plain JSON of at most 16 KB, whatever the event holds."""
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


def _session_principal(event: Any, arn: str) -> str:
    session = ASSUMED_ROLE_ARN.fullmatch(arn)
    issuer = _issuer_arn(event)
    if session and is_identity_center(event):
        return IDENTITY_CENTER + session.group(4)
    role_name = session.group(3) if session else (issuer or "").rsplit("/", 1)[-1]
    if role_name.startswith(tuple(config.PERSON_ROLE_PREFIXES)):
        return arn
    if issuer:
        return issuer
    return f"{session.group(1)}:iam::{session.group(2)}:role/{role_name}" if session else arn


def _web_identity(event: Any) -> str | None:
    given = [event.deep_get("userIdentity", key) for key in ("identityProvider", "userName")]
    names = [name.strip() for name in given if isinstance(name, str) and name.strip()]
    return WEB_IDENTITY + ":".join(names) if len(names) == len(given) else None


def _issuer_arn(event: Any) -> str | None:
    issuer = event.deep_get("userIdentity", "sessionContext", "sessionIssuer", "arn")
    return issuer if isinstance(issuer, str) and issuer.strip() else None


def _full_match(pattern: re.Pattern[str], value: Any) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def _denied(pattern: re.Pattern[str], event: Any) -> str | None:
    message = event.get("errorMessage")
    if not isinstance(message, str):
        return None
    found = pattern.match(message.partition(TRAILER)[0])
    return found.group(1) if found else None
