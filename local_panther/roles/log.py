"""All calls about roles that were read, by principal."""

import math
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from local_panther.roles.calls import SUCCESS, RoleCall, role_call
from local_panther.roles.principals import role_of_session
from local_panther.roles.settings import RoleSettings, shipped_settings
from local_panther.text import without_halves

# Of one principal, successes and other calls by themselves: of more the latest are returned. So no
# flood of failures hides a success.
MAX_CALLS = 20_000
BATCH_CALLS = 1000  # that wait to be stored together
CACHE_KIB = 4 * 1024
FIELDS = ", ".join(RoleCall._fields)
PLACES = ", ".join("?" * len(RoleCall._fields))


def may_lack_calls(calls: Sequence[RoleCall]) -> bool:
    """Return whether a log that returned these calls may have left out others."""
    return max(Counter(call.outcome == SUCCESS for call in calls).values(), default=0) >= MAX_CALLS


class RoleLog:
    """The calls about roles of every principal.

    A flood has a million principals and more calls than memory holds, and only those of an alert
    are ever asked for: the calls are on disk beyond a few megabytes.
    """

    def __init__(self, settings: RoleSettings | None = None) -> None:
        """Start with no calls.

        Args:
            settings: Of the repository that is replayed; as shipped if omitted.
        """
        self.settings = settings or shipped_settings()
        self._waiting: list[RoleCall] = []
        self._calls = _database()
        self._calls.execute(f"CREATE TABLE calls ({FIELDS})")
        # One transaction for good: at the end of each, SQLite looks through all its changed pages.
        self._calls.execute("BEGIN")

    def rest(self) -> None:
        """Prepare to be copied in a forked process."""
        self.store()
        self._calls.execute("COMMIT")
        self._calls.execute("BEGIN")

    def move(self) -> None:
        """Continue with a copy of the calls, as a forked process has to after `rest`.

        The file is that of its parent, which continues with it.
        """
        copy = _database()
        self._calls.backup(copy)
        copy.execute("BEGIN")
        self._calls = copy

    def add(self, event: Mapping[str, Any], time: float) -> None:
        """Take a record of any kind.

        Args:
            event: The record.
            time: When it happened, in seconds since 1970.
        """
        call = role_call(event, time, self.settings)
        if call is not None:
            self.add_call(call)

    def add_call(self, call: RoleCall) -> None:
        """Add a call."""
        self._waiting.append(call)
        if len(self._waiting) >= BATCH_CALLS:
            self.store()

    def drop_copies(self, prefix: str) -> None:
        """Drop the calls of principals with a prefix whose event another principal's call has too.

        Args:
            prefix: How the principals begin; without `*`, `?` and `[`.
        """
        self.store()
        drop = """
            DELETE FROM calls WHERE principal GLOB ?1 AND event_id <> ''
            AND event_id IN (SELECT event_id FROM calls WHERE NOT principal GLOB ?1)"""
        self._calls.execute(drop, [f"{prefix}*"])

    def __contains__(self, principal: object) -> bool:
        """Return whether a principal made any call about roles."""
        if not isinstance(principal, str):
            return False
        whose = "SELECT 1 FROM calls WHERE principal = ?"
        return bool(
            self._rows(f"{whose} LIMIT 1", principal)
            or self._rows(f"{whose} AND caller = ? LIMIT 1", role_of_session(principal), principal)
        )

    def __iter__(self) -> Iterator[str]:
        """Iterate over the principals."""
        return (principal for (principal,) in self._rows("SELECT DISTINCT principal FROM calls"))

    @property
    def left_out(self) -> dict[str, int]:
        """Number of calls that are not returned, by principal."""
        counts = f"""
            SELECT principal, SUM(n - {MAX_CALLS}) FROM (
                SELECT principal, COUNT(*) AS n FROM calls
                GROUP BY principal, outcome = '{SUCCESS}' HAVING n > {MAX_CALLS}
            ) GROUP BY principal"""
        return dict(self._rows(counts))

    def of(self, name: str, first: float = -math.inf, last: float = math.inf) -> list[RoleCall]:
        """Return the calls of a principal, or of one session of a role, in order of time.

        Args:
            name: Of the principal or session.
            first: Only calls from then on, in seconds since 1970.
            last: Only calls until then.
        """
        return self._found(name, first, last, ("=", "<>"))

    def successes(self, name: str, first: float) -> list[RoleCall]:
        """Return the successful calls of a principal or session from a time on, the latest.

        Args:
            name: The principal or session.
            first: Seconds since 1970.
        """
        return self._found(name, first, math.inf, ("=",))

    def _found(
        self, name: str, first: float, last: float, outcomes: Sequence[str]
    ) -> list[RoleCall]:
        found = self._latest(outcomes, "principal = ?1", name, first, last)
        if not found:
            whose = "principal = ?1 AND caller = ?4"
            found = self._latest(outcomes, whose, role_of_session(name), first, last, name)
        return sorted(map(RoleCall._make, found))

    def _latest(self, outcomes: Sequence[str], whose: str, *values: Any) -> list[Any]:
        """Return the latest calls, those that compare so with a success each by themselves."""
        return self._rows(
            " UNION ALL ".join(
                f"SELECT * FROM (SELECT {FIELDS} FROM calls WHERE {whose}"
                f" AND time BETWEEN ?2 AND ?3 AND outcome {which} '{SUCCESS}'"
                f" ORDER BY time DESC LIMIT {MAX_CALLS})"
                for which in outcomes
            ),
            *values,
        )

    def store(self) -> None:
        """Store the calls that wait.

        Raises:
            sqlite3.Error: The disk is full; they are lost.
        """
        calls, self._waiting = self._waiting, []
        self._calls.executemany(f"INSERT INTO calls VALUES ({PLACES})", _rows_of(calls))

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        self.store()
        self._calls.execute("CREATE INDEX IF NOT EXISTS by_principal ON calls (principal, time)")
        return self._calls.execute(sql, list(map(_storable, values))).fetchall()


def _database() -> sqlite3.Connection:
    # "" is a temporary file, which SQLite makes once its cache is full.
    made = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    made.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    made.execute("PRAGMA journal_mode = OFF")
    return made


def _rows_of(calls: list[RoleCall]) -> Sequence[tuple[Any, ...]]:
    try:
        "".join("".join(call[1:]) for call in calls).encode()
    except UnicodeEncodeError:
        return [tuple(map(_storable, call)) for call in calls]
    return calls


def _storable(value: Any) -> Any:
    """Return text without half characters, which SQLite does not take."""
    return without_halves(value) if isinstance(value, str) else value
