"""Alerts for tests, and logs of role calls from records."""

from local_panther.alerts.model import Alert
from local_panther.correlation.signals import StepSignal
from local_panther.packed import pack
from local_panther.roles.log import RoleLog
from local_panther.times import parse_time
from tests.builders.events import ALICE, START
from tests.builders.signals import metadata


def alert(
    *events, who=ALICE, severity="HIGH", rule_id="Test.Rule", title="Something", first=START, **more
):
    """Return an alert about the given events, by default about one ordinary call."""
    if not events:
        where = {"sourceIPAddress": "203.0.113.10", "userAgent": "aws-cli/2.17.32 md/x"}
        events = ({"eventID": f"{rule_id}-{first}", "userIdentity": who, **where},)
    fields = {
        "metadata": metadata(rule_id),
        "severity": severity,
        "title": title,
        "dedup": title,
        "created_at": first + 60,
        "first": first,
        "last": first,
        "event_ids": {},
        "context": {},
        "event": events[0],
        "description": "",
        "runbook": "",
        "reference": "",
    }
    made = Alert(**fields | more)
    for event in events:
        made.add_event(StepSignal(first, {}, event.get("eventID", ""), pack([event, {}])))
    return made


def log_of(*records) -> RoleLog:
    """Return the log of role calls that a replay of records would have."""
    log = RoleLog()
    for record in records:
        log.add(record, parse_time(record["eventTime"]))
    return log
