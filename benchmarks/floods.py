"""Measures replays of floods of failed attempts: speed, and memory for many principals.

Speed is in processor time (user and system, of all processes of the command), since the machine may
be busy with other things. Start-up is measured separately and subtracted. The default of 2,000,000
records means a hundred thousand attempts, and a million principals.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.data import BUILD, REPO, START
from benchmarks.measure import ENVIRONMENT, Figure
from local_panther.simulate.identities import ACCOUNT, PrincipalKind, identity
from local_panther.times import event_time

ATTEMPTS_A_SECOND = 10  # in event time
TARGETS = 5  # roles that each principal tries in a flood below the threshold
ROLES = 60  # roles that each principal tries in a flood of searches
MEMORY_MB = 1024

REPLAY = [sys.executable, "-m", "local_panther", "replay"]


def measure(records: int) -> list[Figure]:
    """Return attempts a processor second, and peak memory.

    Args:
        records: Twenty times the number of attempts for the speed, and twice the number of
            principals for the memory.
    """
    attempts, principals = max(records // 20, ROLES), max(records // 2, 10)
    start_up, _ = _run(_flood("one", 1, 1))
    few_targets, _ = _run(_flood("few targets", attempts, max(attempts // TARGETS, 1)))
    searches, _ = _run(_flood("searches", attempts, attempts // ROLES))
    rate, searching = attempts / (few_targets - start_up), attempts / (searches - start_up)
    title = "attempts a processor second"
    figures = [
        Figure(f"{title}, {TARGETS} by principal", rate, "", goal="≥ 5,000", met=rate >= 5000),
        Figure(f"{title}, {ROLES} by principal: signals", searching, ""),
    ]
    _, few = _run(_flood("few principals", principals // 10, principals // 10))
    _, many = _run(_flood("many principals", principals, principals))
    title = f"peak memory, {principals:,} principals, beside a tenth of them"
    goal = f"≤ {MEMORY_MB:,}"
    figures.append(Figure(title, many, "MB", few, many / few, goal, many <= MEMORY_MB))
    return figures


def _flood(name: str, count: int, principals: int) -> Path:
    """Write failed attempts, in which each principal tries one role after the other."""
    path = BUILD / f"flood {name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        file.writelines(json.dumps(record) + "\n" for record in _attempts(count, principals))
    return path


def _attempts(count: int, principals: int) -> Iterator[dict[str, object]]:
    for number in range(count):
        who = identity(PrincipalKind.USER, f"user-{number % principals}", "")
        target = f"arn:aws:iam::{ACCOUNT}:role/role-{number // principals % ROLES}"
        denied = "is not authorized to perform: sts:AssumeRole on resource"
        yield {
            "userIdentity": who,
            "eventTime": event_time(START + number / ATTEMPTS_A_SECOND),
            "eventSource": "sts.amazonaws.com",
            "eventName": "AssumeRole",
            "awsRegion": "us-east-1",
            "sourceIPAddress": "203.0.113.10",
            "userAgent": "generated for a benchmark",
            "eventID": f"event-{number}",
            "recipientAccountId": ACCOUNT,
            "errorCode": "AccessDenied",
            "errorMessage": f"User: {who['arn']} {denied}: {target}",
        }


def _run(trail: Path) -> tuple[float, float]:
    """Replay and remove a file; return processor seconds and peak memory in MB."""
    command = [*REPLAY, str(trail)]
    process = subprocess.Popen(
        command,
        cwd=REPO,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"the replay of {trail} failed: {printed}")
    trail.unlink()
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
