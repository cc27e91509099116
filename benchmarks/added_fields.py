"""Measures the cost of the fields that an instance adds: to wanted records, to none and to all."""

import time
from unittest.mock import patch

from benchmarks.data import REPO, generated_files
from benchmarks.measure import Figure, best_seconds
from local_panther.content.load import loaded_content
from local_panther.content.model import EventNames, united
from local_panther.records import scan
from local_panther.records.model import Tally
from local_panther.records.reader import Reader

MOST_RECORDS = 100_000  # one process is enough to compare
RUNS = 5


def measure(records: int) -> list[Figure]:
    """Return records a second of a reader that looks for calls of this repository's rules."""
    count = min(records, MOST_RECORDS)
    files = [str(path) for path in generated_files(count, days=1.0)]
    with loaded_content(REPO) as content:
        wanted = united(rule.event_names for rule in content.rules)

    def read(names: EventNames) -> None:
        for _ in Reader(names, Tally()).read(files):
            pass

    def read_without() -> None:
        with patch.object(scan, "panther_fields", lambda *_: {}):
            read(wanted)

    ways = {
        "ours": lambda: read(wanted),
        "with no fields added": read_without,
        "with fields added to every record": lambda: read(None),
    }
    seconds = best_seconds(ways, RUNS, time.process_time)
    ours = count / seconds.pop("ours")
    figures = []
    for way, needed in seconds.items():
        beside = count / needed
        ratio, least = ours / beside, 0.9 if "no fields" in way else 0
        goal = f"≥ {least:g}" if least else ""
        figures.append(
            Figure(f"reading, beside {way}", ours, "records/s", beside, ratio, goal, ratio >= least)
        )
    return figures
