"""Summaries of what each principal did with roles, for when nothing alerted and before tuning.

A summary counts every way into a role (`entries`); a burst counts only calls that detections read.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from local_panther.records.model import Tally
from local_panther.records.trail import Trail
from local_panther.roles.bursts import fullest_window
from local_panther.roles.calls import (
    ATTEMPTS,
    DISCOVERY,
    FAILED,
    FAULT,
    OWN_SESSION,
    RoleCall,
)
from local_panther.roles.entries import ENTRY_CALLS, entry_call, passed_over
from local_panther.roles.log import RoleLog
from local_panther.roles.principals import OTHER_ACCOUNT
from local_panther.roles.settings import RoleSettings
from local_panther.text import text_of


@dataclass
class PrincipalSummary:
    """A summary of one principal's calls about roles.

    Attributes:
        principal: Name of the principal, from `principal_of`.
        first: Time of the first call, in seconds since 1970.
        last: Time of the last call.
        failures: Number of failed attempts by API.
        successes: Number of successful attempts by API.
        sessions: Number of calls by API that issued credentials with its own rights, and no role.
        discoveries: Number of calls that list roles.
        faults: Number of calls by error code, for errors that are not known to be about access.
        tried: Keys of the roles that it tried; the key of an account's root is "<account ID>:root",
            that of a permission set "<account ID>:permission-set/<name>".
        failed: Keys of the roles that it failed on.
        entered: Keys of the roles that it assumed or whose trust policy it changed.
        in_window: The most distinct roles that it failed on, by one API in one window.
        is_burst: Whether `in_window` reaches the threshold.
        is_expected: Whether the settings say that it raises no alert.
        addresses: Number of calls by source address.
        agents: Number of calls by user agent.
        keys: Number of calls by the caller's access key.
        regions: Number of calls by region.
        left_out: Number of calls beyond the log's limit, which are not counted here.
    """

    principal: str
    first: float
    last: float
    failures: Counter[str] = field(default_factory=Counter)
    successes: Counter[str] = field(default_factory=Counter)
    sessions: Counter[str] = field(default_factory=Counter)
    discoveries: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    tried: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    entered: set[str] = field(default_factory=set)
    in_window: int = 0
    is_burst: bool = False
    is_expected: bool = False
    addresses: Counter[str] = field(default_factory=Counter)
    agents: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    regions: Counter[str] = field(default_factory=Counter)
    left_out: int = 0

    def add(self, call: RoleCall) -> None:
        """Count a call."""
        self.first, self.last = min(self.first, call.time), max(self.last, call.time)
        if call.outcome == DISCOVERY:
            self.discoveries += 1
        elif call.outcome == OWN_SESSION:
            self.sessions[call.api] += 1
        elif call.outcome == FAULT:
            self.faults[call.error or "no code"] += 1
        else:
            self._add_attempt(call)
        counted = (
            (self.addresses, call.address),
            (self.agents, call.agent),
            (self.keys, call.access_key),
            (self.regions, call.region),
        )
        for counts, value in counted:
            if value:
                counts[value] += 1

    def _add_attempt(self, call: RoleCall) -> None:
        has_failed = call.outcome in FAILED
        (self.failures if has_failed else self.successes)[call.api] += 1
        if call.role:
            self.tried.add(call.role)
            (self.failed if has_failed else self.entered).add(call.role)


@dataclass
class Summary:
    """Summaries of all principals.

    Attributes:
        principals: Summaries, by most failed roles, then by most tried roles.
        passed_over: Number of calls on roles that are not counted, by kind of caller.
        tally: Counts of the files and records that were read.
    """

    principals: list[PrincipalSummary]
    passed_over: Counter[str]
    tally: Tally


def summaries(log: RoleLog) -> list[PrincipalSummary]:
    """Return a summary of each principal, by most failed roles, then by most tried roles."""
    return sorted(_each(log, log), key=_rank)


def nearest(log: RoleLog, count: int) -> list[PrincipalSummary]:
    """Return at most `count` principals that failed on any role, nearest to a burst first."""
    return heapq.nsmallest(
        count, (s for s in _each(log, log.of_failures()) if s.failed), key=_distance
    )


def _each(log: RoleLog, principals: Iterable[str]) -> Iterator[PrincipalSummary]:
    """Yield a summary of each principal, one by one: a flood has more than memory holds."""
    left_out = log.left_out
    for principal in principals:
        calls = log.of(principal)
        summary = PrincipalSummary(principal, calls[0].time, calls[0].time)
        for call in calls:
            summary.add(call)
        attempts = (call for call in calls if call.api in ATTEMPTS)
        summary.in_window = fullest_window(attempts, log.settings)
        summary.is_burst = summary.in_window >= log.settings.threshold
        summary.is_expected = log.settings.is_expected(principal)
        summary.left_out = left_out.get(principal, 0)
        yield summary


def _rank(summary: PrincipalSummary) -> tuple[int, int, str]:
    return -len(summary.failed), -len(summary.tried), summary.principal


def _distance(summary: PrincipalSummary) -> tuple[bool, int, tuple[int, int, str]]:
    return summary.is_expected, -summary.in_window, _rank(summary)


def summarised(trail: Trail, settings: RoleSettings) -> Summary:
    """Read CloudTrail and summarise the calls about roles.

    Args:
        trail: Records to read.
        settings: Settings of the repository.

    Raises:
        UnusableCluster: The cluster does not exist, or has no worker that can be used.
    """
    entries, tally = Entries(settings), Tally()
    with trail.opened(tally) as opened:
        for record in opened.reader(ENTRY_CALLS).read(opened.taken()):
            entries.add(record.event(), record.time)
    return Summary(summaries(entries.log()), entries.passed_over, tally)


class Entries:
    """A collection of the calls about roles of all principals, by every way into a role.

    A call from another account is recorded in both accounts. The record in the account of the role
    does not name the caller, and counts only if the record in the caller's account was not read.
    """

    def __init__(self, settings: RoleSettings) -> None:
        self.passed_over = Counter[str]()
        self._log = RoleLog(settings)

    def add(self, event: Mapping[str, Any], time: float) -> None:
        """Add a record, if it is a call about roles.

        Args:
            event: The record.
            time: Time of the event, in seconds since 1970.
        """
        call = entry_call(event, time, self._log.settings)
        if call is None:
            if who := passed_over(event):
                self.passed_over[who] += 1
            return
        # A call from another account has one shared ID in both accounts.
        shared = text_of(event.get("sharedEventID"))
        self._log.add_call(call._replace(event_id=shared or call.event_id))

    def log(self) -> RoleLog:
        """Return the log of the calls; to be called after all records are added."""
        self._log.drop_copies(OTHER_ACCOUNT)
        return self._log
