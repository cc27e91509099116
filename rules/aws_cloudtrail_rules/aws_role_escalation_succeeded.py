from aws_role_activity_helpers import bounded_fields, how_to_stop, is_expected
from aws_role_attempt_helpers import FAN_OUT
from aws_role_escalation_config import FEW_NAMES

# The query has decided: each of its rows is a burst of failed attempts whose principal got into
# roles that it does not routinely get into. The columns of a row:
FIELDS = (
    "principal",
    "successful_roles",
    "roles",
    "roles_failed_before",
    "roles_reopened",
    "failed_roles",
    "most_roles_in_account",
    "pattern",
    "apis",
    "discovery_at",
    "first_attempt",
    "crossed_at",
    "last_attempt",
    "event_time",
    "last_success",
    "eventID",
    "access_keys",
    "caller_type",
    "issued_access_keys",
    "session_names",
    "source_identities",
    "mfa",
    "sourceIPAddress",
    "userAgent",
    "awsRegion",
    "recipientAccountId",
)

# A Medium alert looks like a deployment or an organisation's tool, so its first step is a question.
ASK = (
    'Does it do the same every day? Run "AWS Role Successes After Failures" (24 hours) and '
    '"AWS History of a Principal" (30 days), and ask its owner. Continue if nobody explains it.'
)
ASK_THE_OWNERS = (
    'Run "AWS Role Successes After Failures" (24 hours). Treat each role as compromised until its '
    'owner confirms the use. "AWS History of a Principal" (30 days) shows what is routine.'
)
CONTAIN = (
    "{stop}. Put the trust policies back that it changed "
    '("AWS IAM Changes on a Role", 7 days). Then revoke the sessions of every role in roles.'
)
CLEAN_UP = (
    'Run "AWS Role Session Activity" (12 hours) for each of issued_access_keys, and "AWS Activity '
    'From an Address" (3 hours). Rotate every secret that was read. Remove everything that was '
    "created."
)


def rule(event):
    principal = event.get("principal")
    if not isinstance(principal, str) or not event.get("roles"):
        return False
    return not is_expected(principal)


def title(event):
    got_into, failed_on = count(event, "successful_roles"), count(event, "failed_roles")
    roles = "1 role" if got_into == 1 else f"{got_into} roles"
    # Later runs may see more roles, but an alert keeps the title of the first run.
    return f"[{event.get('principal')}] got into at least {roles} after failing on {failed_on}"


def severity(event):
    return "MEDIUM" if is_deployment(event) or is_fan_out(event) else "DEFAULT"


def runbook(event):
    contain = CONTAIN.format(stop=how_to_stop(event.get("principal")))
    if severity(event) == "MEDIUM":
        steps = (ASK, contain, CLEAN_UP)
    else:  # contain first, within 15 minutes, then ask
        steps = (contain, ASK_THE_OWNERS, CLEAN_UP)
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))


def dedup(event):
    # The severity is part of it, so that a deployment's alert does not swallow that of a theft. A
    # second theft by the same principal is a new alert, and so is each hour of one that continues.
    hour = str(event.get("last_attempt"))[:13] if severity(event) == "DEFAULT" else ""
    return f"{event.get('principal')} {severity(event)} {hour}".strip()


def is_deployment(event):
    # The principal did not list roles, and each role had refused and then opened within minutes, as
    # new roles do. A single role that opened in any other way keeps the alert urgent.
    reopened = 0 < count(event, "successful_roles") <= count(event, "roles_reopened")
    return reopened and not event.get("discovery_at")


def is_fan_out(event):
    # An organisation's tools try a few roles in each of many accounts, and some accounts refuse.
    few_in_each = count(event, "most_roles_in_account") <= FEW_NAMES
    return event.get("pattern") == FAN_OUT and few_in_each


def alert_context(event):
    return bounded_fields({field: event.get(field) for field in FIELDS})


def count(event, field):
    value = event.get(field)
    return value if isinstance(value, int) else 0
