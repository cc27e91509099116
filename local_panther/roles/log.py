"""A log of all calls about roles that were read, by principal."""

import math
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from local_panther.roles.calls import FAILED, SUCCESS, RoleCall, role_call
from local_panther.roles.principals import role_of_session
from local_panther.roles.settings import RoleSettings, shipped_settings
from local_panther.text import without_halves

# Limit of the calls that are returned for a principal; the latest are kept. Successes and other
# calls are counted separately, so that no flood of failures hides a success.
MAX_CALLS = 20_000
BATCH_CALLS = 1000  # calls that are stored together
CACHE_KIB = 4 * 1024
FIELDS = ", ".join(RoleCall._fields)
PLACES = ", ".join("?" * len(RoleCall._fields))


def may_lack_calls(calls: Sequence[RoleCall]) -> bool:
    """Return whether these calls reach the limit, so that others may have been left out."""
    return max(Counter(call.outcome == SUCCESS for call in calls).values(), default=0) >= MAX_CALLS


class RoleLog:
    """A log of the calls about roles of all principals.

    Beyond a few megabytes the calls are on disk: a flood can have a million principals and more
    calls than memory holds, and only the calls of alerts are ever looked up.
    """

    def __init__(self, settings: RoleSettings | None = None) -> None:
        """Start with no calls.

        Args:
            settings: Settings of the replayed repository; by default the shipped ones.
        """
        self.settings = settings or shipped_settings()
        self._waiting: list[RoleCall] = []
        self._calls = _database()
        self._calls.execute(f"CREATE TABLE calls ({FIELDS})")
        # One transaction for the whole run: each commit makes SQLite go over all changed pages.
        self._calls.execute("BEGIN")

    def rest(self) -> None:
        """Finish pending writes, before the process is forked."""
        self.store()
        self._calls.execute("COMMIT")
        self._calls.execute("BEGIN")

    def move(self) -> None:
        """Continue with a copy of the calls; a forked process must call it, after `rest`.

        The parent continues to use the original file.
        """
        copy = _database()
        self._calls.backup(copy)
        copy.execute("BEGIN")
        self._calls = copy

    def add(self, event: Mapping[str, Any], time: float) -> None:
        """Add a record, if it is a call about roles.

        Args:
            event: The record.
            time: Time of the event, in seconds since 1970.
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
        """Drop calls of principals with a prefix if another principal has a call of the same event.

        Args:
            prefix: Prefix of the principals; without `*`, `?` and `[`.
        """
        self.store()
        drop = """
            DELETE FROM calls WHERE principal GLOB ?1 AND event_id <> ''
            AND event_id IN (SELECT event_id FROM calls WHERE NOT principal GLOB ?1)"""
        self._calls.execute(drop, [f"{prefix}*"])

    def __contains__(self, principal: object) -> bool:
        """Return whether a principal or session made any call about roles."""
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

    def of_failures(self) -> Iterator[str]:
        """Iterate over the principals that failed on a role."""
        outcomes = ", ".join(f"'{outcome}'" for outcome in FAILED)
        whose = f"SELECT DISTINCT principal FROM calls WHERE outcome IN ({outcomes}) AND role <> ''"
        return (principal for (principal,) in self._rows(whose))

    @property
    def left_out(self) -> dict[str, int]:
        """Number of calls beyond the limit, which are not returned, by principal."""
        ((count,),) = self._rows("SELECT COUNT(*) FROM calls")
        if count <= MAX_CALLS:
            return {}
        counts = f"""
            SELECT principal, SUM(n - {MAX_CALLS}) FROM (
                SELECT principal, COUNT(*) AS n FROM calls
                GROUP BY principal, outcome = '{SUCCESS}' HAVING n > {MAX_CALLS}
            ) GROUP BY principal"""
        return dict(self._rows(counts))

    def of(self, name: str, first: float = -math.inf, last: float = math.inf) -> list[RoleCall]:
        """Return the calls of a principal, or of one session of a role, in order of time.

        Args:
            name: Name of the principal, or ARN of the session.
            first: Time of the first call to return, in seconds since 1970.
            last: Time of the last call to return.
        """
        return self._found(name, first, last, ("=", "<>"))

    def successes(self, name: str, first: float) -> list[RoleCall]:
        """Return the successful calls of a principal or session from a time on, in order of time.

        Args:
            name: Name of the principal, or ARN of the session.
            first: Time of the first call to return, in seconds since 1970.
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
        """Return the latest calls, with a limit for each way to compare outcomes with SUCCESS.

        Args:
            outcomes: SQL operators: "=" selects successes, "<>" all other calls.
            whose: SQL condition on the principal.
            values: Parameters of the query.
        """
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
        """Store the calls that were added since the last time.

        Raises:
            sqlite3.Error: The disk is full; these calls are lost.
        """
        calls, self._waiting = self._waiting, []
        self._calls.executemany(f"INSERT INTO calls VALUES ({PLACES})", _rows_of(calls))

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        self.store()
        self._calls.execute("CREATE INDEX IF NOT EXISTS by_principal ON calls (principal, time)")
        return self._calls.execute(sql, list(map(_storable, values))).fetchall()


def _database() -> sqlite3.Connection:
    # "" means a temporary file, which SQLite creates once its cache is full.
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
    """Return a text without lone surrogates, which SQLite refuses; any other value unchanged."""
    return without_halves(value) if isinstance(value, str) else value
