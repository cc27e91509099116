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
    # For the context of failed attempts that follow. Never raises: the signal does not depend on it
    remember_discovery(event, principal)
    return True


def title(event):
    return f"[{principal_arn(event)}] listed IAM roles by {event.get('eventName')}"


def alert_context(event):
    principal = principal_arn(event)
    # The correlation rules match on this. Attempts that alerted on their own need no pair.
    to_pair = None if has_alerted(event, principal) else principal
    names = {"principal": principal, "discoveryPrincipal": to_pair}
    return cloudtrail_context(event) | bounded_fields(names)
