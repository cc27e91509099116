"""Measures the minutes from the deciding record to the alert, over all phases of the schedules."""

import json
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.data import REPO
from benchmarks.measure import Figure
from local_panther.records.trail import Trail
from local_panther.replay import replay
from local_panther.simulate.scenario import Scenario, attack
from local_panther.times import parse_time

START = 1_767_607_200  # 2026-01-05T10:00:00Z
CYCLE = 30 * 60  # seconds; every schedule of the content repeats within this time
STEP = 67  # seconds between phases, so that they fall on different seconds of each minute
GOAL_MINUTES = 5  # from the tenth failure, including CloudTrail's delivery
STREAM = "AWS.CloudTrail.RoleSearch"
CORRELATION = "AWS.CloudTrail.ListRoles.WITH.MultipleFailedRoleAttempts"
SUCCEEDED = "AWS.CloudTrail.RoleEscalationSucceeded"


@dataclass(frozen=True)
class Case:
    """An attack, and the alert that it raises.

    Attributes:
        name: Name in the table.
        scenario: Options of the attack.
        rule_id: Rule of the alert.
        number: Number of the deciding failure, from 1 on; 0 for the first success.
        has_goal: True if the alert has to come within GOAL_MINUTES.
    """

    name: str
    scenario: dict[str, Any]
    rule_id: str
    number: int
    has_goal: bool = False


CASES = (
    Case("High, discovery first: from the tenth failure", {}, STREAM, 10, has_goal=True),
    Case(
        "High, no discovery: from the thirtieth failure",
        {"roles": 32, "discovery": False},
        STREAM,
        30,
        has_goal=True,
    ),
    Case(
        "High, discovery afterwards: from the tenth failure",
        {"discovery_last": True},
        CORRELATION,
        10,
    ),
    Case("Critical: from the first success", {"succeed": 1}, SUCCEEDED, 0),
)


def measure(records: int) -> list[Figure]:
    """Replay each attack at every phase of the schedules and measure the time until its alert.

    Each time includes the average delivery of CloudTrail, which can take up to 15 minutes.
    """
    return [figure for case in CASES for figure in _figures(case)]


def _figures(case: Case) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        waits = [_wait(case, phase, Path(folder)) for phase in range(0, CYCLE, STEP)]
    goal = f"<= {GOAL_MINUTES}" if case.has_goal else ""
    for which, of in (("median", statistics.median), ("worst", max)):
        value = of(waits) / 60
        met = not case.has_goal or value <= GOAL_MINUTES
        yield Figure(f"{case.name}, {which}", value, "min", goal=goal, met=met)


def _wait(case: Case, phase: int, folder: Path) -> float:
    """Return the seconds from the deciding record to the alert, for an attack at one phase."""
    found = list(attack(Scenario(start=START + phase, **case.scenario), Random(phase)))
    trail = folder / "trail.json"
    trail.write_text(json.dumps({"Records": found}))
    alerts = replay(Trail([str(trail)]), REPO).alerts
    (created,) = [a.created_at for a in alerts if a.metadata.rule_id == case.rule_id]
    return created - _decided(case, found)


def _decided(case: Case, records: list[dict[str, Any]]) -> float:
    """Return the time of the record that decides."""
    failed = [record for record in records if record.get("errorCode")]
    got_in = [record for record in records if record["responseElements"]]
    decisive = failed[case.number - 1] if case.number else got_in[0]
    time = parse_time(decisive["eventTime"])
    assert time is not None
    return time
