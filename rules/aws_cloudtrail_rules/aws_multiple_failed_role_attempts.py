from aws_role_activity_helpers import (
    attempt_target,
    bounded_fields,
    cloudtrail_context,
    is_expected,
    is_failed_role_attempt,
    principal_arn,
)
from aws_role_attempt_helpers import FAN_OUT, burst_context, discovery_times, is_burst
from aws_role_escalation_config import THRESHOLD, WINDOW_MINUTES


def rule(event):
    if not is_failed_role_attempt(event):
        return False
    principal, target = principal_arn(event), attempt_target(event)
    if principal is None or target is None or is_expected(principal):
        return False
    return is_burst(event, principal, target, WINDOW_MINUTES, THRESHOLD)


def title(event):
    principal = principal_arn(event)
    return f"[{principal}] failed on {THRESHOLD} or more IAM roles by {event.get('eventName')}"


def severity(event):
    burst = describe_burst(event)
    if burst.get("pattern") == FAN_OUT:
        return "LOW"  # automation, usually
    return "HIGH" if burst.get("discoveryCameFirst") else "DEFAULT"


def alert_context(event):
    names = {"principal": principal_arn(event), "api": event.get("eventName")}
    return cloudtrail_context(event) | bounded_fields(names) | describe_burst(event)


def describe_burst(event):
    principal = principal_arn(event)
    discovery = discovery_times(event, principal)
    return burst_context(event, principal, WINDOW_MINUTES, THRESHOLD, discovery)
