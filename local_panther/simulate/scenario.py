"""A simulated role attack."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from local_panther.simulate.identities import PrincipalKind, identity
from local_panther.simulate.shapes import ACCOUNT, Call, Record, Shapes

ATTACKER_ADDRESS = "198.51.100.23"
OFFICE_ADDRESS = "203.0.113.10"
DISCOVERY_PAGES = 3
DISCOVERY_LEAD_SECONDS = 150  # from the first ListRoles to the first attempt
DISCOVERY_LAG_SECONDS = 120  # from the last failure to a ListRoles that comes afterwards
SUCCESS_LAG_SECONDS = 240  # from the last failure to the first success

NAMES = {
    PrincipalKind.USER: "mallory",
    PrincipalKind.ROLE: "BuildRunnerRole",
    PrincipalKind.SSO: "mallory@example.com",
    PrincipalKind.FEDERATED: "mallory",
    PrincipalKind.ROOT: "root",
}
TEAMS = ("Billing", "Data", "Deploy", "Network", "Payments", "Platform", "Reporting", "Support")
LEVELS = ("Admin", "Operator", "ReadOnly", "Runtime")


class Api(StrEnum):
    """The API by which the attacker tries to get a role."""

    ASSUME_ROLE = "assume-role"
    UPDATE_TRUST_POLICY = "update-trust-policy"


@dataclass(frozen=True)
class Scenario:
    """A role attack.

    Attributes:
        roles: Distinct roles that deny the attacker.
        api: The API by which the attacker tries them.
        principal: The kind of attacker.
        retries: Further attempts on the same roles.
        minutes: Time from the first attempt to the last one on a new role.
        principals: Number of attackers, who take turns attempt by attempt.
        rotate_sessions: Use a new session name for every call of a ROLE attacker.
        discovery: Call ListRoles.
        discovery_last: Call it after the attempts, not before them.
        succeed: Roles, of those that denied the attacker, that the attacker then gets into.
        blocklisted: A role that a person assumes in the meantime; None for nobody.
        start: Time of the attack, in seconds since 1970: that of a ListRoles which comes first.
    """

    roles: int = 12
    api: Api = Api.ASSUME_ROLE
    principal: PrincipalKind = PrincipalKind.USER
    retries: int = 0
    minutes: float = 10
    principals: int = 1
    rotate_sessions: bool = False
    discovery: bool = True
    discovery_last: bool = False
    succeed: int = 0
    blocklisted: str | None = None
    start: float = 0


def attack(scenario: Scenario, random: Random) -> Iterator[Record]:
    """Yield the records of an attack, in the order of their times."""
    shapes, callers = Shapes(random), _Callers(scenario, random)
    if scenario.discovery and not scenario.discovery_last:
        yield from _discovery(scenario, shapes, callers, scenario.start)
    if scenario.blocklisted:
        person = identity(PrincipalKind.USER, "trent", "")
        call = Call(person, scenario.start + 60, OFFICE_ADDRESS)
        yield shapes.assumed_role(call, scenario.blocklisted, "trent-laptop")
    first = scenario.start + DISCOVERY_LEAD_SECONDS
    names = role_names(scenario.roles)
    tries = [*range(scenario.roles), *(i % scenario.roles for i in range(scenario.retries))]
    for turn, role in enumerate(tries):
        time = first + scenario.minutes * 60 * turn / max(len(tries) - 1, 1)
        call = callers.call(turn % scenario.principals, time)
        if scenario.api is Api.ASSUME_ROLE:
            yield shapes.denied_assume_role(call, f"arn:aws:iam::{ACCOUNT}:role/{names[role]}")
        else:
            yield shapes.denied_trust_update(call, names[role])
    last = first + scenario.minutes * 60
    if scenario.discovery and scenario.discovery_last:
        yield from _discovery(scenario, shapes, callers, last + DISCOVERY_LAG_SECONDS)
    for number in range(min(scenario.succeed, scenario.roles)):
        time = last + SUCCESS_LAG_SECONDS * (number + 1)
        role_arn = f"arn:aws:iam::{ACCOUNT}:role/{names[-1 - number]}"
        yield shapes.assumed_role(callers.call(0, time), role_arn, "mallory")


def _discovery(
    scenario: Scenario, shapes: Shapes, callers: "_Callers", time: float
) -> Iterator[Record]:
    for page in range(DISCOVERY_PAGES):
        for number in range(scenario.principals):
            yield shapes.list_roles(callers.call(number, time + page))


def role_names(count: int) -> list[str]:
    """Return distinct role names that look like a company's."""
    return [
        f"{TEAMS[i % len(TEAMS)]}{LEVELS[i // len(TEAMS) % len(LEVELS)]}Role"
        + (f"{i // 32 + 1}" if i >= len(TEAMS) * len(LEVELS) else "")
        for i in range(count)
    ]


class _Callers:
    def __init__(self, scenario: Scenario, random: Random) -> None:
        self._scenario = scenario
        self._random = random

    def call(self, number: int, time: float) -> Call:
        name = NAMES[self._scenario.principal]
        if number:
            user, at, domain = name.partition("@")
            name = f"{user}{number + 1}{at}{domain}"
        rotated = f"s-{self._random.randrange(10**9):09}"
        session = rotated if self._scenario.rotate_sessions else "build-4711"
        return Call(identity(self._scenario.principal, name, session), time, ATTACKER_ADDRESS)
