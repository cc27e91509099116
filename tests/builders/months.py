"""A generated month of CloudTrail: pipelines that alert daily, and searches, some successful."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

from local_panther.simulate.identities import PrincipalKind, identity
from local_panther.simulate.ordinary import background
from local_panther.simulate.scenario import Api, Scenario, attack
from local_panther.simulate.shapes import Call, Shapes
from tests.builders.events import START

DAY = 86_400
PIPELINE_ADDRESS = "203.0.113.44"
ACCOUNTS = 12  # in which a pipeline fails on one role name: a fan-out


def month(folder: Path, *, pipelines: int, days: int = 28, ordinary: int = 2000) -> Path:
    """Write a month of CloudTrail in which each pipeline alerts once a day.

    It also has a search by users that fails, a person of Identity Center who gets into two roles,
    and a user who tries many trust policies and changes one. None of these callers is a role, since
    a role can be an expected principal.
    """
    random = Random(7)
    records = [*background(ordinary, START + 3 * DAY, random)]
    for number in range(pipelines):
        for day in range(days):
            records += _fan_out(f"Pipeline{number}Role", START + day * DAY + 600 * number, random)
    searches = [
        Scenario(start=START + 2 * DAY, principals=3, roles=36),
        Scenario(start=START + 9 * DAY, principal=PrincipalKind.SSO, succeed=2, roles=16),
        Scenario(start=START + 9 * DAY + 900, api=Api.UPDATE_TRUST_POLICY, succeed=1, roles=14),
    ]
    for scenario in searches:
        records += attack(scenario, random)
    folder.mkdir(parents=True, exist_ok=True)
    records.sort(key=lambda record: record["eventTime"])
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "month.jsonl").write_text(lines)
    return folder


def _fan_out(name: str, start: float, random: Random) -> Iterator[dict]:
    shapes, who = Shapes(random), identity(PrincipalKind.ROLE, name, "nightly")
    yield shapes.list_roles(Call(who, start, PIPELINE_ADDRESS))
    for number in range(ACCOUNTS):
        role = f"arn:aws:iam::1111222233{number:02}:role/OrganizationReadOnly"
        yield shapes.denied_assume_role(Call(who, start + 5 + number, PIPELINE_ADDRESS), role)
