from aws_role_activity_helpers import bounded_fields, is_expected
from aws_role_attempt_helpers import FAN_OUT

# The query has decided: each of its rows is a burst of failed attempts whose principal got into
# roles. What it says of them:
FIELDS = (
    "principal",
    "successful_roles",
    "roles",
    "roles_failed_before",
    "failed_roles",
    "pattern",
    "apis",
    "first_attempt",
    "crossed_at",
    "last_attempt",
    "event_time",
    "eventID",
    "issued_access_keys",
    "session_names",
    "source_identities",
    "mfa",
    "sourceIPAddress",
    "userAgent",
    "awsRegion",
    "recipientAccountId",
)


def rule(event):
    principal = event.get("principal")
    if not isinstance(principal, str) or not event.get("roles"):
        return False
    return not is_expected(principal)


def title(event):
    got_into, failed_on = count(event, "successful_roles"), count(event, "failed_roles")
    roles = "1 role" if got_into == 1 else f"{got_into} roles"
    return f"[{event.get('principal')}] got into {roles} after failing on {failed_on}"


def severity(event):
    # A deployment fails on its new roles for seconds and then gets into them; organisation tools
    # fail in some of many accounts.
    most_succeed = 2 * count(event, "successful_roles") >= count(event, "failed_roles")
    return "MEDIUM" if most_succeed or event.get("pattern") == FAN_OUT else "DEFAULT"


def dedup(event):
    # By severity too: the alert of a deployment must not swallow that of a theft.
    return f"{event.get('principal')} {severity(event)}"


def alert_context(event):
    return bounded_fields({field: event.get(field) for field in FIELDS})


def count(event, field):
    value = event.get(field)
    return value if isinstance(value, int) else 0
