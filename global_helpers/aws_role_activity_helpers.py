"""Reads one CloudTrail record: who called, which IAM role the call named, and how it ended.

AWS records a denied call without request parameters: only the error message names the role.
Every function accepts an event of any shape: a missing, null or wrongly typed field gives no
answer, never an exception. What spans several records is in `aws_role_attempt_helpers`.

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
# Calls that list roles, and the service of each. GetAccountAuthorizationDetails returns every role
# of the account with its trust policy in one call.
DISCOVERIES = {
    "ListRoles": "iam.amazonaws.com",
    "GetAccountAuthorizationDetails": "iam.amazonaws.com",
    "ListInstanceProfiles": "iam.amazonaws.com",
    "ListDiscoveredResources": "config.amazonaws.com",
    "ListResources": "cloudcontrolapi.amazonaws.com",
}
# The request parameter that names the type, for calls that list resources of any type
LISTED_TYPES = {"ListDiscoveredResources": "resourceType", "ListResources": "typeName"}
TYPE_OF_ROLES = "AWS::IAM::Role"

EVENT_SOURCES = {
    ASSUME_ROLE: "sts.amazonaws.com",
    ASSUME_ROLE_BY_OIDC: "sts.amazonaws.com",
    UPDATE_TRUST_POLICY: "iam.amazonaws.com",
}

# Error codes that say something about access to the role. AWS writes most codes both with and
# without "Exception" at the end; here they are without it. Every other error says nothing about
# access: throttling, service faults, problems with the caller's own credentials, chained sessions
# of more than an hour. The queries have the same lists in SQL.
REFUSED = ("UnmodifiableEntity", "NoSuchEntity")
REFUSED_BEGINNINGS = ("AccessDenied", "Unauthorized")
# IAM validates a trust policy only after it has authorised the caller to set it.
AFTER_AUTHORISATION = ("MalformedPolicyDocument", "LimitExceeded")
# The caller asked for a longer session than the role allows; with a shorter one it gets in.
TOO_LONG_SESSION = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role"

# The message of a denied call ends with the policy that denied it. AWS attaches the quarantine
# policy to a user whose key it has found in public.
POLICY = re.compile(
    r"arn:[a-z0-9-]+:(?:iam|organizations)::[a-z0-9]+:policy/[!-~]*[A-Za-z0-9_+=@-]"
)
QUARANTINE = ":policy/AWSCompromisedKeyQuarantine"

# Prefix of a principal that is a person of IAM Identity Center, in any account or permission set
IDENTITY_CENTER = "identity-center:"
# Prefix of an OpenID Connect principal; the provider and the subject's name follow
WEB_IDENTITY = "web-identity:"

# How to stop a principal, by the part of its name that shows its kind
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
# The queries have the same patterns in SQL.
NAME = r"[A-Za-z0-9_+=,.@-]+"
ROLE = rf"arn:[a-z0-9-]+:iam::[0-9]{{12}}:role/(?:[!-~]+/)?{NAME}"
DENIED = r"User: \S+ is not authorized to perform: [a-z]+:[A-Za-z]+ on resource: "

ROLE_ARN = re.compile(ROLE)
ROLE_NAME = re.compile(NAME)
# The resource ends the sentence, or a space and a reason follow. Both patterns are matched from the
# start of the message, so that text in a role's name cannot pass for the resource.
DENIED_ROLE_ARN = re.compile(DENIED + rf"({ROLE})(?: |\Z)")
DENIED_ROLE_NAME = re.compile(DENIED + rf"role ({NAME})(?: |\Z)")
# Most messages of IAM continue with this sentence. Its leading dot is not part of the resource,
# although role names can end in a dot.
TRAILER = ". Go to "
TARGET_ACCOUNT = re.compile(r"([0-9]{12}):role/")
ACCOUNT_ID = re.compile(r"[0-9]{12}")
# arn:aws:sts::123456789012:assumed-role/RoleName/SessionName
ASSUMED_ROLE_ARN = re.compile(r"(arn:[a-z0-9-]+):sts::([0-9]{12}):assumed-role/([^/\s]+)/(\S+)")
# Only IAM Identity Center can create roles under this path, and the session name is the person.
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
    """Return whether the call lists the account's roles; a denied call counts too."""
    name = event.get("eventName")
    if not isinstance(name, str) or name not in DISCOVERIES:
        return False
    if event.get("eventSource") != DISCOVERIES[name]:
        return False
    parameter = LISTED_TYPES.get(name)
    return parameter is None or event.deep_get("requestParameters", parameter) == TYPE_OF_ROLES


def is_failed_role_attempt(event: Any) -> bool:
    """Return whether a call tried to get into a role and failed with an error about access.

    Either the role refused, or the caller has access and failed for another reason (`is_open`).
    Errors that are not known to be about access do not count.
    """
    if not is_failed_call(event):  # checked first because most calls succeed
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
    rejects: with a valid request, both succeed.
    """
    if event.get("eventName") == UPDATE_TRUST_POLICY:
        return error_name(event) in AFTER_AUTHORISATION
    message = event.get("errorMessage")
    return isinstance(message, str) and message.startswith(TOO_LONG_SESSION)


def denying_policy(event: Any) -> str | None:
    """Return the ARN of the policy that denied a call, if the message names it."""
    message = event.get("errorMessage")
    if not isinstance(message, str) or error_name(event) != "AccessDenied":
        return None
    # The caller chooses part of the text before these words, so only the text after them counts.
    found = POLICY.search(message.partition(TRAILER)[0].partition(" with an explicit deny ")[2])
    return found.group() if found else None


def is_quarantined(event: Any) -> bool:
    """Return whether AWS has restricted the caller because its key has leaked."""
    return QUARANTINE in (denying_policy(event) or "")


def attempt_target(event: Any) -> str | None:
    """Return the role that an AssumeRole or UpdateAssumeRolePolicy call was aimed at.

    The request parameters name the role. AWS omits them from every denial, and then the error
    message names it.

    Returns:
        The role's ARN, with its path. UpdateAssumeRolePolicy usually names a role of the account
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
    """Return "<account ID>:role/<name>", which is the same however a call names the role.

    Args:
        target: From `attempt_target`.
    """
    account = TARGET_ACCOUNT.search(target)
    return f"{account.group(1) if account else ''}:role/{target.rsplit('/', 1)[-1]}"


def principal_arn(event: Any) -> str | None:
    """Return who made the call, as one name for all the calls of one person or workload.

    Returns:
        - A session of a role: the role's ARN, since the caller picks the session name.
        - A person of IAM Identity Center: "identity-center:" and the session name, which is the
          same in every account and permission set.
        - A caller of OpenID Connect: "web-identity:", its provider and its name.
        - A role under PERSON_ROLE_PREFIXES, and every other kind of caller: `userIdentity.arn`.
        - AWS services and callers without an ARN: None.
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
    """Return how to stop a principal of its kind, as a step of a runbook.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_disable-perms.html
    """
    name = principal if isinstance(principal, str) else ""
    for part, how in HOW_TO_STOP.items():
        if part in name:  # other characters could pass for a step or a query of the runbook
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
    """Return the ID of the account that the record belongs to, or else the caller's."""
    for account in (event.get("recipientAccountId"), event.deep_get("userIdentity", "accountId")):
        if _full_match(ACCOUNT_ID, account):
            return str(account)
    return None


def error_name(event: Any) -> str:
    """Return the error code without its "Exception" ending, or "" if there is none.

    The prefix that some services add is removed as well, as in "Client.AccessDenied".
    """
    code = event.get("errorCode")
    return code.removesuffix("Exception").rsplit(".", 1)[-1] if isinstance(code, str) else ""


def event_epoch(event: Any) -> int | None:
    """Return when the call was made, in whole seconds since 1970, or None if no time is valid.

    Accepts CloudTrail's form (2026-01-05T10:00:00Z) and Panther's (2026-01-05 10:00:00.000).
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

    They are the fields of Panther's own AWS rules, and the parameters of the saved queries.
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
    """Copy values from an event, each bounded separately so that a huge one displaces no other."""
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
