"""Minutes from the record that crosses the threshold to the alert, over all phases."""

import statistics

from benchmarks.data import REPO
from benchmarks.measure import Figure
from local_panther.content.load import loaded_content
from local_panther.detection.store import key_value_store


def measure(records: int) -> list[Figure]:
    """Return median and worst for the correlation rule; the signal's own alert waits for nothing.

    CloudTrail's delivery, up to 15 minutes, comes on top of both.
    """
    with key_value_store(), loaded_content(REPO) as content:
        (_, rule) = content.correlation_rules[0]
    waits = [rule.schedule.next_run(second) - second for second in range(0, rule.schedule.rate)]
    return [
        Figure("correlation alert, median", statistics.median(waits) / 60, "min"),
        Figure("correlation alert, worst", max(waits) / 60, "min"),
        Figure("signal with its alert turned on, worst", 0, "min"),
    ]
