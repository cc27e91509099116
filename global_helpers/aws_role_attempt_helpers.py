"""Remembers failed attempts on IAM roles and the discovery calls around them, by principal."""

import re
from typing import Any

import aws_role_escalation_config as config
from aws_role_activity_helpers import (
    attempt_target,
    error_name,
    event_epoch,
    is_failed_role_attempt,
    is_near_success,
    iso_time,
    role_key,
    session_name,
)
from distinct_window_helpers import (
    Sighting,
    fullest_window,
    known,
    may_lack_values,
    parse,
    record,
    shorten,
)
from panther_detection_helpers.caching import get_string_set

DISCOVERY = "discovery"
DISCOVERY_BLOCK = 60 * 60  # seconds; the first and last discovery of each hour are kept
DISCOVERY_SPACING = 60  # seconds; a paged or repeated call is stored once in this time

TARGET = re.compile(r"arn:([a-z0-9-]+):iam::([0-9]{12}):role/(.*/)?([^/]+)")
ORDINARY_PARTITION = "aws"
NO_ARN = "?"
LONG_PATH = ".../"
MAX_PATH = 24
MAX_ERROR = 34
MAX_KEY = 512
MAX_TARGETS_SHOWN = 50

# Stored as the error of an attempt that would succeed with a shorter session
MAY_ASSUME = "ValidationError (session too long)"

# Automation tries one role name, or a few, in every account of an organisation; a search for a way
# in tries what it has found in one account.
FAN_OUT = "few role names in many accounts"

# severity() and alert_context() ask for the same event: the second gets the answer of the first.
_discovery_of_this_event: dict[str, str] = {}


def is_burst(event: Any, principal: str, target: str, window_minutes: int, threshold: int) -> bool:
    """Record a failed attempt and return whether it belongs to a burst.

    A burst is at least `threshold` distinct roles of one principal by one API within some window
    of event time that contains this attempt. The attempt that completes a burst is always True,
    whichever arrives last; one that only repeats what this process knows may be answered from
    memory, and be False for a burst that another process has seen.

    Args:
        event: A failed attempt.
        principal: Who made it, from `principal_arn`.
        target: The role, from `attempt_target`.
        window_minutes: Length of the window, both ends inclusive.
        threshold: The number of distinct roles that makes a burst.

    Raises:
        botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: The key-value store did
            not answer; the attempt is not counted, and the rule error shows it.
    """
    _discovery_of_this_event.clear()
    attempt = _attempt(event, target)
    if attempt is None:
        return False
    window = window_minutes * 60
    seen = record(_attempts_key(event, principal), attempt, window, threshold)
    if len({sighting.value for sighting in seen}) < threshold:
        return False  # most attempts: no window has more
    burst = fullest_window(seen, attempt.time, window)
    return len({sighting.value for sighting in burst}) >= threshold


def burst_context(
    event: Any, principal: str | None, window_minutes: int, threshold: int, discovery: str
) -> dict[str, Any]:
    """Describe the burst that an attempt belongs to, from what `is_burst` got back. Never raises.

    Args:
        event: The attempt that `is_burst` was just called with.
        principal: As for `is_burst`.
        window_minutes: As for `is_burst`.
        threshold: As for `is_burst`.
        discovery: The principal's discovery calls, from `discovery_times`.

    Returns:
        JSON-serialisable fields for `alert_context`. `distinctTargetsIsMinimum` is True if there
        may be more targets than the store has kept.
    """
    attempt = _attempt(event, attempt_target(event))
    if attempt is None or principal is None:
        return {}
    window = window_minutes * 60
    seen = [*known(_attempts_key(event, principal)), attempt]
    burst = fullest_window(seen, attempt.time, window)
    keys = list(dict.fromkeys(sighting.value for sighting in burst))
    names, accounts = _names_and_accounts(keys)
    pattern = _pattern(len(names), len(accounts))
    return {
        "searchPrincipal" if pattern != FAN_OUT else "fanOutPrincipal": principal,
        "distinctTargets": len(keys),
        "distinctTargetsIsMinimum": may_lack_values(seen, burst, attempt.time, window, threshold),
        "targets": _targets(burst),
        "targetAccounts": accounts,
        "pattern": pattern,
        "firstAttempt": iso_time(burst[0].time),
        "lastAttempt": iso_time(burst[-1].time),
        "errorCodes": _details(burst, 0),
        "mayAssume": _targets([s for s in burst if s.details[:1] == (MAY_ASSUME,)]),
        "sourceIPAddresses": _details(burst, 2),
        "sessionNames": _details(burst, 3),
    } | _discovery_context(discovery, burst[0].time)


def remember_discovery(event: Any, principal: str) -> None:
    """Store when a principal listed roles. Never raises: only alert contexts need it."""
    time = event_epoch(event)
    if time is None:
        return
    sighting = Sighting(time, DISCOVERY)
    try:
        record(_discovery_key(principal), sighting, DISCOVERY_BLOCK, 1, DISCOVERY_SPACING)
    except Exception:  # pylint: disable=broad-except
        return


def discovery_times(event: Any, principal: str | None) -> str:
    """Return when the principal of an attempt listed roles: ISO 8601 times, spaces between.

    One string, because a unit test's `Mocks` can only return strings and booleans. Empty if nothing
    is known, the event is no attempt or the store does not answer; never raises.
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


def _discovery_context(discovery: str, first_attempt: int) -> dict[str, Any]:
    # Discovery further away than the correlation rule looks back has nothing to do with a burst.
    within = config.LOOKBACK_MINUTES * 60
    times = [event_epoch({"eventTime": text}) for text in discovery.split()]
    near = [time for time in times if time and abs(time - first_attempt) <= within]
    before = [time for time in near if time <= first_attempt]
    return {
        "discoveryTimes": [iso_time(time) for time in near],
        "discoveryCameFirst": bool(before),
        "secondsFromDiscoveryToFirstAttempt": first_attempt - max(before) if before else None,
    }


def _names_and_accounts(keys: list[str]) -> tuple[set[str], list[str]]:
    parts = [key.partition(":role/") for key in keys]
    return {name for _, _, name in parts}, sorted({account for account, _, _ in parts})


def _pattern(names: int, accounts: int) -> str:
    if accounts >= config.ACCOUNTS_PER_NAME * names or accounts > config.FEW_NAMES >= names:
        return FAN_OUT
    return f"many roles in {'one account' if accounts <= 1 else 'several accounts'}"


def _attempt(event: Any, target: str | None) -> Sighting | None:
    time = event_epoch(event)
    if time is None or target is None:
        return None
    error = MAY_ASSUME if is_near_success(event) else error_name(event)
    address = str(event.get("sourceIPAddress") or "")[:39]
    details = (error[:MAX_ERROR], _path(target), address, session_name(event) or "")
    return Sighting(time, shorten(role_key(target)), details)


def _path(target: str) -> str:
    """Return what an ARN says beyond the role's key, or "" for an ordinary one."""
    arn = TARGET.fullmatch(target)
    if not arn:
        return NO_ARN
    partition, path = arn.group(1), arn.group(3) or ""
    if len(path) > MAX_PATH:
        path = LONG_PATH
    return f"{partition}:{path}" if path or partition != ORDINARY_PARTITION else ""


def _targets(burst: list[Sighting]) -> list[str]:
    """Return the roles of a burst as the attempts named them, each once, in order of time."""
    shown: dict[str, str] = {}
    for sighting in burst:
        path = sighting.details[1] if len(sighting.details) > 1 else ""
        account, _, name = sighting.value.partition(":role/")
        if path == NO_ARN:
            shown.setdefault(sighting.value, sighting.value)
        elif shown.get(sighting.value, sighting.value) == sighting.value:
            partition, _, path = path.partition(":")
            partition = partition or ORDINARY_PARTITION
            shown[sighting.value] = f"arn:{partition}:iam::{account}:role/{path}{name}"
    return list(shown.values())[:MAX_TARGETS_SHOWN]


def _details(burst: list[Sighting], index: int) -> list[str]:
    found = {sighting.details[index] for sighting in burst if len(sighting.details) > index}
    return sorted(found - {""})[:MAX_TARGETS_SHOWN]


def _attempts_key(event: Any, principal: str) -> str:
    return f"aws-role-attempts {event.get('eventName')} {shorten(principal, MAX_KEY)}"


def _discovery_key(principal: str) -> str:
    return f"aws-role-discovery {shorten(principal, MAX_KEY)}"
