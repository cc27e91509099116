"""Keeps the failed attempts and discovery calls of each principal, and decides which of them alert.

The state is in Panther's key-value store. `aws_role_activity_helpers` reads a single record.
"""

import re
from collections import Counter
from typing import Any, NamedTuple

import aws_role_escalation_config as config
from aws_role_activity_helpers import (
    attempt_target,
    error_name,
    event_epoch,
    is_open,
    is_quarantined,
    is_role,
    iso_time,
    principal_arn,
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

# Kinds of marks that are stored for a principal besides its attempts. A mark is the time of a call:
# a listing of roles, an attempt that alerted High or Critical on its own, or an attempt that was
# left to the correlation rules.
DISCOVERY, ALERTED, LEFT = "discovery", "alerted", "left"
MARKS = 3  # number of these kinds
MARK_BLOCK = 60 * 60  # seconds; the first and last mark of each kind in each hour are kept
MARK_SPACING = 60  # seconds; repeated or paged calls within this time are stored once

TARGET = re.compile(r"arn:([a-z0-9-]+):iam::([0-9]{12}):role/(.*/)?([^/]+)")
ORDINARY_PARTITION = "aws"
NO_ARN = "?"  # stored in place of a path if the call named the role without its ARN
LONG_PATH = ".../"  # stored in place of a path that is longer than MAX_PATH
MAX_PATH = 24  # characters, like the other limits; the store keeps few for each attempt
MAX_ERROR = 34
MAX_KEY = 512  # characters of the principal in a key of the store
MAX_TARGETS_SHOWN = 50

# Added to the stored error of an attempt that would succeed with a valid request (see `is_open`)
OPEN = " (open)"

# A search has at least THRESHOLD roles in one account, a fan-out has fewer in each. Attempts in
# other accounts cannot make a search look like a fan-out.
SEARCH = "many roles in one account"
FAN_OUT = "few roles in each of many accounts"
# A search with so many roles in one account that it alerts without discovery
LARGE_SEARCH = "very many roles in one account"

NO_ALERT = ""


class _Judged(NamedTuple):
    """The decision on the latest attempt, kept because every function of a rule asks for it."""

    attempt: Any
    pattern: str
    marks: list[Sighting]
    alert: str


_latest: list[_Judged] = []


def burst_pattern(event: Any) -> str:
    """Record a failed attempt and return the pattern of the burst that it belongs to.

    A burst is at least THRESHOLD distinct roles of one principal by one API within some window of
    event time that contains this attempt. The attempt that completes a burst or a search is always
    recognised, in whatever order attempts arrive. An attempt that only repeats what this process
    knows may be answered from memory, without a write to the store.

    Args:
        event: A failed attempt of a known principal on a known role.

    Returns:
        SEARCH, LARGE_SEARCH or FAN_OUT; "" if it belongs to none.

    Raises:
        botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: The key-value store did
            not answer; the attempt is not counted, and the rule fails visibly.
    """
    found = _judge(event)
    return found.pattern if found else ""


def own_alert(event: Any) -> str:
    """Return the severity with which an attempt alerts on its own, NO_ALERT if it does not.

    CRITICAL if AWS has restricted the caller because its key has leaked; HIGH for a search after
    discovery; MEDIUM for a person's fan-out after discovery; HIGH, or MEDIUM for a role, for a
    large search without discovery. A search that was left to the correlation rules because no
    discovery was known does not alert when discovery becomes known, so that no burst alerts High
    in both ways.

    Args:
        event: As for `burst_pattern`.

    Raises:
        botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: As for `burst_pattern`.
    """
    found = _judge(event)
    return found.alert if found else NO_ALERT


def known_severity(event: Any) -> str:
    """Return the severity that `own_alert` has just found; "DEFAULT" for any other event."""
    principal = principal_arn(event)
    judged = _known_judgement(event, principal) if principal else None
    return (judged.alert if judged else NO_ALERT) or "DEFAULT"


def burst_context(event: Any) -> dict[str, Any]:
    """Describe the burst that an attempt belongs to, from memory, without the store. Never raises.

    Args:
        event: The attempt that `burst_pattern` or `own_alert` was just called with.

    Returns:
        JSON-serialisable fields for `alert_context`. `distinctTargetsIsMinimum` is True if there
        may be more targets than the store has kept. `searchPrincipal` or `fanOutPrincipal`, which
        the correlation rules match on, is present if the attempt does not alert on its own and no
        attempt near it alerted High or Critical.
    """
    principal = principal_arn(event)
    attempt = _attempt(event, attempt_target(event))
    if attempt is None or principal is None:
        return {}
    window = config.WINDOW_MINUTES * 60
    seen = [*known(_attempts_key(event, principal)), attempt]
    burst = fullest_window(seen, attempt.time, window)
    keys = list(dict.fromkeys(sighting.value for sighting in burst))
    may_lack = may_lack_values(seen, burst, attempt.time, window, config.THRESHOLD)
    judged = _known_judgement(event, principal)
    pattern = judged.pattern if judged else ""
    context = {
        "distinctTargets": len(keys),
        "distinctTargetsIsMinimum": may_lack,
        "targets": _targets(burst),
        "targetAccounts": sorted({key.partition(":role/")[0] for key in keys}),
        "pattern": SEARCH if pattern == LARGE_SEARCH else pattern,
        "firstAttempt": iso_time(burst[0].time),
        "lastAttempt": iso_time(burst[-1].time),
        "errorCodes": _details(burst, 0),
        "mayAssume": _targets([s for s in burst if s.details and s.details[0].endswith(OPEN)]),
        "sourceIPAddresses": _details(burst, 2),
        "sessionNames": _details(burst, 3),
        "rolesBySourceIdentity": _roles_by_source_identity(burst),
    }
    if judged and judged.alert == NO_ALERT and not _near(judged.marks, attempt.time, ALERTED):
        context["fanOutPrincipal" if pattern == FAN_OUT else "searchPrincipal"] = principal
    marks = judged.marks if judged else []
    return context | _discovery_context(marks, burst[0].time)


def remember_discovery(event: Any, principal: str) -> None:
    """Store when a principal listed roles. Never raises: the rule matches even if this fails."""
    _remember(principal, event_epoch(event), DISCOVERY)


def has_alerted(event: Any, principal: str | None) -> bool:
    """Return whether attempts near a discovery alerted High or Critical. Never raises."""
    time = event_epoch(event)
    if time is None or principal is None:
        return False
    # `remember_discovery` has just read all marks into memory: the store need not be asked again.
    return bool(_near(known(_marks_key(principal)), time, ALERTED))


def discovery_times(event: Any) -> str:
    """Return when the principal of an event listed roles: ISO 8601 times separated by spaces.

    The times are one string because a unit test's `Mocks` can only return strings and booleans. The
    string is empty if no discovery is stored, the principal is unknown or the store does not
    answer. Never raises.
    """
    principal = principal_arn(event)
    judged = _known_judgement(event, principal) if principal else None
    marks = judged.marks if judged else _stored_marks(principal) if principal else []
    return " ".join(iso_time(mark.time) for mark in sorted(marks) if mark.value == DISCOVERY)


def _judge(event: Any) -> _Judged | None:
    """Record an attempt and return the decision on it; None if it is not part of a burst.

    The decision is kept in `_latest`: a second call for the same attempt records nothing.
    """
    principal, attempt = principal_arn(event), _attempt(event, attempt_target(event))
    if principal is None or attempt is None:
        return None
    if judged := _known_judgement(event, principal):
        return judged
    pattern = _pattern(event, principal, attempt)
    if not pattern:
        return None
    marks = _stored_marks(principal)
    alert = _alert(event, principal, pattern, marks, attempt.time)
    if alert in ("HIGH", "CRITICAL"):  # a Medium is not marked: a High may follow it
        _remember(principal, attempt.time, ALERTED)
    elif pattern != FAN_OUT and not _near(marks, attempt.time, ALERTED):
        _remember(principal, attempt.time, LEFT)
    _latest[:] = [_Judged(_identity(event, principal), pattern, marks, alert)]
    return _latest[0]


def _known_judgement(event: Any, principal: str) -> _Judged | None:
    judged = _latest[0] if _latest else None
    return judged if judged and judged.attempt == _identity(event, principal) else None


def _identity(event: Any, principal: str) -> tuple[Any, ...]:
    attempt = _attempt(event, attempt_target(event))
    return event.get("eventID"), event.get("eventName"), principal, attempt


def _pattern(event: Any, principal: str, attempt: Sighting) -> str:
    window, threshold = config.WINDOW_MINUTES * 60, config.THRESHOLD
    large = threshold * config.WITHOUT_DISCOVERY
    key = _attempts_key(event, principal)
    account = attempt.value.partition(":")[0]
    in_account = record(f"{key} {account}", attempt, window, large)
    seen = record(key, attempt, window, threshold)
    if _distinct(seen) < threshold:
        return ""  # so most attempts need no search for the fullest window
    if _distinct(fullest_window(seen, attempt.time, window)) < threshold:
        return ""
    roles = _distinct(fullest_window(in_account, attempt.time, window))
    return LARGE_SEARCH if roles >= large else SEARCH if roles >= threshold else FAN_OUT


def _alert(event: Any, principal: str, pattern: str, marks: list[Sighting], time: int) -> str:
    if is_quarantined(event):
        return "CRITICAL"
    if _near(marks, time, DISCOVERY):
        if pattern == FAN_OUT:
            return NO_ALERT if is_role(principal) else "MEDIUM"
        return NO_ALERT if _near(marks, time, LEFT) else "HIGH"
    if pattern != LARGE_SEARCH:
        return NO_ALERT
    return "MEDIUM" if is_role(principal) else "HIGH"


def _near(marks: list[Sighting], time: int, value: str) -> list[Sighting]:
    """Return the marks of one kind that are within a correlation rule's lookback of a time."""
    within = config.LOOKBACK_MINUTES * 60
    return [mark for mark in marks if mark.value == value and abs(mark.time - time) <= within]


def _distinct(sightings: list[Sighting]) -> int:
    return len({sighting.value for sighting in sightings})


def _remember(principal: str, time: int | None, value: str) -> None:
    if time is None:
        return
    try:
        record(_marks_key(principal), Sighting(time, value), MARK_BLOCK, MARKS, MARK_SPACING)
    except Exception:  # pylint: disable=broad-except
        return


def _stored_marks(principal: str) -> list[Sighting]:
    try:
        members = get_string_set(_marks_key(principal))
        return [sighting for sighting in map(parse, members) if sighting]
    except Exception:  # pylint: disable=broad-except
        return []


def _discovery_context(marks: list[Sighting], first_attempt: int) -> dict[str, Any]:
    # Discovery outside the lookback of the correlation rules is unrelated to a burst.
    times = sorted(mark.time for mark in _near(marks, first_attempt, DISCOVERY))
    before = [time for time in times if time <= first_attempt]
    return {
        "discoveryTimes": [iso_time(time) for time in times],
        "discoveryCameFirst": bool(before),
        "secondsFromDiscoveryToFirstAttempt": first_attempt - max(before) if before else None,
    }


def _attempt(event: Any, target: str | None) -> Sighting | None:
    time = event_epoch(event)
    if time is None or target is None:
        return None
    open_ = OPEN if is_open(event) else ""
    error = error_name(event)[: MAX_ERROR - len(open_)] + open_
    address = str(event.get("sourceIPAddress") or "")[:39]
    identity = event.deep_get("userIdentity", "sessionContext", "sourceIdentity")
    details = (error, _path(target), address, session_name(event) or "", str(identity or ""))
    return Sighting(time, shorten(role_key(target)), details)


def _path(target: str) -> str:
    """Return "partition:path" of a role's ARN, "" if both are ordinary, NO_ARN for a bare name."""
    arn = TARGET.fullmatch(target)
    if not arn:
        return NO_ARN
    partition, path = arn.group(1), arn.group(3) or ""
    if len(path) > MAX_PATH:
        path = LONG_PATH
    return f"{partition}:{path}" if path or partition != ORDINARY_PARTITION else ""


def _targets(burst: list[Sighting]) -> list[str]:
    """Return the roles of a burst, each once, in order of time.

    A role is an ARN if any of its attempts named one; otherwise it is the account and name.
    """
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


def _roles_by_source_identity(burst: list[Sighting]) -> dict[str, int]:
    """Count the roles of each source identity, to distinguish people who share a role."""
    pairs = {(s.details[4], s.value) for s in burst if len(s.details) > 4 and s.details[4]}
    counts = Counter(identity for identity, _ in pairs)
    return dict(counts.most_common(MAX_TARGETS_SHOWN))


def _attempts_key(event: Any, principal: str) -> str:
    return f"aws-role-attempts {event.get('eventName')} {shorten(principal, MAX_KEY)}"


def _marks_key(principal: str) -> str:
    return f"aws-role-discovery {shorten(principal, MAX_KEY)}"
