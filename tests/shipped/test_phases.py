"""The documented time between burst and discovery holds in every phase of the schedule.

A rule runs at fixed intervals, a burst begins anywhere between two runs, and records arrive late.
Each phase has a principal with the same calls, and all principals are in one replay.
"""

import itertools

import aws_role_escalation_config as config
import pytest
import yaml

from local_panther.records.trail import Trail
from local_panther.replay import replay
from tests.builders.content import write_lines
from tests.builders.events import REPO, START, call, denied, role_arn, user
from tests.builders.replays import CORRELATION

MINUTE = 60
SEARCH = "AWS.CloudTrail.RoleSearch"
T, LOOKBACK = config.THRESHOLD, config.LOOKBACK_MINUTES * MINUTE
PROMISED = (config.WINDOW_MINUTES + 60) * MINUTE
STEP = min(20, config.WINDOW_MINUTES * MINUTE // T)  # seconds between attempts
SPAN = (T - 1) * STEP
DELAYS = (0, 210, 900)  # seconds until a record arrives; AWS documents up to 15 minutes


def rate():
    """Return the seconds between two runs of the correlation rule."""
    specs = map(yaml.safe_load, (p.read_text() for p in REPO.glob("correlation_rules/*.yml")))
    (spec,) = (spec for spec in specs if spec["RuleID"] == CORRELATION)
    return spec["Detection"][0]["Schedule"]["RateMinutes"] * MINUTE


RATE = rate()
# A second after each half minute: a record that arrives a second after a run waits longest.
PHASES = range(1, RATE, 30)


def alerts_by_phase(tmp_path, discovery, delay):
    """Replay a burst in every phase, with a discovery some seconds after its last attempt.

    Args:
        tmp_path: Folder for the records.
        discovery: Seconds from the last attempt to the discovery; negative if it came before.
        delay: Seconds until a record arrives.

    Returns:
        Seconds from the last attempt to the alert, by rule ID and phase.
    """
    last, records = {}, []
    for phase in PHASES:
        who = user(f"user-{phase}")
        last[who["arn"]] = phase, START + phase + SPAN
        records += [
            denied(role_arn(f"Role{i:03}"), who, START + phase + i * STEP) for i in range(T)
        ]
        records.append(call("ListRoles", who, START + phase + SPAN + discovery))
    named = (record | {"eventID": f"e-{i}"} for i, record in enumerate(records))
    trail = write_lines(tmp_path / "trail.jsonl", sorted(named, key=lambda r: r["eventTime"]))
    outcome = replay(Trail([str(trail)]), REPO, delivery_delay=delay)
    assert outcome.complete
    found = {}
    for alert in outcome.alerts:
        principal = alert.match_value or alert.context["principal"]
        phase, at = last[principal]
        assert alert.severity == "HIGH"
        found.setdefault(alert.metadata.rule_id, {})[phase] = alert.created_at - at
    return found


@pytest.mark.long
@pytest.mark.parametrize(
    ("delay", "discovery"),
    itertools.product(DELAYS, (1, PROMISED // 2, PROMISED)),
)
def test_discovery_up_to_the_promised_time_after_the_last_failure_leads_to_the_alert(
    tmp_path, delay, discovery
):
    (found,) = alerts_by_phase(tmp_path, discovery, delay).items()
    assert found[0] == CORRELATION
    assert set(found[1]) == set(PHASES)
    assert max(found[1].values()) <= discovery + delay + RATE


@pytest.mark.long
@pytest.mark.parametrize("delay", DELAYS)
def test_discovery_first_alerts_as_soon_as_the_last_failure_has_arrived(tmp_path, delay):
    for before in (1, SPAN + 1, PROMISED, LOOKBACK):
        found = alerts_by_phase(tmp_path, -before, delay)
        assert found == {SEARCH: dict.fromkeys(PHASES, delay)}


@pytest.mark.long
@pytest.mark.parametrize("delay", DELAYS)
def test_the_promise_could_reach_as_far_as_the_lookback_less_rate_and_delay(tmp_path, delay):
    """Up to that time every phase has the alert; a minute later, one phase has none."""
    every = LOOKBACK - RATE - delay
    assert every >= PROMISED
    assert set(alerts_by_phase(tmp_path, every, delay)[CORRELATION]) == set(PHASES)
    further = alerts_by_phase(tmp_path, every + MINUTE, delay)[CORRELATION]
    assert set(further) < set(PHASES)
