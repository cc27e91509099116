from aws_role_activity_helpers import bounded_fields

# The query has decided: each of its rows is a role that a principal got into.
FIELDS = (
    "principal",
    "role",
    "api",
    "event_time",
    "sourceIPAddress",
    "userAgent",
    "crossed_at",
    "distinct_targets",
    "failed_before",
    "first_failure",
    "seconds_after_first_failure",
)


def rule(event):
    return bool(event.get("principal") and event.get("role"))


def title(event):
    history = "that it had failed on" if event.get("failed_before") else "after failing on others"
    return f"[{event.get('principal')}] got into the role [{event.get('role')}] {history}"


def dedup(event):
    return f"{event.get('principal')} {event.get('role')}"


def alert_context(event):
    return bounded_fields({field: event.get(field) for field in FIELDS})
