"""Facts about a principal and roles around its alerts: what it listed, tried and entered."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from local_panther.roles.calls import (
    DISCOVERY,
    FAILED,
    FAILURE,
    OPEN,
    SUCCESS,
    UPDATE_TRUST_POLICY,
    RoleCall,
)
from local_panther.roles.log import RoleLog, may_lack_calls
from local_panther.roles.settings import RoleSettings
from local_panther.text import most_frequent

MIN_REACH = 3 * 3600  # seconds before and after the alerts in which calls can belong to them
LISTING_PAUSE = 60  # seconds between the pages of one listing


@dataclass(frozen=True)
class RoleFacts:
    """The calls of one principal that belong to its alerts.

    Attributes:
        attempts: Attempts on known roles, in order of time; successes that are habits are left out.
        discoveries: Calls that listed roles, in order of time.
        habits: Keys of the roles that it entered in this time, and also in the hours before.
        is_minimum: True if there were too many calls to look at all of them.
        is_fan_out: True if a few roles were tried in each of many accounts, which tools of an
            organisation do.
    """

    attempts: tuple[RoleCall, ...]
    discoveries: tuple[RoleCall, ...]
    habits: tuple[str, ...] = ()
    is_minimum: bool = False
    is_fan_out: bool = False

    @cached_property
    def tried(self) -> tuple[str, ...]:
        """Keys of the roles that were tried, in the order of their first attempt."""
        return tuple(dict.fromkeys(call.role for call in self.attempts))

    @cached_property
    def entered(self) -> tuple[RoleCall, ...]:
        """First success on each role that was assumed or whose trust policy was changed."""
        first: dict[str, RoleCall] = {}
        for call in self.attempts:
            if call.outcome == SUCCESS:
                first.setdefault(call.role, call)
        return tuple(first.values())

    @cached_property
    def assumed(self) -> frozenset[str]:
        """Keys of the roles that it assumed."""
        return frozenset(
            call.role
            for call in self.attempts
            if call.outcome == SUCCESS and call.api != UPDATE_TRUST_POLICY
        )

    @cached_property
    def changed(self) -> tuple[str, ...]:
        """Keys of the roles whose trust policy it changed, in order of time."""
        calls = (call for call in self.attempts if call.api == UPDATE_TRUST_POLICY)
        return tuple(dict.fromkeys(call.role for call in calls if call.outcome == SUCCESS))

    @cached_property
    def denied_apis(self) -> tuple[str, ...]:
        """APIs of the failed attempts, most frequent first."""
        return most_frequent(call.api for call in self.attempts if call.outcome in FAILED)

    @cached_property
    def open(self) -> tuple[RoleCall, ...]:
        """First OPEN call on each role that was not entered: a valid request would succeed."""
        first: dict[str, RoleCall] = {}
        for call in self.attempts:
            if call.outcome == OPEN:
                first.setdefault(call.role, call)
        entered = {call.role for call in self.entered}
        return tuple(call for call in first.values() if call.role not in entered)

    @cached_property
    def policies(self) -> tuple[str, ...]:
        """ARNs of the policies that denied attempts, most frequent first."""
        return most_frequent(call.policy for call in self.attempts)

    @cached_property
    def source_identities(self) -> tuple[str, ...]:
        """Source identities of failed attempts, those with the most roles first."""
        pairs = {(c.source_identity, c.role) for c in self.attempts if c.outcome != SUCCESS}
        return most_frequent(identity for identity, _ in pairs)

    @cached_property
    def issued_keys(self) -> tuple[str, ...]:
        """Access keys of the issued sessions, in order of time."""
        return tuple(dict.fromkeys(call.issued_key for call in self.attempts if call.issued_key))

    @property
    def first(self) -> float:
        """Time of the first attempt, in seconds since 1970."""
        return self.attempts[0].time

    @property
    def last(self) -> float:
        """Time of the last attempt, in seconds since 1970."""
        return self.attempts[-1].time

    @property
    def listed(self) -> float | None:
        """Seconds from the last listing of roles before the first attempt to that attempt.

        Negative if roles were listed only later; None if they were not listed.
        """
        times = [call.time for call in self.discoveries]
        listings = [
            time for i, time in enumerate(times) if not i or time - times[i - 1] > LISTING_PAUSE
        ]
        before = [time for time in listings if time <= self.first]
        listed = max(before, default=min(listings, default=None))
        return None if listed is None else self.first - listed

    @property
    def calls(self) -> list[RoleCall]:
        """All attempts and discoveries in order of time."""
        return sorted([*self.attempts, *self.discoveries])


def role_facts(log: RoleLog, principal: str, first: float, last: float) -> RoleFacts | None:
    """Return the calls that belong to the alerts of a principal; None if it tried no role.

    A whole burst of failed attempts belongs to the alerts, although an alert starts only when the
    threshold is crossed. The burst ends when a whole window passes without a failed attempt.
    Successes on roles that had failed are looked up until the end of the log.

    Args:
        log: All calls about roles that were read.
        principal: Principal of the alerts.
        first: Time of the first event of the alerts, in seconds since 1970.
        last: Time of the last event of the alerts.
    """
    settings = log.settings
    reach = max(MIN_REACH, 2 * settings.window + settings.success_seconds)
    calls = log.of(principal, first - reach, last + reach)
    failed = [call for call in calls if call.outcome in FAILED and call.role]
    begin, end = _burst([call.time for call in failed], first, last, settings)
    failed = [call for call in failed if begin <= call.time <= end]
    discoveries = tuple(call for call in calls if call.outcome == DISCOVERY)
    succeeded = [call for call in calls if call.outcome == SUCCESS and call.role]
    habits: set[str] = set()
    if failed:
        successes = log.successes(principal, begin - settings.history_seconds)
        start = _success_from(begin, discoveries, settings)
        before = (call for call in successes if call.time < start)
        known = {_habit(call) for call in before}
        counted = list(_counted(successes, failed, start, end + settings.success_seconds))
        habits = {call.role for call in counted if _habit(call) in known}
        succeeded = [call for call in counted if _habit(call) not in known]
    else:
        succeeded = [call for call in succeeded if begin <= call.time <= end]
    attempts = tuple(sorted([*failed, *succeeded]))
    if not attempts:
        return None
    is_minimum = may_lack_calls(calls)
    is_fan_out = _is_fan_out({call.role for call in failed}, settings)
    return RoleFacts(attempts, discoveries, tuple(sorted(habits)), is_minimum, is_fan_out)


def _burst(
    times: Sequence[float], first: float, last: float, settings: RoleSettings
) -> tuple[float, float]:
    """Return the first and last time of a burst that belongs to alerts."""
    begin, end = first, last
    for time in reversed(times):
        if begin - settings.window <= time < begin:
            begin = time
    for time in times:
        if end < time <= end + settings.window:
            end = time
    return begin, end


def _success_from(begin: float, discoveries: Iterable[RoleCall], settings: RoleSettings) -> float:
    """Return the earliest time at which a success belongs to a burst that begins at `begin`."""
    listed = [call.time for call in discoveries if call.time <= begin]
    near = [time for time in listed if time >= begin - settings.success_seconds]
    return min([begin - settings.lead_seconds, *near])


def _counted(
    successes: Iterable[RoleCall], failed: Iterable[RoleCall], start: float, end: float
) -> Iterator[RoleCall]:
    """Yield the successes around a burst, and later ones on roles that had failed before."""
    first_failure: dict[str, float] = {}
    for call in failed:
        first_failure.setdefault(call.role, call.time)
    for call in successes:
        had_failed = call.role in first_failure and first_failure[call.role] <= call.time
        if call.role and call.time >= start and (call.time <= end or had_failed):
            yield call


def _is_fan_out(roles: Collection[str], settings: RoleSettings) -> bool:
    """Return whether roles reach the threshold together, but not in any single account."""
    by_account = Counter(role.partition(":")[0] for role in roles)
    return len(roles) >= settings.threshold > max(by_account.values())


def _habit(call: RoleCall) -> str:
    """Return what makes a success a habit: the role, or the API for changes of trust policies."""
    return call.api if call.api == UPDATE_TRUST_POLICY else call.role


def refused(facts: RoleFacts) -> int:
    """Return the number of roles that refused every attempt."""
    others = {call.role for call in (*facts.entered, *facts.open)}
    found = {call.role for call in facts.attempts if call.outcome == FAILURE}
    return len(found - others)
