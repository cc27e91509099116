"""What a principal did with roles around its alerts: tried, entered, and what it listed before."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from local_panther.roles.calls import DISCOVERY, FAILURE, SUCCESS, RoleCall
from local_panther.roles.log import may_lack_calls
from local_panther.roles.settings import RoleSettings

MIN_REACH = 3 * 3600  # seconds around the alerts in which calls can belong to them
LISTING_PAUSE = 60  # seconds between the pages of one listing
LEAD, LAG = 600, 3600  # seconds before and after a burst in which a success counts


def reach(settings: RoleSettings) -> int:
    """Return how many seconds around its alerts the calls of a burst can be."""
    return max(MIN_REACH, 2 * settings.window + LAG)


@dataclass(frozen=True)
class RoleFacts:
    """The calls of one principal that belong together.

    Attributes:
        attempts: Failed and successful ones on roles that are known, in order of time.
        discoveries: The calls that listed roles, in order of time.
        is_minimum: True if there were too many calls to look at all of them.
    """

    attempts: tuple[RoleCall, ...]
    discoveries: tuple[RoleCall, ...]
    is_minimum: bool = False

    @cached_property
    def tried(self) -> tuple[str, ...]:
        """The keys of the roles that were tried, in the order of their first attempt."""
        return tuple(dict.fromkeys(call.role for call in self.attempts))

    @cached_property
    def entered(self) -> tuple[RoleCall, ...]:
        """The first success on each role that was assumed or whose trust policy was changed."""
        first: dict[str, RoleCall] = {}
        for call in self.attempts:
            if call.outcome == SUCCESS:
                first.setdefault(call.role, call)
        return tuple(first.values())

    @property
    def first(self) -> float:
        """When the first attempt was made, and `last` the last one, in seconds since 1970."""
        return self.attempts[0].time

    @property
    def last(self) -> float:
        """When the last attempt was made."""
        return self.attempts[-1].time

    @property
    def listed(self) -> float | None:
        """Seconds from the last listing before the first attempt until it.

        Negative if there is only a later one; None if there is none at all.
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
        """All of them in order of time."""
        return sorted([*self.attempts, *self.discoveries])


def role_facts(
    calls: Sequence[RoleCall], first: float, last: float, settings: RoleSettings
) -> RoleFacts | None:
    """Return what belongs to the alerts of a principal; None if it tried no role.

    A burst of failed attempts belongs to them as a whole, however early it began: an alert starts
    when a threshold is crossed. It ends where a whole window passes without an attempt.

    Args:
        calls: Of the principal, not more than `reach` away from the alerts, in order of time.
        first: When the first event of the alerts happened, in seconds since 1970.
        last: When the last one happened.
        settings: Of the repository.
    """
    pause = settings.window
    begin, end = first, last
    failed = [call.time for call in calls if call.outcome == FAILURE and call.role]
    for time in reversed(failed):
        if begin - pause <= time < begin:
            begin = time
    for time in failed:
        if end < time <= end + pause:
            end = time
    has_burst = any(begin <= time <= end for time in failed)
    lead, lag = (LEAD, LAG) if has_burst else (0, 0)
    attempts = tuple(
        call
        for call in calls
        if call.role
        and (
            (call.outcome == FAILURE and begin <= call.time <= end)
            or (call.outcome == SUCCESS and begin - lead <= call.time <= end + lag)
        )
    )
    discoveries = tuple(call for call in calls if call.outcome == DISCOVERY)
    return RoleFacts(attempts, discoveries, may_lack_calls(calls)) if attempts else None
