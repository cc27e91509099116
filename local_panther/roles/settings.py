"""A repository's own settings for role calls, which define principals and bursts.

They are in the Python file that the detection of failed role attempts imports. A repository without
that file gets the settings that are shipped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from local_panther.content.agreements import Settings
from local_panther.content.shipped import shipped_content
from local_panther.errors import ContentError, Problem

MODULE = "aws_role_escalation_config"


@dataclass(frozen=True)
class RoleSettings:
    """The settings that define principals and bursts.

    Attributes:
        threshold: Distinct roles that make a burst.
        window_minutes: Minutes of event time in which they must be tried, both ends inclusive.
        expected_principals: Names or patterns of principals that raise no alert.
        person_role_prefixes: Prefixes of the names of roles in which each session is a person.
        collapse_sessions: Whether all sessions of a role are one principal.
        lead_minutes: Minutes before a burst in which a success counts without discovery.
        success_minutes: Minutes after a burst in which any success counts, and minutes before it in
            which a success counts if discovery came first.
        history_hours: Hours before a burst; successes on roles entered in them do not count.
    """

    threshold: int
    window_minutes: int
    expected_principals: tuple[str, ...]
    person_role_prefixes: tuple[str, ...]
    collapse_sessions: bool
    lead_minutes: int
    success_minutes: int
    history_hours: int

    @property
    def window(self) -> int:
        """`window_minutes` in seconds."""
        return self.window_minutes * 60

    @property
    def lead_seconds(self) -> int:
        """`lead_minutes` in seconds."""
        return self.lead_minutes * 60

    @property
    def success_seconds(self) -> int:
        """`success_minutes` in seconds."""
        return self.success_minutes * 60

    @property
    def history_seconds(self) -> int:
        """`history_hours` in seconds."""
        return self.history_hours * 3600

    def is_expected(self, principal: str) -> bool:
        """Return whether a principal is expected, and so raises no alert."""
        return any(fnmatchcase(principal, pattern) for pattern in self.expected_principals)


def read_settings(folder: Path) -> RoleSettings:
    """Return the settings of a content repository; the shipped ones for those that it lacks.

    Args:
        folder: Root of the repository. Its settings file is run.

    Raises:
        ContentError: The file does not run, or a setting has the wrong type.
    """
    found = Settings(folder)
    if not found.has(MODULE):
        return shipped_settings()
    return _read(found, default=lambda name: getattr(shipped_settings(), name))


@cache
def shipped_settings() -> RoleSettings:
    """Return the settings that are shipped with the detection."""

    def missing(name: str) -> Any:
        raise LookupError(f"{MODULE}.py as shipped has no {name.upper()}")

    return _read(Settings(shipped_content()), default=missing)


def _read(settings: Settings, default: Callable[[str], Any]) -> RoleSettings:
    values, problems = {}, []
    try:
        given = settings.values(MODULE)
    except LookupError as error:
        raise ContentError([Problem(settings.place(MODULE), str(error.args[0]))]) from error
    for name, (is_valid, kind) in KINDS.items():
        if name.upper() not in given:
            values[name] = default(name)
        elif is_valid(value := given[name.upper()]):
            values[name] = tuple(value) if isinstance(value, list) else value
        else:
            where = settings.place(MODULE, name.upper())
            problems.append(Problem(where, f"{name.upper()} must be {kind}, not {value!r}"))
    if problems:
        raise ContentError(problems)
    return RoleSettings(**values)


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value)


KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "threshold": (_is_count, "a whole number above 0"),
    "window_minutes": (_is_count, "a whole number above 0"),
    "expected_principals": (_is_texts, "a list of texts"),
    "person_role_prefixes": (_is_texts, "a list of texts"),
    "collapse_sessions": (lambda value: isinstance(value, bool), "True or False"),
    "lead_minutes": (_is_count, "a whole number above 0"),
    "success_minutes": (_is_count, "a whole number above 0"),
    "history_hours": (_is_count, "a whole number above 0"),
}
