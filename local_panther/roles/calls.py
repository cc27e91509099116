"""Reads calls about IAM roles from CloudTrail records: the role that was tried, and the outcome.

AWS records a denied call without request parameters: only the error message names the role. A
missing, null or wrongly typed field means that a fact is unknown, and raises no exception.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from local_panther.roles.principals import is_web_identity, principal_of
from local_panther.roles.settings import RoleSettings
from local_panther.text import text_of

ASSUME_ROLE, UPDATE_TRUST_POLICY = "AssumeRole", "UpdateAssumeRolePolicy"
ASSUME_ROLE_BY_OIDC = "AssumeRoleWithWebIdentity"
ATTEMPTS = (ASSUME_ROLE, ASSUME_ROLE_BY_OIDC, UPDATE_TRUST_POLICY)
SOURCES = {
    ASSUME_ROLE: "sts.amazonaws.com",
    ASSUME_ROLE_BY_OIDC: "sts.amazonaws.com",
    UPDATE_TRUST_POLICY: "iam.amazonaws.com",
    "ListRoles": "iam.amazonaws.com",
    "GetAccountAuthorizationDetails": "iam.amazonaws.com",  # every role with its trust policy
    "ListInstanceProfiles": "iam.amazonaws.com",
    "ListDiscoveredResources": "config.amazonaws.com",
    "ListResources": "cloudcontrolapi.amazonaws.com",
}
# The request parameter that names the type, for calls that list resources of any type
LISTED_TYPES = {"ListDiscoveredResources": "resourceType", "ListResources": "typeName"}
TYPE_OF_ROLES = "AWS::IAM::Role"
ROLE_CALLS = frozenset(SOURCES)
SERVICE = "AWSService"  # type of a caller that is no person or workload of an account

DISCOVERY, SUCCESS = "discovery", "success"
FAILURE = "failure"  # refused
OPEN = "open"  # failed, but a valid request would succeed: counts as a failure
FAULT = "fault"  # failed with an error that says nothing about access to the role
OWN_SESSION = "session"  # issued credentials with the caller's own rights, and no role
FAILED = (FAILURE, OPEN)
# Error codes without the suffix "Exception"; every other error is a fault.
REFUSED = frozenset({"UnmodifiableEntity", "NoSuchEntity"})
REFUSED_BEGINNINGS = ("AccessDenied", "Unauthorized")
AFTER_AUTHORISATION = frozenset({"MalformedPolicyDocument", "LimitExceeded"})
TOO_LONG_SESSION = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role"

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
NAME = r"[A-Za-z0-9_+=,.@-]+"
ROLE = rf"arn:[a-z0-9-]+:iam::[0-9]{{12}}:role/(?:[!-~]+/)?{NAME}"
ROLE_ARN, ROLE_NAME = re.compile(ROLE), re.compile(NAME)
# Anchored at the start, so that text in a role's name is not taken for the resource
DENIED = re.compile(
    r"User: \S+ is not authorized to perform: [a-z]+:[A-Za-z]+ on resource: "
    rf"(?:(?P<arn>{ROLE})|role (?P<name>{NAME}))(?: |\Z)"
)
TRAILER = ". Go to "  # begins a further sentence of most IAM messages; its dot ends the resource
POLICY = re.compile(
    r"arn:[a-z0-9-]+:(?:iam|organizations)::[a-z0-9]+:policy/[!-~]*[A-Za-z0-9_+=@-]"
)
QUARANTINE = ":policy/AWSCompromisedKeyQuarantine"  # AWS attaches it to users with leaked keys
ACCOUNT = re.compile(r"[0-9]{12}")
ROLE_ACCOUNT = re.compile(r"([0-9]{12}):role/")


class RoleCall(NamedTuple):
    """A call about roles. A text is "" if the record does not have the fact.

    Attributes:
        time: Time of the call, in seconds since 1970.
        principal: Principal that made the call, from `principal_of`.
        caller: ARN of the caller, with its session.
        api: The record's eventName.
        role: Key of the role, "<account ID>:role/<name>", however the call names it.
        outcome: DISCOVERY, SUCCESS, FAILURE, OPEN, FAULT or OWN_SESSION.
        error: Error code.
        address: Source address of the call.
        agent: User agent of the call.
        region: Region of the record.
        access_key: Access key of the caller.
        issued_key: Access key of the session that the call returned.
        source_identity: Source identity of the caller's session.
        policy: ARN of the policy that denied the call, if the message names it.
        event_id: ID of the record.
        identity_type: Type of the record's userIdentity.
        mfa: "true" or "false", whether the caller's session began with MFA.
    """

    time: float
    principal: str
    caller: str
    api: str
    role: str
    outcome: str
    error: str
    address: str
    agent: str
    region: str
    access_key: str
    issued_key: str
    source_identity: str
    policy: str
    event_id: str
    identity_type: str
    mfa: str


def role_call(event: Mapping[str, Any], time: float, settings: RoleSettings) -> RoleCall | None:
    """Return a record as a call about roles; None for other calls, and for those of AWS services.

    Args:
        event: The record.
        time: Time of the event, in seconds since 1970.
        settings: Settings of the repository.
    """
    api, identity = event.get("eventName"), event.get("userIdentity")
    if api not in ROLE_CALLS or event.get("eventSource") != SOURCES[api]:
        return None
    if not isinstance(identity, Mapping) or identity.get("type") == SERVICE:
        return None
    listed = LISTED_TYPES.get(api)
    if listed and inner(event, "requestParameters").get(listed) != TYPE_OF_ROLES:
        return None
    principal = principal_of(identity, settings)
    if not (text_of(identity.get("arn")) or is_web_identity(identity)):
        return None
    return call_of(
        event,
        time,
        principal,
        role=_role(event, api, identity) if api in ATTEMPTS else "",
        outcome=outcome_of(event, api) if api in ATTEMPTS else DISCOVERY,
    )


def call_of(
    event: Mapping[str, Any], time: float, principal: str, *, role: str, outcome: str
) -> RoleCall:
    """Return a record as a call about roles.

    Args:
        event: The record.
        time: Time of the event, in seconds since 1970.
        principal: Principal that made the call; also the caller if the record has no ARN.
        role: Key of the role, as in `RoleCall.role`.
        outcome: Outcome, as in `RoleCall.outcome`.
    """
    identity = inner(event, "userIdentity")
    return RoleCall(
        time=time,
        principal=principal,
        caller=text_of(identity.get("arn")) or principal,
        api=text_of(event.get("eventName")),
        role=role,
        outcome=outcome,
        error=text_of(event.get("errorCode")),
        address=text_of(event.get("sourceIPAddress")),
        agent=text_of(event.get("userAgent")),
        region=text_of(event.get("awsRegion")),
        access_key=text_of(identity.get("accessKeyId")),
        issued_key=text_of(inner(event, "responseElements", "credentials").get("accessKeyId")),
        source_identity=text_of(inner(identity, "sessionContext").get("sourceIdentity")),
        policy=_policy(event),
        event_id=text_of(event.get("eventID")),
        identity_type=text_of(identity.get("type")),
        mfa=mfa_of(identity),
    )


def name_of(role: str) -> str:
    """Return the name in a role's key or ARN."""
    return role.rsplit("/", 1)[-1]


def error_name(event: Mapping[str, Any]) -> str:
    """Return an error's code without its suffix "Exception" and a prefix such as "Client."."""
    return text_of(event.get("errorCode")).removesuffix("Exception").rsplit(".", 1)[-1]


def mfa_of(identity: Mapping[str, Any]) -> str:
    """Return "true" or "false", whether a session began with MFA; "" if it is unknown."""
    value = inner(identity, "sessionContext", "attributes").get("mfaAuthenticated")
    return str(value).lower() if isinstance(value, (str, bool)) else ""


def outcome_of(event: Mapping[str, Any], api: str) -> str:
    """Return the outcome of an attempt: SUCCESS, FAILURE, OPEN or FAULT."""
    if not event.get("errorCode") and not event.get("errorMessage"):
        return SUCCESS
    code, message = error_name(event), event.get("errorMessage")
    if api == UPDATE_TRUST_POLICY:
        is_open = code in AFTER_AUTHORISATION
    else:
        is_open = isinstance(message, str) and message.startswith(TOO_LONG_SESSION)
    if is_open:
        return OPEN
    if code:
        is_refused = code in REFUSED or code.startswith(REFUSED_BEGINNINGS)
    else:  # some records have a message but no code
        denied = _denied(event)
        is_refused = bool(denied and denied["arn"])
    return FAILURE if is_refused else FAULT


def _policy(event: Mapping[str, Any]) -> str:
    message = event.get("errorMessage")
    if not isinstance(message, str) or error_name(event) != "AccessDenied":
        return ""
    found = POLICY.search(message.partition(TRAILER)[0].partition(" with an explicit deny ")[2])
    return found.group() if found else ""


def _denied(event: Mapping[str, Any]) -> re.Match[str] | None:
    message = event.get("errorMessage")
    return DENIED.match(message.partition(TRAILER)[0]) if isinstance(message, str) else None


def inner(values: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """Return a nested object; an empty one if it or a parent is missing or not an object."""
    for name in names:
        inner = values.get(name)
        # most are of type dict; a check against Mapping takes five times as long
        values = inner if type(inner) is dict or isinstance(inner, Mapping) else {}
    return values


def _role(event: Mapping[str, Any], api: str, identity: Mapping[str, Any]) -> str:
    """Return the key of the role that an attempt was made on; "" if it is unknown.

    It comes from the request parameters, or from the message if AWS left them out, as on a denial.
    """
    given = event.get("requestParameters")
    given = given if isinstance(given, Mapping) else {}
    denied = _denied(event)
    denied_arn, denied_name = (denied["arn"], denied["name"]) if denied else (None, None)
    if api in (ASSUME_ROLE, ASSUME_ROLE_BY_OIDC):
        return key_of_role(_matching(ROLE_ARN, given.get("roleArn")) or denied_arn)
    name = _matching(ROLE_NAME, given.get("roleName"))
    arn = None if name else _matching(ROLE_ARN, given.get("roleName")) or denied_arn
    if arn:
        return key_of_role(arn)
    name = name or denied_name
    accounts = (event.get("recipientAccountId"), identity.get("accountId"))
    account = next((a for a in accounts if _matching(ACCOUNT, a)), None)
    return f"{account}:role/{name}" if name and account else ""


def key_of_role(arn: str | None) -> str:
    """Return "<account ID>:role/<name>" for the ARN of a role; "" for anything else."""
    found = ROLE_ACCOUNT.search(arn) if arn else None
    return f"{found[1]}:role/{name_of(arn)}" if arn and found else ""


def _matching(pattern: re.Pattern[str], value: Any) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None
