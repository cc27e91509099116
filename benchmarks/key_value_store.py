"""Measures the state's calls, write units and bytes, compared with one set of all targets."""

import math
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any
from unittest.mock import patch

import botocore.client
from panther_core.enriched_event import PantherEvent
from panther_detection_helpers import caching

from benchmarks.data import REPO, event_mix
from benchmarks.measure import Figure
from local_panther.content.load import loaded_content
from local_panther.content.model import Content
from local_panther.detection.store import ordinary_table
from local_panther.simulate.identities import ACCOUNT, PrincipalKind, identity
from local_panther.simulate.shapes import Call, Shapes

KB = 1024
MALLORY = identity(PrincipalKind.USER, "mallory", "")
MAX_ORDINARY = 1000  # distinct roles beyond which the ordinary way takes too long to measure

Take = Callable[[PantherEvent], Any]


class _Meter:
    """A counter of calls and of write units: one for each KB of the whole item that is written."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.units = 0
        self.largest = 0

    def __enter__(self) -> "_Meter":
        original = botocore.client.BaseClient._make_api_call

        def metered(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
            self.calls[operation] += 1
            try:
                return original(client, operation, arguments)
            finally:
                if operation == "UpdateItem":
                    table: Any = caching.kv_table()
                    item = table.meta.client
                    size = _size(
                        original(
                            item,
                            "GetItem",
                            {"TableName": arguments["TableName"], "Key": arguments["Key"]},
                        ).get("Item", {})
                    )
                    self.units += max(math.ceil(size / KB), 1)
                    self.largest = max(self.largest, size)

        self._patch = patch.object(botocore.client.BaseClient, "_make_api_call", metered)
        self._patch.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._patch.stop()

    @property
    def total(self) -> int:
        """Number of all calls."""
        return self.calls.total()


def _size(item: dict[str, Any]) -> int:
    return sum(len(str(key)) + _length(value) for key, value in item.items())


def _length(value: Any) -> int:
    return sum(map(len, value)) if isinstance(value, (set, list)) else len(str(value))


def measure(records: int) -> list[Figure]:
    """Return calls on the mix, and write units of bursts of growing size.

    An attempt is written twice, for its principal and for the account of its role. Within a burst,
    the marks of the principal are read. A new item costs another call, as panther_detection_helpers
    first looks for one that has not expired. So does a clean-up, once in twenty roles.
    """
    figures = [_mix()]
    for roles in (10, 100, 1000, 10_000):
        name = f"{roles:,} distinct roles"
        ours = _burst(roles, roles, _rule)
        beside = _burst(roles, roles, _ordinary).units if roles <= MAX_ORDINARY else None
        ratio = beside / ours.units if beside else None
        figures.append(Figure(name, ours.units, "write units", beside, ratio))
        met = ours.largest < 16 * KB
        item = Figure(f"{name}: largest item", ours.largest, "bytes", goal="< 16 KB", met=met)
        calls = ours.total / roles
        figures += [item, _calls(name, calls, "≤ 3.2", met=calls <= 3.2)]
    name, times = "one role, 10,000 times", 10_000
    ours, plain = _burst(1, times, _rule), _burst(1, times, _ordinary)
    ratio, calls = plain.units / ours.units, ours.total / times
    figures.append(Figure(name, ours.units, "write units", plain.units, ratio))
    return [*figures, _calls(name, calls, "< 1", met=calls < 1)]


def _calls(name: str, calls: float, goal: str, *, met: bool) -> Figure:
    return Figure(f"{name}: calls per attempt", calls, "calls", goal=goal, met=met)


def _mix() -> Figure:
    events = [PantherEvent(record) for record in event_mix()]
    with ordinary_table(), loaded_content(REPO) as content, _Meter() as meter:
        rules = [rule.detection for rule in content.rules]
        others = [e for e in events if not e.get("errorCode") and e.get("eventName") != "ListRoles"]
        for event in others:
            for rule in rules:
                rule.run(event, {}, {}, batch_mode=True)
    calls = 1000 * meter.total / len(others)
    name = "calls per 1,000 events that are no attempt or discovery"
    return Figure(name, calls, "calls", goal="0", met=calls == 0)


def _rule(content: Content) -> Take:
    (rule,) = [r for r in content.rules if r.metadata.rule_id.endswith("FailedRoleAttempts")]
    return lambda event: rule.detection.module.rule(event)


def _ordinary(_: Content) -> Take:
    def add(event: PantherEvent) -> None:
        target = str(event.get("errorMessage")).rsplit(" ", 1)[-1]
        caching.add_to_string_set("ordinary", target, epoch_seconds=3600)

    return add


def _burst(roles: int, attempts: int, prepare: Callable[[Content], Take]) -> _Meter:
    shapes = Shapes(Random(1))
    with ordinary_table(), loaded_content(REPO) as content, _Meter() as meter:
        take = prepare(content)
        for i in range(attempts):
            call = Call(MALLORY, 1_767_607_200 + i * 3600 / max(attempts, 3600), "198.51.100.23")
            arn = f"arn:aws:iam::{ACCOUNT}:role/TeamRole{i % roles:05}"
            take(PantherEvent(shapes.denied_assume_role(call, arn)))
    return meter
