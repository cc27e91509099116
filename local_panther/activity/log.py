"""All calls about roles that were read, by principal."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from local_panther.activity.principals import role_of_session
from local_panther.activity.role_calls import RoleCall, role_call

MAX_CALLS = 20_000  # of one principal; of more than this the latest are kept


class RoleLog:
    """The calls about roles of every principal.

    Attributes:
        left_out: Number of calls that were not kept, by principal.
    """

    def __init__(self) -> None:
        """Start with no calls."""
        self._calls: dict[str, deque[RoleCall]] = {}
        self._is_sorted: set[str] = set()
        self.left_out: dict[str, int] = {}

    def add(self, event: Mapping[str, Any], time: float) -> None:
        """Take a record of any kind.

        Args:
            event: The record.
            time: When it happened, in seconds since 1970.
        """
        call = role_call(event, time)
        if call is None:
            return
        calls = self._calls.setdefault(call.principal, deque(maxlen=MAX_CALLS))
        if len(calls) == MAX_CALLS:
            self.left_out[call.principal] = self.left_out.get(call.principal, 0) + 1
        if calls and calls[-1].time > call.time:
            self._is_sorted.discard(call.principal)
        elif not calls:
            self._is_sorted.add(call.principal)
        calls.append(call)

    def __contains__(self, principal: object) -> bool:
        """Return whether a principal made any call about roles."""
        if not isinstance(principal, str) or principal in self._calls:
            return isinstance(principal, str)
        sessions = self._calls.get(role_of_session(principal), ())
        return any(call.caller == principal for call in sessions)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the principals."""
        return iter(self._calls)

    def of(self, name: str) -> list[RoleCall]:
        """Return the calls of a principal, or of one session of a role, in order of time."""
        principal = name if name in self._calls else role_of_session(name)
        calls = self._calls.get(principal)
        if calls is None:
            return []
        if principal not in self._is_sorted:
            calls = self._calls[principal] = deque(sorted(calls), maxlen=MAX_CALLS)
            self._is_sorted.add(principal)
        return [call for call in calls if name in (principal, call.caller)]
