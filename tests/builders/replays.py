"""Runs simulations and replays in tests."""

import signal
import subprocess
from pathlib import Path
from random import Random

from local_panther.alerts.model import Alert
from local_panther.records.trail import Trail
from local_panther.replay import Outcome, replay
from local_panther.simulate.log_files import deliver, write
from local_panther.simulate.ordinary import background
from local_panther.simulate.scenario import Scenario, attack
from tests.builders.events import START
from tests.builders.rules import BLOCKLIST as BLOCKLIST_FILE
from tests.builders.rules import spec_of
from tests.builders.unlisted import CONTENT

ROLE_SEARCH = "AWS.CloudTrail.RoleSearch"
CORRELATION = "AWS.CloudTrail.ListRoles.WITH.MultipleFailedRoleAttempts"
BLOCKLIST = "AWS.CloudTrail.IAMAssumeRoleBlacklistIgnored"
SUCCEEDED = "AWS.CloudTrail.RoleEscalationSucceeded"
FAILED_ATTEMPTS = "AWS.CloudTrail.MultipleFailedRoleAttempts"

# Runs a command and prints its peak memory in KB as the last line. It runs in a process of its own,
# since Linux charges a command with the memory of the process that started it.
MEASURED = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stderr=subprocess.STDOUT).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status if status >= 0 else 1)
"""


def simulated(
    output: Path, seed: int = 1, ordinary: int = 100, shuffle=False, duplicates=0.0, **scenario
) -> Path:
    """Write a simulation to a file or folder."""
    random = Random(seed)
    options = {"start": START, **scenario}
    records = [*attack(Scenario(**options), random), *background(ordinary, START, random)]
    write(deliver(records, random, shuffle=shuffle, duplicates=duplicates), str(output))
    return output


def replayed(
    *paths: Path, content: Path = CONTENT, include_disabled: bool = False, workers: int = 1
) -> Outcome:
    trail = Trail([str(path) for path in paths], workers=workers)
    return replay(trail, content, include_disabled=include_disabled)


def blocklist_is_enabled() -> bool:
    """Return whether the owner of this repository has enabled the blocklist."""
    return spec_of(BLOCKLIST_FILE)["Enabled"]


def search_alerts(outcome: Outcome) -> list[Alert]:
    """Return the alerts about searches, of the streaming rule and of the correlation rule."""
    return [a for a in outcome.alerts if a.metadata.rule_id in (ROLE_SEARCH, CORRELATION)]


def started(command: list, **options) -> subprocess.Popen:
    """Start a command, connected by pipes, that a test will interrupt.

    A test run in the background ignores Ctrl-C, and its child processes would inherit that.
    """
    return subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )
