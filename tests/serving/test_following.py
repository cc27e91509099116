"""Files that are delivered one by one give the results of one replay of all of them."""

from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_panther.instance.alerts.incident_store import IncidentFilter
from local_panther.instance.alerts.model import AlertFilter
from local_panther.instance.alerts.store import AlertStore
from local_panther.lake.reading import LakeReader
from local_panther.records.arrivals import OutOfPlace
from local_panther.records.trail import Trail
from local_panther.replay import replay
from local_panther.serving import findings, recorder
from local_panther.serving.following import Following, following
from local_panther.serving.orders import Order
from local_panther.serving.recorder import Recorder
from local_panther.serving.results import Results
from local_panther.simulate.ordinary import background
from local_panther.simulate.scenario import Scenario, attack
from tests.builders.content import write_files, write_lines
from tests.builders.events import START, call
from tests.scale import examples
from tests.serving.conftest import content_files

pytestmark = pytest.mark.process

WAITING = 600.0
TABLES = {
    "panther_logs": ["aws_cloudtrail"],
    "panther_signals": ["aws_cloudtrail", "scheduled_rules", "correlation_signals"],
    "panther_rule_matches": ["aws_cloudtrail", "scheduled_rules"],
}
# Rules whose signals depend on the order of all events: one counts in its module, one in the
# key-value store.
COUNTING = """
from panther_detection_helpers.caching import increment_counter

seen = 0

def rule(event):
    global seen
    seen += 1
    return seen % 3 == 0

def dedup(event):
    return event.get("eventName")

def alert_context(event):
    return {"seen": seen, "stored": increment_counter("all"), "id": event.get("eventID")}
"""
SPEC = """AnalysisType: rule
RuleID: Test.Counting
Enabled: true
Filename: counting.py
LogTypes: [AWS.CloudTrail]
Severity: Low
Threshold: 2
DedupPeriodMinutes: 15
"""


@pytest.fixture(scope="session")
def content(tmp_path_factory) -> Path:
    counting = {"rules/counting.py": COUNTING, "rules/counting.yml": SPEC}
    return write_files(tmp_path_factory.mktemp("followed"), content_files() | counting)


class Follower:
    """A replay in this process that adds delivered files, or starts again for a late one."""

    def __init__(self, content: Path, logs: Path, folder: Path) -> None:
        self.content, self.logs, self.folder = content, logs, folder
        self.stack = ExitStack()
        self.replay: Following | None = None
        self.files: set[str] = set()
        self.orders = self.again = 0

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.stack.close()

    def results(self) -> Results:
        files = {str(path) for path in self.logs.iterdir()}
        if self.replay:
            try:
                return self.add(files - self.files)
            except OutOfPlace:
                self.again += 1
                self.stack.close()
        folder = self.folder / f"run-{self.again}"
        folder.mkdir()
        run = following(self.content, folder, [str(self.logs)], 1, WAITING)
        self.replay = self.stack.enter_context(run)
        self.orders = 0
        return self.add(files)

    def add(self, files: set[str]) -> Results:
        self.orders += 1
        order = Order(self.orders, [str(self.logs)], list(files))
        results = order.results(self.folder / f"run-{self.again}")
        assert self.replay.add(order, results)
        self.files |= files
        return results


def everything(content: Path, logs: Path, folder: Path) -> Results:
    """Return the results of one replay of all files."""
    results = Results(folder / "results")
    (folder / "records").mkdir(parents=True)
    results.databases.mkdir(parents=True)
    with closing(Recorder(folder / "records")) as observer:
        outcome = replay(Trail([str(logs)]), content, observer=observer, with_timelines=True)
        observer.finish(outcome, results)
    return results


def take(store: AlertStore, results: Results) -> None:
    kept = results.read_kept_events()
    incidents = results.read_incidents(), results.read_ranks()
    store.take(results.read_alerts(), results.read_events(), {}, kept, *incidents)


def held(store: AlertStore) -> dict:
    found = [kept.found for kept in store.find(AlertFilter(), -1)]
    return {alert.id: (alert, store.events(alert.id, 0, 10_000)) for alert in found}


def incidents(store: AlertStore) -> dict:
    """Return all incidents of the latest replay, in full."""
    found = {}
    for row in store.incidents.find(IncidentFilter(), -1):
        _, plain = store.incidents.get(row.id)
        if row.number is not None:
            found[row.number] = (row, {**plain, "number": row.number})
    return found


def rows(results: Results) -> dict[str, Counter]:
    """Return all rows of the lake, by table."""
    with closing(LakeReader(results.databases)) as reader:
        return {
            f"{database}.{table}": Counter(
                map(
                    repr,
                    reader.cursor().execute(f"SELECT * FROM {database}.public.{table}").fetchall(),
                )
            )
            for database, tables in TABLES.items()
            for table in tables
        }


def summary(results: Results) -> dict:
    found = results.read_summary()
    return {name: found[name] for name in ("files", "records", "first", "last", "bytes", "errors")}


def trail(random: Random, files: int) -> list[list[dict]]:
    """Return files of some hours with an attack that succeeds; their times overlap."""
    hours = 3
    blocked = "arn:aws:iam::123456789012:role/FullAdminRole"
    scenario = Scenario(
        start=START + random.uniform(0, hours - 1) * 3600,
        succeed=2,
        principals=random.choice([1, 2]),
        minutes=random.choice([10, 40]),
        discovery_last=random.random() < 0.5,
        blocklisted=blocked,
    )
    records = [*attack(scenario, random), *background(60, START, random)]
    for record in background(60, START, random):
        record["eventTime"] = call("x", time=START + random.uniform(0, hours) * 3600)["eventTime"]
        records.append(record)
    records.sort(key=lambda record: record["eventTime"])
    split: list[list[dict]] = [[] for _ in range(files)]
    for number, record in enumerate(records):
        place = number * files // len(records)
        jittered = place + random.choice([0] * 8 + [-1, 1])
        split[min(max(jittered, 0), files - 1)].append(record)
        if random.random() < 0.03:  # delivered again
            split[random.randrange(place, files)].append(record)
    return split


@settings(max_examples=examples(4, 60))
@given(st.integers(0, 10**6), st.integers(2, 9))
def test_files_in_any_order_give_the_results_of_a_replay_of_all(
    tmp_path_factory, content, seed, count
):
    random = Random(seed)
    part = random.choice([1, 40, 10**6])
    with (
        patch.object(recorder, "PART_RECORDS", part),
        patch.object(findings, "PART_BYTES", 2000 * part),
    ):
        assert_equal_to_replays_of_all(tmp_path_factory, content, random, count)


def assert_equal_to_replays_of_all(tmp_path_factory, content, random, count):
    folder = tmp_path_factory.mktemp("split")
    logs = folder / "logs"
    logs.mkdir()
    split = trail(random, count)
    order = sorted(range(count), key=lambda number: number + random.choice([0, 0, 0, 1.5, 4]))
    with (
        Follower(content, logs, folder) as follower,
        closing(AlertStore(folder)) as followed,
    ):
        (folder / "all").mkdir()
        with closing(AlertStore(folder / "all")) as replayed:
            while order:
                for _ in range(random.choice([1, 1, 2, 3])):
                    if order:
                        number = order.pop(0)
                        write_lines(logs / f"{number}.json", split[number])
                found = follower.results()
                wanted = everything(content, logs, folder / f"all-{len(order)}")
                assert summary(found) == summary(wanted)
                assert rows(found) == rows(wanted)
                take(followed, found)
                take(replayed, wanted)
                assert held(followed) == held(replayed)
                assert incidents(followed) == incidents(replayed)
            assert held(followed) and any(row.entered for row, _ in incidents(followed).values())
