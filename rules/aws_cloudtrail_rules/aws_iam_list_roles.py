from aws_role_activity_helpers import (
    bounded_fields,
    cloudtrail_context,
    is_expected,
    is_role_discovery,
    principal_arn,
)
from aws_role_attempt_helpers import has_alerted, remember_discovery


def rule(event):
    if not is_role_discovery(event):
        return False
    principal = principal_arn(event)
    if principal is None or is_expected(principal):
        return False
    # For the context of failed attempts that follow. Never fails: without it the signal is the same
    remember_discovery(event, principal)
    return True


def title(event):
    return f"[{principal_arn(event)}] listed IAM roles by {event.get('eventName')}"


def alert_context(event):
    principal = principal_arn(event)
    # What the correlation rules match on: attempts that have alerted by themselves need no pair.
    to_pair = None if has_alerted(event, principal) else principal
    names = {"principal": principal, "discoveryPrincipal": to_pair}
    return cloudtrail_context(event) | bounded_fields(names)
