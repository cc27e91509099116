"""Remembers failed attempts on IAM roles and the ListRoles calls around them, by principal."""

import re
from typing import Any

from aws_role_activity_helpers import (
    ASSUME_ROLE,
    LIST_ROLES,
    attempt_target,
    error_name,
    event_epoch,
    is_failed_role_attempt,
    iso_time,
    session_name,
)
from distinct_window_helpers import Sighting, fullest_window, known, parse, record, shorten
from panther_detection_helpers.caching import get_string_set

DISCOVERY_BLOCK = 60 * 60  # seconds; the first and last ListRoles of each hour are kept
DISCOVERY_SPACING = 60  # seconds; a paged or repeated ListRoles is stored once in this time
# Discovery further away than the lookback of the correlation rule has nothing to do with a burst.
DISCOVERY_WITHIN = 90 * 60

COMMON_PREFIX = "arn:aws:iam::"  # left out of what is stored
TARGET_ACCOUNT = re.compile(r"(?:^|::)([0-9]{12}):role/")
MAX_KEY = 512
MAX_TARGETS_SHOWN = 50

# Automation tries one role, or a few, in every account of an organisation; a search for a way in
# tries what it has found in one account.
ACCOUNTS_PER_NAME = 5
FAN_OUT = "few role names in many accounts"

# severity() and alert_context() ask for the same event: the second gets the answer of the first.
_discovery_of_this_event: dict[str, str] = {}


def is_burst(event: Any, principal: str, window_minutes: int, threshold: int) -> bool:
    """Record a failed attempt and tell whether it belongs to a burst.

    A burst is at least `threshold` distinct targets of one principal by one API within some window
    of event time that holds this attempt. The attempt that completes a burst always says True,
    whichever arrives last; one that only repeats what this process knows may be answered from
    memory and say False for a burst that another process has seen.

    Args:
        event: A failed attempt with a target.
        principal: Who made it, from `principal_arn`.
        window_minutes: Length of the window, both ends inclusive.
        threshold: The number of distinct targets that makes a burst.

    Raises:
        botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: The key-value store did
            not answer; the attempt is not counted, and the rule error shows it.
    """
    _discovery_of_this_event.clear()
    attempt = _attempt(event)
    if attempt is None:
        return False
    window = window_minutes * 60
    seen = record(_attempts_key(event, principal), attempt, window, threshold)
    burst = fullest_window(seen, attempt.time, window)
    return len({sighting.value for sighting in burst}) >= threshold


def burst_context(event: Any, principal: str | None, window_minutes: int, discovery: str) -> dict:
    """Describe the burst that an attempt belongs to, from what `is_burst` got back. Never raises.

    Args:
        event: The attempt that `is_burst` was just called with.
        principal: As for `is_burst`.
        window_minutes: As for `is_burst`.
        discovery: The principal's ListRoles calls, from `discovery_times`.

    Returns:
        JSON-serialisable fields for `alert_context`. `distinctTargets` is exact up to some 30
        targets an hour and says "at least" beyond, because the store keeps no more.
    """
    attempt = _attempt(event)
    if attempt is None or principal is None:
        return {}
    seen = [*known(_attempts_key(event, principal)), attempt]
    burst = fullest_window(seen, attempt.time, window_minutes * 60)
    targets = list(dict.fromkeys(_target(event, sighting.value) for sighting in burst))
    found = (TARGET_ACCOUNT.search(target) for target in targets)
    accounts = sorted({account.group(1) for account in found if account})
    return {
        "distinctTargets": len(targets),
        "targets": targets[:MAX_TARGETS_SHOWN],
        "targetAccounts": accounts,
        "pattern": _pattern(targets, accounts),
        "firstAttempt": iso_time(burst[0].time),
        "lastAttempt": iso_time(burst[-1].time),
        "errorCodes": _details(burst, 0),
        "sourceIPAddresses": _details(burst, 1),
        "sessionNames": _details(burst, 2),
    } | _discovery_context(discovery, burst[0].time)


def remember_discovery(event: Any, principal: str) -> None:
    """Store when a principal called ListRoles. Never raises: only alert contexts need it."""
    time = event_epoch(event)
    if time is None:
        return
    sighting = Sighting(time, LIST_ROLES)
    try:
        record(_discovery_key(principal), sighting, DISCOVERY_BLOCK, 1, DISCOVERY_SPACING)
    except Exception:  # pylint: disable=broad-except
        return


def discovery_times(event: Any, principal: str | None) -> str:
    """Return when the principal of an attempt called ListRoles: ISO 8601 times, spaces between.

    One string, so that a unit test's `Mocks` can stand in for the key-value store. Empty where
    nothing is known, the event is no attempt or the store does not answer; never raises.
    """
    if principal is None or not is_failed_role_attempt(event):
        return ""
    if principal not in _discovery_of_this_event:
        _discovery_of_this_event[principal] = _stored_discovery_times(principal)
    return _discovery_of_this_event[principal]


def _stored_discovery_times(principal: str) -> str:
    try:
        members = get_string_set(_discovery_key(principal))
        sightings = [sighting for sighting in map(parse, members) if sighting]
    except Exception:  # pylint: disable=broad-except
        return ""
    return " ".join(iso_time(sighting.time) for sighting in sorted(sightings))


def _discovery_context(discovery: str, first_attempt: int) -> dict:
    times = [event_epoch({"eventTime": text}) for text in discovery.split()]
    near = [time for time in times if time and abs(time - first_attempt) <= DISCOVERY_WITHIN]
    before = [time for time in near if time <= first_attempt]
    return {
        "discoveryTimes": [iso_time(time) for time in near],
        "discoveryCameFirst": bool(before),
        "secondsFromDiscoveryToFirstAttempt": first_attempt - max(before) if before else None,
    }


def _pattern(targets: list[str], accounts: list[str]) -> str:
    names = {target.rsplit("/", 1)[-1] for target in targets}
    if len(accounts) >= ACCOUNTS_PER_NAME * len(names):
        return FAN_OUT
    return f"many roles in {'one account' if len(accounts) <= 1 else 'several accounts'}"


def _attempt(event: Any) -> Sighting | None:
    time, target = event_epoch(event), attempt_target(event)
    if time is None or target is None:
        return None
    address = event.get("sourceIPAddress")
    details = (error_name(event), str(address or "")[:39], session_name(event) or "")
    return Sighting(time, shorten(target.removeprefix(COMMON_PREFIX)), details)


def _target(event: Any, value: str) -> str:
    is_shortened = event.get("eventName") == ASSUME_ROLE and value[:12].isdecimal()
    return COMMON_PREFIX + value if is_shortened else value


def _details(burst: list[Sighting], index: int) -> list[str]:
    found = {sighting.details[index] for sighting in burst if len(sighting.details) > index}
    return sorted(found - {""})[:MAX_TARGETS_SHOWN]


def _attempts_key(event: Any, principal: str) -> str:
    return f"aws-role-attempts {event.get('eventName')} {shorten(principal, MAX_KEY)}"


def _discovery_key(principal: str) -> str:
    return f"aws-role-discovery {shorten(principal, MAX_KEY)}"
