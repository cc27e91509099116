from aws_role_activity_helpers import (
    attempt_target,
    bounded_fields,
    cloudtrail_context,
    is_expected,
    is_failed_role_attempt,
    is_quarantined,
    principal_arn,
)
from aws_role_attempt_helpers import (
    NO_ALERT,
    burst_context,
    discovery_times,
    known_severity,
    own_alert,
)
from aws_role_escalation_config import THRESHOLD


def rule(event):
    if not is_failed_role_attempt(event):
        return False
    principal = principal_arn(event)
    if principal is None or attempt_target(event) is None or is_expected(principal):
        return False
    return own_alert(event) != NO_ALERT


def title(event):
    leaked = "LEAKED KEY: " if is_quarantined(event) else ""
    after = " after listing roles" if discovery_times(event) else ""
    what = f"failed on at least {THRESHOLD} IAM roles by {event.get('eventName')}{after}"
    return f"{leaked}[{principal_arn(event)}] {what}"


def severity(event):
    return known_severity(event)


def dedup(event):
    # The severity is part of it, so that a less urgent alert does not swallow a worse one.
    return f"{principal_arn(event)} {severity(event)}"


def alert_context(event):
    names = {"principal": principal_arn(event), "api": event.get("eventName")}
    return cloudtrail_context(event) | bounded_fields(names) | burst_context(event)
