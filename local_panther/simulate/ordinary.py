"""Records of ordinary work by hundreds of principals and services, in the proportions of real ones.

Calls are spread unevenly over principals and actions, as in recorded accounts: a few workloads make
most calls. No two records are equal: IDs, times, sessions, resources and addresses vary.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from local_panther.simulate.identities import ACCOUNT, PrincipalKind, identity, service
from local_panther.simulate.shapes import Call, Record, Shapes

WORKLOADS, PEOPLE, USERS = 200, 80, 30
SERVICES = (
    "lambda",
    "ec2",
    "ecs-tasks",
    "autoscaling",
    "eks",
    "cloudformation",
    "config",
    "states",
)
REGIONS = ("eu-west-1", "us-east-1", "eu-central-1", "us-west-2")
TEAMS = ("billing", "data", "deploy", "network", "orders", "payments", "platform", "search")
BACKGROUND_SECONDS = 4 * 3600
BEFORE_ATTACK = 1 / 4  # share of the background's time that is before the attack
ROLES = 120  # number of roles that workloads, services and people may assume

ROLE_CALLS = 0.03  # share of all records
# Shares of role calls; most are successes of services and workloads, and the rest is throttled.
SERVICE_ASSUMES, WORKLOAD_ASSUMES, PERSON_ASSUMES = 0.62, 0.30, 0.06
PERSON_DENIED, LISTED_ROLES = 0.01, 0.005


@dataclass(frozen=True)
class Action:
    """An API call that workloads and people make all the time.

    Attributes:
        weight: Frequency relative to the other actions.
        source: Name of the service, without its domain.
        name: The eventName.
        parameter: Request parameter that names the resource; "" if there is none.
        resource: Template of that parameter's value; `{}` stands for a varying name.
    """

    weight: float
    source: str
    name: str
    parameter: str = ""
    resource: str = ""


ACTIONS = (
    Action(22, "kms", "Decrypt", "keyId", f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/{{}}"),
    Action(9, "kms", "GenerateDataKey", "keyId", f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/{{}}"),
    Action(7, "sts", "GetCallerIdentity"),
    Action(6, "logs", "CreateLogStream", "logGroupName", "/aws/lambda/{}"),
    Action(4, "logs", "DescribeLogStreams", "logGroupName", "/aws/lambda/{}"),
    Action(6, "secretsmanager", "GetSecretValue", "secretId", "prod/{}/database"),
    Action(5, "ssm", "GetParameter", "name", "/config/{}"),
    Action(3, "ssm", "UpdateInstanceInformation", "instanceId", "i-{}"),
    Action(6, "ec2", "DescribeInstances"),
    Action(4, "ec2", "DescribeNetworkInterfaces"),
    Action(3, "ec2", "DescribeSecurityGroups"),
    Action(1, "ec2", "RunInstances", "imageId", "ami-{}"),
    Action(3, "elasticloadbalancing", "DescribeTargetHealth", "targetGroupArn", "targetgroup/{}"),
    Action(3, "autoscaling", "DescribeAutoScalingGroups"),
    Action(3, "ecr", "GetAuthorizationToken"),
    Action(3, "ecr", "BatchGetImage", "repositoryName", "{}"),
    Action(2, "dynamodb", "DescribeTable", "tableName", "{}"),
    Action(2, "s3", "ListBuckets"),
    Action(2, "s3", "GetBucketPolicy", "bucketName", "example-{}"),
    Action(2, "cloudwatch", "PutMetricAlarm", "alarmName", "{}"),
    Action(2, "lambda", "ListFunctions20150331"),
    Action(2, "rds", "DescribeDBInstances"),
    Action(2, "tagging", "GetResources"),
    Action(1, "iam", "GetRole", "roleName", "{}"),
    Action(1, "iam", "ListAttachedRolePolicies", "roleName", "{}"),
    Action(1, "cloudformation", "DescribeStacks", "stackName", "{}"),
    Action(0.3, "cloudtrail", "LookupEvents"),
)


def background(
    count: int, attack: float, random: Random, role_calls: float = ROLE_CALLS
) -> Iterator[Record]:
    """Yield ordinary records of the four hours around an attack, in the order of their times.

    Args:
        count: Number of records.
        attack: Time of the attack, in seconds since 1970.
        random: Source of all choices; the same seed gives the same records.
        role_calls: Share (0 to 1) of the records that are AssumeRole or ListRoles.
    """
    start = attack - BACKGROUND_SECONDS * BEFORE_ATTACK
    return OrdinaryWork(random, role_calls).records(count, start, BACKGROUND_SECONDS)


class OrdinaryWork:
    """The ordinary work of an organisation's principals."""

    def __init__(self, random: Random, role_calls: float = ROLE_CALLS) -> None:
        """Make up the principals.

        Args:
            random: Source of all choices; the same seed gives the same records.
            role_calls: Share (0 to 1) of the records that are AssumeRole or ListRoles.
        """
        self._random = random
        self._shapes = Shapes(random)
        self._role_calls = role_calls
        self._callers = self._principals()
        self._caller_weights = list(
            accumulate(1 / rank for rank in range(1, 1 + len(self._callers)))
        )
        self._action_weights = list(accumulate(action.weight for action in ACTIONS))

    def records(self, count: int, start: float, seconds: float) -> Iterator[Record]:
        """Yield records that are evenly spread over time, in the order of their times.

        Args:
            count: Number of records.
            start: Time of the first record, in seconds since 1970.
            seconds: Length of the period.
        """
        for number in range(count):
            yield self.record(start + seconds * number / count)

    def record(self, time: float) -> Record:
        """Return a record of ordinary work at a time, in seconds since 1970."""
        if self._random.random() < self._role_calls:
            return self._role_call(time)
        random = self._random
        (action,) = random.choices(ACTIONS, cum_weights=self._action_weights)
        (caller,) = random.choices(self._callers, cum_weights=self._caller_weights)
        name = f"{random.choice(TEAMS)}-{random.getrandbits(32):08x}"
        parameters = {action.parameter: action.resource.format(name)} if action.parameter else None
        region = "us-east-1" if action.source == "iam" else random.choice(REGIONS)
        record = self._shapes.other(caller(time), action.source, action.name, parameters)
        return record | {"awsRegion": region}

    def _role_call(self, time: float) -> Record:
        shapes, kind = self._shapes, self._random.random()
        role = f"arn:aws:iam::{ACCOUNT}:role/{self._team_role()}"
        if kind < SERVICE_ASSUMES:
            name = f"{self._random.choice(SERVICES)}.amazonaws.com"
            return shapes.assumed_role(Call(service(name), time, name), role, "generated-session")
        if (kind := kind - SERVICE_ASSUMES) < WORKLOAD_ASSUMES:
            caller = self._workload(self._random.randrange(WORKLOADS))
            return shapes.assumed_role(caller(time), role, "generated-session")
        if (kind := kind - WORKLOAD_ASSUMES) < PERSON_ASSUMES:
            return shapes.assumed_role(self._anyone()(time), role, "laptop")
        if (kind := kind - PERSON_ASSUMES) < PERSON_DENIED:
            return shapes.denied_assume_role(self._anyone()(time), role)
        if kind - PERSON_DENIED < LISTED_ROLES:
            return shapes.list_roles(self._anyone()(time))
        caller = self._workload(self._random.randrange(WORKLOADS))
        throttled = shapes.assumed_role(caller(time), role, "generated-session")
        return shapes.failed(throttled, "ThrottlingException", "Rate exceeded")

    def _team_role(self) -> str:
        number = self._random.randrange(ROLES)
        return f"{TEAMS[number % len(TEAMS)]}-runtime-{number}"

    def _principals(self) -> list[Callable[[float], Call]]:
        found = [self._workload(number) for number in range(WORKLOADS)]
        found += [self._person(number) for number in range(PEOPLE)]
        found += [self._user(number) for number in range(USERS)]
        self._random.shuffle(found)
        return found

    def _anyone(self) -> Callable[[float], Call]:
        number = self._random.randrange(PEOPLE + USERS)
        return self._person(number) if number < PEOPLE else self._user(number - PEOPLE)

    def _workload(self, number: int) -> Callable[[float], Call]:
        role, address = (
            f"{TEAMS[number % len(TEAMS)]}-service-{number}",
            f"192.0.2.{number % 250 + 1}",
        )

        def call(time: float) -> Call:
            session = f"i-{self._random.getrandbits(48):012x}"
            return Call(identity(PrincipalKind.ROLE, role, session), time, address)

        return call

    def _person(self, number: int) -> Callable[[float], Call]:
        who = identity(PrincipalKind.SSO, f"person{number}@example.com", "")
        return lambda time: Call(who, time, f"203.0.113.{self._random.randrange(10, 60)}")

    def _user(self, number: int) -> Callable[[float], Call]:
        who = identity(PrincipalKind.USER, f"user{number}", "")
        return lambda time: Call(who, time, f"203.0.113.{self._random.randrange(60, 90)}")
