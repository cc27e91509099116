"""Simulated role attacks."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from local_panther.simulate.identities import ACCOUNT, PrincipalKind, identity, signed_in
from local_panther.simulate.sessions import follow_up, policy
from local_panther.simulate.shapes import Call, Record, Shapes
from local_panther.times import event_time

ATTACKER_ADDRESS = "198.51.100.23"
OFFICE_ADDRESS = "203.0.113.10"
PIPELINE_ADDRESS = "192.0.2.253"
SOURCE_IDENTITY = "mallory"  # set on all sessions, since trust policies can require one
DISCOVERY_PAGES = 3
DISCOVERY_LEAD_SECONDS = 150  # from the first ListRoles to the first attempt
DISCOVERY_LAG_SECONDS = 120  # from the last failure to a ListRoles after it
SUCCESS_LAG_SECONDS = 240  # from the last failure to the first success
PROPAGATION_SECONDS = 30  # from a new trust policy to the first session
OWNERS_HOURS = (-3, -1, 2)  # from the attack to the runs of pipelines

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
    """The APIs by which the attacker can try to get into roles."""

    ASSUME_ROLE = "assume-role"
    UPDATE_TRUST_POLICY = "update-trust-policy"


@dataclass(frozen=True)
class Scenario:
    """The parameters of a role attack.

    Attributes:
        roles: Number of distinct role names that deny the attacker.
        accounts: Number of accounts in which the attacker tries each name. One means the attacker's
            own account, more mean other accounts.
        api: API by which the attacker tries the roles.
        principal: Kind of the attacker.
        retries: Number of further attempts on the same roles.
        minutes: Minutes from the first to the last attempt, including the retries.
        principals: Number of attackers, who take turns attempt by attempt.
        rotate_sessions: Use a new session name for every call of a ROLE attacker.
        discovery: Call ListRoles.
        discovery_last: Call ListRoles after the attempts, not before them.
        succeed: Number of these roles that the attacker then gets into, or whose trust policy it
            then changes.
        follow_up: Use the sessions; also enter the roles whose trust policy was changed.
        owners: Let the pipelines that own the roles assume them, before and after the attack.
        blocklisted: ARN of a role that a person assumes during the attack; None for no such role.
        console: The person uses Switch role in the console, after a wrong MFA code.
        start: Time of the attack, in seconds since 1970, which is that of a first ListRoles.
    """

    roles: int = 12
    accounts: int = 1
    api: Api = Api.ASSUME_ROLE
    principal: PrincipalKind = PrincipalKind.USER
    retries: int = 0
    minutes: float = 10
    principals: int = 1
    rotate_sessions: bool = False
    discovery: bool = True
    discovery_last: bool = False
    succeed: int = 0
    follow_up: bool = False
    owners: bool = False
    blocklisted: str | None = None
    console: bool = False
    start: float = 0

    @property
    def targets(self) -> list[str]:
        """ARNs of the roles, sorted by name and then by account."""
        first = int(ACCOUNT) + (self.accounts > 1)
        accounts = range(first, first + self.accounts)
        names = role_names(self.roles)
        return [f"arn:aws:iam::{account}:role/{name}" for name in names for account in accounts]


def attack(scenario: Scenario, random: Random) -> Iterator[Record]:
    """Yield the records of an attack, in the order of their times."""
    shapes, callers = Shapes(random), _Callers(scenario, random)
    records: list[Record] = []
    if scenario.discovery and not scenario.discovery_last:
        records += _discovery(scenario, shapes, callers, scenario.start)
    records += _person(scenario, shapes)
    records += _attempts(scenario, shapes, callers)
    if scenario.owners:
        records += _owners(scenario, shapes)
    yield from sorted(records, key=lambda record: record["eventTime"])


def _attempts(scenario: Scenario, shapes: Shapes, callers: "_Callers") -> Iterator[Record]:
    """Yield the attempts of the attackers, and their later calls."""
    first = scenario.start + DISCOVERY_LEAD_SECONDS
    targets = scenario.targets
    tries = [*range(len(targets)), *(i % len(targets) for i in range(scenario.retries))]
    for turn, role in enumerate(tries):
        time = first + scenario.minutes * 60 * turn / max(len(tries) - 1, 1)
        call = callers.call(turn % scenario.principals, time)
        if scenario.api is Api.ASSUME_ROLE:
            yield shapes.denied_assume_role(call, targets[role])
        else:
            yield shapes.denied_trust_update(call, role_name(targets[role]))
    last = first + scenario.minutes * 60
    if scenario.discovery and scenario.discovery_last:
        yield from _discovery(scenario, shapes, callers, last + DISCOVERY_LAG_SECONDS)
    for number, role_arn in enumerate(targets[::-1][: scenario.succeed]):
        time = last + SUCCESS_LAG_SECONDS * (number + 1)
        yield from _success(scenario, shapes, callers.call(0, time), role_arn)


def _success(scenario: Scenario, shapes: Shapes, call: Call, role_arn: str) -> Iterator[Record]:
    """Yield the calls by which the attacker gets into a role and uses it."""
    if scenario.api is Api.UPDATE_TRUST_POLICY:
        trust = policy(Action="sts:AssumeRole", Principal={"AWS": call.identity["arn"]})
        yield shapes.changed_trust(call, role_name(role_arn), trust)
        if not scenario.follow_up:
            return
        call = replace(call, time=call.time + PROPAGATION_SECONDS)
    source = SOURCE_IDENTITY if scenario.follow_up else ""
    entry = shapes.assumed_role(call, role_arn, "mallory", source)
    yield entry
    if scenario.follow_up:
        yield from follow_up(shapes, entry)


def _person(scenario: Scenario, shapes: Shapes) -> Iterator[Record]:
    """Yield the calls by which a person assumes the blocklisted role."""
    if not scenario.blocklisted:
        return
    person = identity(PrincipalKind.USER, "trent", "")
    call = Call(person, scenario.start + 60, OFFICE_ADDRESS)
    if not scenario.console:
        yield shapes.assumed_role(call, scenario.blocklisted, "trent-laptop")
        return
    yield shapes.wrong_mfa_code(call)
    person = signed_in(person, event_time(scenario.start))
    call = Call(person, scenario.start + 120, OFFICE_ADDRESS)
    yield from shapes.switched_role(call, scenario.blocklisted)


def _owners(scenario: Scenario, shapes: Shapes) -> Iterator[Record]:
    """Yield the calls by which the teams' pipelines assume their roles, several times a day."""
    for hours in OWNERS_HOURS:
        for number, role_arn in enumerate(scenario.targets):
            owner = f"{TEAMS[number // scenario.accounts % len(TEAMS)]}PipelineRole"
            who = identity(PrincipalKind.ROLE, owner, f"run-{hours + 24}")
            call = Call(who, scenario.start + hours * 3600 + number, PIPELINE_ADDRESS)
            yield shapes.assumed_role(call, role_arn, "pipeline")


def _discovery(
    scenario: Scenario, shapes: Shapes, callers: "_Callers", time: float
) -> Iterator[Record]:
    for page in range(DISCOVERY_PAGES):
        for number in range(scenario.principals):
            yield shapes.list_roles(callers.call(number, time + page))


def role_name(role_arn: str) -> str:
    """Return the name of a role without its path."""
    return role_arn.rsplit("/", 1)[-1]


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
