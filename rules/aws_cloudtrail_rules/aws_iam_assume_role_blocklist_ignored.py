from aws_role_activity_helpers import (
    bounded_fields,
    cloudtrail_context,
    is_failed_call,
    is_identity_center,
    principal_arn,
    session_name,
)
from sidecar_filter_helpers import offline_filters

# Who counts as a person. Workloads and services call as AssumedRole and AWSService, which are not
# here. Remove the # before a type to include it:
PERSON_TYPES = (
    "IAMUser",
    "FederatedUser",
    # "IdentityCenterSession",  # people of IAM Identity Center who chain into the role
    # "SAMLUser",  # people who sign in directly to the role (AssumeRoleWithSAML)
    # "WebIdentityUser",  # the same with OpenID Connect, and workloads such as IRSA and CI jobs
    # "OtherAccountUser",  # users of other accounts: the role's account gets a copy of the record.
    #   If the record in the user's account is here as well, both raise one alert
)

# All known types, and the call with which each of them assumes a role
CALLS = {
    "IAMUser": "AssumeRole",
    "FederatedUser": "AssumeRole",
    "IdentityCenterSession": "AssumeRole",
    "SAMLUser": "AssumeRoleWithSAML",
    "WebIdentityUser": "AssumeRoleWithWebIdentity",
    "OtherAccountUser": "AssumeRole",
}

# The blocklist itself is in the YAML file beside this one, under InlineFilters. A Panther instance
# applies these filters before it calls rule(), and is_blocklisted passes every event; offline,
# is_blocklisted applies them.
is_blocklisted = offline_filters(__file__)


def rule(event):
    if is_failed_call(event):
        return False
    kind = caller_type(event)
    if kind not in person_types() or event.get("eventName") != CALLS.get(kind):
        return False
    return role_arn(event) != "" and is_blocklisted(event)


def title(event):
    who, role_name = person(event), role_arn(event).rsplit("/", 1)[-1]
    if caller_type(event) == "OtherAccountUser":  # `who` is an ID of that account
        who += f" of account {event.deep_get('userIdentity', 'accountId')}"
    return f"[{who}] assumed the blocklisted role [{role_name}] in [{account(event)}]"


def dedup(event):
    # A cross-account call is recorded in both accounts, and only the copy in the caller's account
    # has the caller's ARN. The user's unique ID is in both copies:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    user_id = principal_id(event) if is_user_id(principal_id(event)) else None
    return f"{user_id or principal_arn(event) or person(event)} {role_arn(event)}"


def alert_context(event):
    names = {
        "principal": principal_arn(event) or person(event),
        "person": person(event),
        "roleArn": role_arn(event),
        "roleSessionName": event.deep_get("requestParameters", "roleSessionName"),
        "issuedAccessKeyId": event.deep_get("responseElements", "credentials", "accessKeyId"),
    }
    return cloudtrail_context(event) | bounded_fields(names)


# A function, because unit tests can mock a function but not a constant
def person_types():
    return PERSON_TYPES


def check_person_types():
    # A misspelt type would match nobody, and nobody would notice
    if not isinstance(PERSON_TYPES, (tuple, list, set)) or not PERSON_TYPES:
        raise ValueError(f'PERSON_TYPES is {PERSON_TYPES!r}; write it as ("IAMUser",)')
    known = tuple(CALLS)
    unknown = [kind for kind in PERSON_TYPES if kind not in known]
    if unknown:
        named, known = ", ".join(map(repr, unknown)), ", ".join(CALLS)
        raise ValueError(f"PERSON_TYPES: unknown {named}; known are {known}")


def caller_type(event):
    kind = event.deep_get("userIdentity", "type")
    if kind == "AssumedRole" and is_identity_center(event):
        return "IdentityCenterSession"
    if kind == "AWSAccount" and is_user_id(principal_id(event)):
        return "OtherAccountUser"
    return kind if isinstance(kind, str) else ""


def role_arn(event):
    arn = event.deep_get("requestParameters", "roleArn")
    return arn if isinstance(arn, str) else ""


def person(event):
    # A federated user has no userName: arn:aws:sts::123456789012:federated-user/alice
    arn = str(event.deep_get("userIdentity", "arn", default=""))
    name = event.deep_get("userIdentity", "userName") or session_name(event)
    return str(name or arn.rsplit("/", 1)[-1] or principal_id(event) or "unknown")


def principal_id(event):
    return str(event.deep_get("userIdentity", "principalId", default=""))


def is_user_id(unique_id):
    # IDs of users begin with AIDA, those of roles with AROA
    return unique_id.startswith("AIDA")


def account(event):
    # arn:aws:iam::123456789012:role/name
    parts = role_arn(event).split(":")
    return parts[4] if len(parts) > 4 else "unknown account"


check_person_types()
