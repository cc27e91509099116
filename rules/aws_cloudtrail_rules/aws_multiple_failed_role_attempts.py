from aws_role_activity_helpers import (
    attempt_target,
    bounded_fields,
    cloudtrail_context,
    is_expected,
    is_failed_role_attempt,
    principal_arn,
)
from aws_role_attempt_helpers import burst_context, burst_pattern
from aws_role_escalation_config import THRESHOLD


def rule(event):
    if not is_failed_role_attempt(event):
        return False
    principal = principal_arn(event)
    if principal is None or attempt_target(event) is None or is_expected(principal):
        return False
    return burst_pattern(event) != ""


def title(event):
    principal = principal_arn(event)
    return f"[{principal}] failed on {THRESHOLD} or more IAM roles by {event.get('eventName')}"


def alert_context(event):
    names = {"principal": principal_arn(event), "api": event.get("eventName")}
    return cloudtrail_context(event) | bounded_fields(names) | burst_context(event)
