"""Measures the cost of each rule per event, compared with a plain Python rule of the same logic."""

import os
import time
from collections.abc import Callable, Iterable

# As on an instance, which discards what rules print. panther_core reads it when it is imported.
os.environ["DISABLE_DETECTION_OUTPUT"] = "true"

from panther_core.enriched_event import PantherEvent
from panther_core.rule import Rule

from benchmarks.data import REPO, event_mix, event_mix_name
from benchmarks.measure import Figure, best_seconds
from local_panther.content.load import loaded_content
from local_panther.detection.store import key_value_store

FAILED_ATTEMPT = """
CALLS = ("AssumeRole", "AssumeRoleWithWebIdentity", "UpdateAssumeRolePolicy")

def rule(event):
    if event.get("eventName") not in CALLS:
        return False
    return bool(event.get("errorCode") or event.get("errorMessage"))
"""
PLAIN = {
    "AWS.CloudTrail.IAMAssumeRoleBlacklistIgnored": """
BLOCKLIST = ["arn:aws:iam::123456789012:role/FullAdminRole"]

def rule(event):
    if event.get("eventName") != "AssumeRole":
        return False
    if event.get("errorCode") or event.get("errorMessage"):
        return False
    if event.deep_get("userIdentity", "type") not in ("IAMUser", "FederatedUser"):
        return False
    return event.deep_get("requestParameters", "roleArn") in BLOCKLIST
""",
    "AWS.CloudTrail.IAMListRoles": """
def rule(event):
    if event.get("eventName") != "ListRoles":
        return False
    return event.get("eventSource") == "iam.amazonaws.com"
""",
    "AWS.CloudTrail.MultipleFailedRoleAttempts": FAILED_ATTEMPT,
    "AWS.CloudTrail.RoleSearch": FAILED_ATTEMPT,
}

# Lower bound for a rule about several calls: one IsIn that never holds.
LEAST = {"statement": {"target": "eventName", "operator": "in", "value": ["never", "ever"]}}


def measure(records: int) -> list[Figure]:
    """Return events per second of each rule and of all together."""
    events = [PantherEvent(record) for record in event_mix()]
    plain = {name: Rule({"id": name, "versionId": "", "body": b}) for name, b in PLAIN.items()}

    def running(rules: Iterable[Rule]) -> Callable[[], None]:
        chosen = list(rules)

        def run() -> None:
            for event in events:
                for rule in chosen:
                    rule.run(event, {}, {}, batch_mode=True)

        return run

    with key_value_store(), loaded_content(REPO, include_disabled=True) as content:
        ours = {rule.metadata.rule_id: rule.detection for rule in content.rules}
        ways = {f"ours {name}": running([rule]) for name, rule in ours.items()}
        ways |= {f"plain {name}": running([rule]) for name, rule in plain.items()}
        ways["ours"] = running(ours.values())
        body = "def rule(event):\n    return True\n"
        least = Rule({"id": "least", "versionId": "", "body": body, "filters": LEAST})
        ways["least"] = running([least] * len(ours))
        best = {
            name: len(events) / seconds
            for name, seconds in best_seconds(ways, 9, time.process_time).items()
        }
    figures = []
    for name in ours:
        value, beside = best[f"ours {name}"], best[f"plain {name}"]
        ratio = value / beside
        title = f"{name}, {event_mix_name()}"
        figures.append(Figure(title, value, "events/s", beside, ratio, "≥ 1.1", ratio >= 1.1))
    average = sum(best[f"plain {name}"] for name in plain) / len(plain)
    cost = average / best["ours"]
    figures.append(Figure("all rules, in plain rules", best["ours"], "events/s", average, cost))
    floor = average / best["least"]
    name = "as many rules that never match, in plain rules"
    figures.append(Figure(name, best["least"], "events/s", average, floor))
    near = cost / floor
    name = "cost of all rules, beside as many that never match"
    beside = best["least"]
    figures.append(Figure(name, best["ours"], "events/s", beside, near, "≤ 1.25", near <= 1.25))
    return figures
