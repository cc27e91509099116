"""Minutes from the record that crosses the threshold to the alert, over all phases."""

import json
import shutil
import statistics
import tempfile
from pathlib import Path
from random import Random

from benchmarks.data import REPO
from benchmarks.measure import Figure
from local_panther.replay import replay
from local_panther.simulate.scenario import Scenario, attack
from local_panther.times import iso

START = 1_767_607_200  # 2026-01-05T10:00:00Z
CYCLE = 60 * 60  # seconds; every schedule of the content repeats in it
STEP = 67  # seconds between phases, so that they fall on different seconds of each minute
THRESHOLD = 10
SIGNAL = "AWS.CloudTrail.MultipleFailedRoleAttempts"
CORRELATION = "AWS.CloudTrail.ListRoles.WITH.MultipleFailedRoleAttempts"


def measure(records: int) -> list[Figure]:
    """Replay one attack at every phase of the schedule and measure how long its alerts take.

    The alert of the signal, which is off by default, is turned on. The average time of CloudTrail's
    delivery is in both; it can be 15 minutes.
    """
    waits: dict[str, list[float]] = {SIGNAL: [], CORRELATION: []}
    with tempfile.TemporaryDirectory() as folder:
        content, trail = Path(folder) / "content", Path(folder) / "trail.json"
        _copy_with_alert(content)
        for phase in range(0, CYCLE, STEP):
            found = list(attack(Scenario(start=START + phase), Random(phase)))
            trail.write_text(json.dumps({"Records": found}))
            crossing = _crossing(found)
            for alert in replay([str(trail)], content).alerts:
                waits[alert.metadata.rule_id].append(alert.created_at - crossing)
    return [
        Figure(f"{name}, {which}", of(waits[rule]) / 60, "min")
        for rule, name in ((CORRELATION, "correlation alert"), (SIGNAL, "alert of the signal"))
        for which, of in (("median", statistics.median), ("worst", max))
    ]


def _copy_with_alert(content: Path) -> None:
    """Copy the content and turn the alert of the signal on."""
    for folder in ("rules", "correlation_rules", "global_helpers", "data_models", "queries"):
        shutil.copytree(REPO / folder, content / folder)
    sidecar = content / "rules/aws_cloudtrail_rules/aws_multiple_failed_role_attempts.yml"
    text = sidecar.read_text()
    if "CreateAlert: false" not in text:
        raise SystemExit(f"{sidecar.name}: has no CreateAlert: false to turn on")
    sidecar.write_text(text.replace("CreateAlert: false", "CreateAlert: true"))


def _crossing(records: list[dict]) -> float:
    """Return the time of the failure that is the tenth."""
    failed = sorted(record["eventTime"] for record in records if record.get("errorCode"))
    return next(t for t in range(START, START + 2 * CYCLE) if iso(t) == failed[THRESHOLD - 1])
