from aws_role_activity_helpers import (
    bounded_fields,
    cloudtrail_context,
    is_failed_call,
    principal_arn,
)
from sidecar_filter_helpers import offline_filters

# Workloads and services take roles through AssumedRole and AWSService. These two are people.
PERSON_TYPES = ("IAMUser", "FederatedUser")

# The blocklist itself is in the YAML file beside this one, under InlineFilters: a Panther instance
# has applied it before rule() is called, and offline it is read from there.
is_blocklisted = offline_filters(__file__)


def rule(event):
    if event.get("eventName") != "AssumeRole" or is_failed_call(event):
        return False
    if event.deep_get("userIdentity", "type") not in PERSON_TYPES:
        return False
    return role_arn(event) != "" and is_blocklisted(event)


def title(event):
    role_name = role_arn(event).rsplit("/", 1)[-1]
    return f"[{person(event)}] assumed the blocklisted role [{role_name}] in [{account(event)}]"


def dedup(event):
    return f"{event.deep_get('userIdentity', 'arn')} {role_arn(event)}"


def alert_context(event):
    names = {
        "principal": principal_arn(event),
        "person": person(event),
        "roleArn": role_arn(event),
    }
    return cloudtrail_context(event) | bounded_fields(names)


def role_arn(event):
    arn = event.deep_get("requestParameters", "roleArn")
    return arn if isinstance(arn, str) else ""


def person(event):
    # A federated user has no userName: arn:aws:sts::123456789012:federated-user/alice
    arn = str(event.deep_get("userIdentity", "arn", default=""))
    return str(event.deep_get("userIdentity", "userName") or arn.rsplit("/", 1)[-1] or "unknown")


def account(event):
    # arn:aws:iam::123456789012:role/name
    parts = role_arn(event).split(":")
    return parts[4] if len(parts) > 4 else "unknown account"
