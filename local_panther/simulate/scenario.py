"""What happens in a simulation: an attack, and the ordinary work around it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from local_panther.simulate.identities import PrincipalKind, identity, service
from local_panther.simulate.shapes import ACCOUNT, Call, Record, Shapes

ATTACKER_ADDRESS = "198.51.100.23"
OFFICE_ADDRESSES = tuple(f"203.0.113.{i}" for i in range(10, 20))
DISCOVERY_PAGES = 3
DISCOVERY_LEAD = 150  # seconds from the first ListRoles to the first attempt
SUCCESS_LAG = 240  # seconds from the last failure to the first success
BACKGROUND_HOURS = 4

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
    """How the attacker tries to get at a role."""

    ASSUME_ROLE = "assume-role"
    UPDATE_TRUST_POLICY = "update-trust-policy"


@dataclass(frozen=True)
class Scenario:
    """A role attack.

    Attributes:
        roles: Distinct roles that are failed on.
        retries: Further attempts on the same roles.
        minutes: Time from the first attempt to the last one on a new role.
        principals: Callers that take turns, attempt by attempt.
        rotate_sessions: Give every call of a ROLE caller another session name.
        discovery: Call ListRoles first.
        succeed: Roles among those failed on that the attacker gets into afterwards.
        blocklisted: A role that a person assumes successfully meanwhile; None for nobody.
        start: Time of the first ListRoles in seconds since 1970.
    """

    roles: int = 12
    api: Api = Api.ASSUME_ROLE
    principal: PrincipalKind = PrincipalKind.USER
    retries: int = 0
    minutes: float = 10
    principals: int = 1
    rotate_sessions: bool = False
    discovery: bool = True
    succeed: int = 0
    blocklisted: str | None = None
    start: float = 0


def attack(scenario: Scenario, random: Random) -> Iterator[Record]:
    """Yield the records of an attack, in the order of their times."""
    shapes, callers = Shapes(random), _Callers(scenario, random)
    if scenario.discovery:
        for page in range(DISCOVERY_PAGES):
            for number in range(scenario.principals):
                yield shapes.list_roles(callers.call(number, scenario.start + page))
    if scenario.blocklisted:
        person = identity(PrincipalKind.USER, "trent", "")
        call = Call(person, scenario.start + 60, OFFICE_ADDRESSES[0])
        yield shapes.assumed_role(call, scenario.blocklisted, "trent-laptop")
    first = scenario.start + DISCOVERY_LEAD
    names = role_names(scenario.roles)
    tries = [*range(scenario.roles), *(i % scenario.roles for i in range(scenario.retries))]
    for turn, role in enumerate(tries):
        time = first + scenario.minutes * 60 * turn / max(len(tries) - 1, 1)
        call = callers.call(turn % scenario.principals, time)
        if scenario.api is Api.ASSUME_ROLE:
            yield shapes.denied_assume_role(call, f"arn:aws:iam::{ACCOUNT}:role/{names[role]}")
        else:
            yield shapes.denied_trust_update(call, names[role])
    for number in range(min(scenario.succeed, scenario.roles)):
        time = first + scenario.minutes * 60 + SUCCESS_LAG * (number + 1)
        role_arn = f"arn:aws:iam::{ACCOUNT}:role/{names[-1 - number]}"
        yield shapes.assumed_role(callers.call(0, time), role_arn, "mallory")


def background(count: int, start: float, random: Random) -> Iterator[Record]:
    """Yield ordinary records of the hours around a time, in the order of their times."""
    shapes = Shapes(random)
    length = BACKGROUND_HOURS * 3600
    for i in range(count):
        time = start - length / 4 + length * i / count
        yield _ordinary(shapes, time, random)


def role_names(count: int) -> list[str]:
    """Return so many distinct role names that look like a company's."""
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


def _ordinary(shapes: Shapes, time: float, random: Random) -> Record:
    """Return one record of everyday work, role calls that are none of an attack's among them."""
    person = identity(PrincipalKind.USER, random.choice(("alice", "bob", "carol")), "")
    workload = identity(PrincipalKind.ROLE, "OrdersServiceRole", f"i-{random.randrange(10**8):08}")
    people = Call(person, time, random.choice(OFFICE_ADDRESSES))
    work = Call(workload, time, "192.0.2.44")
    by_lambda = Call(service("lambda.amazonaws.com"), time, "lambda.amazonaws.com")
    role = f"arn:aws:iam::{ACCOUNT}:role/{random.choice(TEAMS)}RuntimeRole"
    region = random.choice(("eu-west-1", "us-east-1"))
    die = random.random()
    if die < 0.04:
        return shapes.assumed_role(by_lambda, role, "orders-function")
    if die < 0.05:
        return shapes.assumed_role(people, role, "laptop")
    if die < 0.055:
        return shapes.denied_assume_role(people, role)
    if die < 0.06:
        throttled = shapes.assumed_role(work, role, "orders")
        return shapes.failed(throttled, "ThrottlingException", "Rate exceeded")
    if die < 0.065:
        return shapes.list_roles(people)
    service_name, name, parameters = random.choice(
        (
            ("ec2", "DescribeInstances", {"instancesSet": {}, "filterSet": {}}),
            ("kms", "Decrypt", {"encryptionAlgorithm": "SYMMETRIC_DEFAULT"}),
            ("s3", "ListBuckets", None),
            ("logs", "DescribeLogGroups", {"limit": 50}),
            ("sts", "GetCallerIdentity", None),
        )
    )
    return shapes.ordinary(random.choice((people, work)), service_name, name, parameters, region)
