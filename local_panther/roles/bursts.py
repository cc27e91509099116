"""Bursts: one principal fails on many distinct roles within one window."""

from collections import Counter, deque
from collections.abc import Iterable

from local_panther.roles.calls import FAILED, RoleCall
from local_panther.roles.settings import RoleSettings


def fullest_window(calls: Iterable[RoleCall], settings: RoleSettings) -> int:
    """Return the most distinct roles that a principal failed on, by one API in one window.

    If it is at least `settings.threshold`, it is a burst, and the streaming rule matches.

    Args:
        calls: Calls of one principal, in order of time.
        settings: Settings with the length of the window.
    """
    most = 0
    windows: dict[str, _Window] = {}
    for call in calls:
        if call.outcome in FAILED and call.role:
            window = windows.setdefault(call.api, _Window(settings.window))
            most = max(most, window.add(call))
    return most


class _Window:
    """A sliding window of failed attempts, which ends with the latest one."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._calls: deque[RoleCall] = deque()
        self._roles = Counter[str]()

    def add(self, call: RoleCall) -> int:
        """Add a call, and return the number of distinct roles in the window."""
        self._calls.append(call)
        self._roles[call.role] += 1
        # In whole seconds, as the rule compares event times
        while int(call.time) - int(self._calls[0].time) > self._length:
            oldest = self._calls.popleft().role
            self._roles[oldest] -= 1
            if not self._roles[oldest]:
                del self._roles[oldest]
        return len(self._roles)
