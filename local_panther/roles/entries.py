"""Reads every recorded way into a role or an account's root, also those that no detection looks at.

Fields of each record:

- AssumeRoleWithSAML: a SAMLUser with the person's name and a hash of the provider, and roleArn.
- AssumeRoot: the caller's ARN, and the account in targetPrincipal.
- CreateSession of IAM Roles Anywhere: no caller; the response has the certificate's name as
  sourceIdentity. The role is in roleArn.
- GetRoleCredentials of Identity Center: an IdentityCenterUser with the person's ID; account_id, and
  role_name, which is the permission set's name. AssumeRoleWithSAML in that account follows.
- AssumeRole from another account, recorded in the account of the role: an AWSAccount with its ID;
  the same sharedEventID as the record in the caller's account.
- SwitchRole of the console: the new session as the caller; SwitchFrom names who switched.

GetSessionToken and GetFederationToken issue credentials with the caller's own rights. They lead
into no role, but later records name their keys.

Field references:
https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html
https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication-create-session.html
https://docs.aws.amazon.com/singlesignon/latest/userguide/logging-using-cloudtrail.html
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-aws-console-sign-in-events.html
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from local_panther.roles.calls import (
    ASSUME_ROLE,
    ATTEMPTS,
    FAILURE,
    OWN_SESSION,
    ROLE_CALLS,
    SUCCESS,
    RoleCall,
    call_of,
    inner,
    key_of_role,
    outcome_of,
    role_call,
)
from local_panther.roles.calls import SOURCES as ROLE_SOURCES
from local_panther.roles.principals import (
    ASSUMED_ROLE_ARN,
    IDENTITY_CENTER,
    IDENTITY_CENTER_ROLE,
    OTHER_ACCOUNT,
    ROLES_ANYWHERE,
    SAML,
    principal_of,
    role_of_session,
)
from local_panther.roles.settings import RoleSettings
from local_panther.text import text_of

Event = Mapping[str, Any]
SOURCES = {
    "AssumeRoleWithSAML": "sts.amazonaws.com",
    "AssumeRoot": "sts.amazonaws.com",
    "CreateSession": "rolesanywhere.amazonaws.com",
    "GetRoleCredentials": "sso.amazonaws.com",
    "SwitchRole": "signin.amazonaws.com",
    "GetSessionToken": "sts.amazonaws.com",
    "GetFederationToken": "sts.amazonaws.com",
}
OWN_SESSIONS = frozenset({"GetSessionToken", "GetFederationToken"})
COUNTED = {api: ROLE_SOURCES[api] for api in ATTEMPTS} | SOURCES
ENTRY_CALLS = frozenset({*ROLE_CALLS, *SOURCES})
ACCOUNT = re.compile(r"(?:arn:[a-z0-9-]+:iam::)?([0-9]{12})(?::root)?")
BY_SERVICES = "by AWS services"  # they assume roles all the time
BY_NOBODY = "that name no caller"


def entry_call(event: Event, time: float, settings: RoleSettings) -> RoleCall | None:
    """Return a record of any way into a role as a call about roles; None for other records.

    Args:
        event: The record.
        time: Time of the event, in seconds since 1970.
        settings: Settings of the repository.
    """
    api = event.get("eventName")
    if api not in SOURCES:
        call = role_call(event, time, settings)
        return call or _from_other_account(event, time, settings)
    if event.get("eventSource") != SOURCES[api]:
        return None
    identity = event.get("userIdentity")
    identity = identity if isinstance(identity, Mapping) else {}
    principal = CALLERS.get(api, _by_arn)(event, identity, settings)
    target = TARGETS[api](event) if api in TARGETS else ""
    if not principal:
        return None
    outcome = _outcome(event, api)
    return call_of(event, time, principal, role=target, outcome=outcome)


def passed_over(event: Event) -> str:
    """Return BY_SERVICES or BY_NOBODY for a call on a role that is not counted, else ""."""
    api, identity = event.get("eventName"), event.get("userIdentity")
    if api not in COUNTED or event.get("eventSource") != COUNTED[api]:
        return ""
    kind = identity.get("type") if isinstance(identity, Mapping) else None
    return BY_SERVICES if kind == "AWSService" else BY_NOBODY


def _from_other_account(event: Event, time: float, settings: RoleSettings) -> RoleCall | None:
    """Return the call of another account's principal, recorded in the account of the role.

    Such a record has the account and the ID of the caller, but no ARN.
    """
    identity = inner(event, "userIdentity")
    account, caller = text_of(identity.get("accountId")), text_of(identity.get("principalId"))
    is_copy = identity.get("type") == "AWSAccount" and event.get("eventName") == ASSUME_ROLE
    if (
        not (is_copy and account and caller)
        or event.get("eventSource") != ROLE_SOURCES[ASSUME_ROLE]
    ):
        return None
    if settings.collapse_sessions:
        caller = caller.partition(":")[0]  # a session's name follows the ID of its role
    principal = f"{OTHER_ACCOUNT}{account}:{caller}"
    outcome = outcome_of(event, ASSUME_ROLE)
    return call_of(event, time, principal, role=_role_in_request(event), outcome=outcome)


def _outcome(event: Event, api: str) -> str:
    if api == "SwitchRole":  # a failure has no error code
        switched = inner(event, "responseElements").get("SwitchRole") != "Failure"
        return SUCCESS if switched and outcome_of(event, api) == SUCCESS else FAILURE
    outcome = outcome_of(event, api)
    return OWN_SESSION if outcome == SUCCESS and api in OWN_SESSIONS else outcome


def _by_arn(event: Event, identity: Event, settings: RoleSettings) -> str:
    return principal_of(identity, settings) if text_of(identity.get("arn")) else ""


def _by_saml(event: Event, identity: Event, settings: RoleSettings) -> str:
    name = text_of(identity.get("userName"))
    given = inner(event, "requestParameters")
    if name and IDENTITY_CENTER_ROLE.fullmatch(text_of(given.get("roleArn"))):
        return IDENTITY_CENTER + name  # Identity Center's portal signs a person in by SAML
    provider = text_of(given.get("principalArn")) or text_of(identity.get("identityProvider"))
    return f"{SAML}{provider}:{name}" if name else principal_of(identity, settings)


def _by_certificate(event: Event, identity: Event, settings: RoleSettings) -> str:
    sessions = inner(event, "responseElements").get("credentialSet")
    session = sessions[0] if isinstance(sessions, list) and sessions else None
    session = session if isinstance(session, Mapping) else {}
    given = inner(event, "requestParameters")
    names = session.get("sourceIdentity"), given.get("trustAnchorArn"), identity.get("principalId")
    return ROLES_ANYWHERE + next(filter(None, map(text_of, names)), "")


def _by_person(event: Event, identity: Event, settings: RoleSettings) -> str:
    names = (
        inner(event, "additionalEventData").get("UserName"),
        identity.get("userName"),
        inner(identity, "onBehalfOf").get("userId"),
        identity.get("principalId"),
    )
    name = next(filter(None, map(text_of, names)), "")
    return IDENTITY_CENTER + name if name else ""


def _by_switcher(event: Event, identity: Event, settings: RoleSettings) -> str:
    arn = text_of(inner(event, "additionalEventData").get("SwitchFrom"))
    arn = arn or text_of(identity.get("arn"))
    kind = "AssumedRole" if ASSUMED_ROLE_ARN.fullmatch(arn) else ""
    return principal_of({"type": kind, "arn": arn}, settings)


def _role_in_request(event: Event) -> str:
    return key_of_role(text_of(inner(event, "requestParameters").get("roleArn")))


def _root(event: Event) -> str:
    target = inner(event, "requestParameters").get("targetPrincipal")
    found = ACCOUNT.fullmatch(text_of(target))
    return f"{found[1]}:root" if found else ""


def _permission_set(event: Event) -> str:
    """Return the key of a permission set; AWS gives its role another name."""
    details, given = inner(event, "serviceEventDetails"), inner(event, "requestParameters")
    name = text_of(details.get("role_name")) or text_of(given.get("roleName"))
    account = text_of(details.get("account_id")) or text_of(given.get("accountId"))
    return f"{account}:permission-set/{name}" if name and account else ""


def _switched_to(event: Event) -> str:
    details = inner(event, "additionalEventData")
    name = text_of(details.get("RoleName")).rsplit("/", 1)[-1]
    if not name:
        return key_of_role(role_of_session(text_of(inner(event, "userIdentity").get("arn"))))
    accounts = details.get("AccountId"), event.get("recipientAccountId")
    account = next(filter(ACCOUNT.fullmatch, map(text_of, accounts)), "")
    return f"{account}:role/{name}" if account else ""


CALLERS: Mapping[str, Callable[[Event, Event, RoleSettings], str]] = {
    "AssumeRoleWithSAML": _by_saml,
    "CreateSession": _by_certificate,
    "GetRoleCredentials": _by_person,
    "SwitchRole": _by_switcher,
}
TARGETS: Mapping[str, Callable[[Event], str]] = {
    "AssumeRoleWithSAML": _role_in_request,
    "AssumeRoot": _root,
    "CreateSession": _role_in_request,
    "GetRoleCredentials": _permission_set,
    "SwitchRole": _switched_to,
}
