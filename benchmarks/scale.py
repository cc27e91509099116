"""Measures the figures of docs/scale.md: the records of a terabyte of CloudTrail, and memory.

Times are processor time, not wall time: the work for a record is the same on a busy machine.
"""

import gzip
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from isal import igzip

from benchmarks.data import REPO, generated_files, recorded_files
from benchmarks.measure import Figure
from local_panther.alerts.grouping import AlertGrouper
from local_panther.content.load import loaded_content
from local_panther.content.model import Metadata, PythonRule
from local_panther.detection.signals import Signal
from local_panther.records.files import find_files
from local_panther.records.model import Tally
from local_panther.records.order import RecentIds
from local_panther.records.s3 import S3
from local_panther.records.scan import Scanner

RECORDS = 100_000
RUNS = 3
ROLE_CALLS = frozenset({"AssumeRole", "ListRoles", "UpdateAssumeRolePolicy"})
PAGE = 1000  # objects that S3 lists in one answer
LISTED, ALERTS, IDS = 100_000, 10_000, 400_000


def measure(_: int) -> list[Figure]:
    """Return sizes and processor time of a record, and the memory of data that grows, in bytes."""
    paths = generated_files(RECORDS, days=1)
    packed = sum(path.stat().st_size for path in paths)
    plain = sum(len(_unpacked(path)) for path in paths)
    unpacking = _processor_seconds(lambda: [_unpacked(path) for path in paths])
    rule = _alerting_rule()
    scanning = _processor_seconds(lambda: _scan(paths))
    return [
        *_recorded(),
        Figure("a record as JSON", plain / RECORDS, "bytes"),
        Figure("a record in a gzipped file", packed / RECORDS, "bytes"),
        Figure("processor time to unpack a record", unpacking / RECORDS * 1e6, "µs"),
        Figure(
            "processor time to scan a record, beside unpacking it",
            scanning / RECORDS * 1e6,
            "µs",
            unpacking / RECORDS * 1e6,
            scanning / unpacking,
        ),
        Figure("memory of a file in the list", _memory(_listed) / LISTED, "bytes"),
        Figure("memory of an alert of one event", _memory(lambda: _alerts(rule)) / ALERTS, "bytes"),
        Figure("memory of all remembered eventIDs", _memory(_ids) / 1e6, "MB"),
    ]


def _recorded() -> list[Figure]:
    """Return the sizes of recorded records, a thousand in a file, if there are any."""
    lines = [line for path in recorded_files() for line in path.read_bytes().splitlines()]
    parts = [lines[i : i + 1000] for i in range(0, len(lines), 1000)]
    texts = [b'{"Records":[' + b",".join(part) + b"]}" for part in parts]
    if not texts:
        return []
    packed = sum(len(gzip.compress(text)) for text in texts)
    return [
        Figure("a recorded record as JSON", sum(map(len, texts)) / len(lines), "bytes"),
        Figure("a recorded record in a gzipped file", packed / len(lines), "bytes"),
    ]


def _unpacked(path: Path) -> bytes:
    found: bytes = igzip.decompress(path.read_bytes())  # type: ignore[no-untyped-call]
    return found


def _scan(paths: list[Path]) -> None:
    scanner = Scanner(ROLE_CALLS, S3())
    for path in paths:
        for _ in scanner.scan(str(path)):
            pass


def _processor_seconds(work: Callable[[], Any]) -> float:
    best = float("inf")
    for _ in range(RUNS):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def _memory(make: Callable[[], Any]) -> int:
    """Return the memory of the objects that a function creates, in bytes."""
    tracemalloc.start()
    made = make()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del made
    return size


class _Client:
    """A client of an imaginary bucket, to measure the memory that its answers take."""

    def get_paginator(self, _: str) -> "_Client":
        return self

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        """Yield pages in the form of `list_objects_v2`."""
        logs = "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/01/05"
        name = "123456789012_CloudTrail_eu-west-1_20260105T{:04}Z_{:016}.json.gz"
        for start in range(0, LISTED, PAGE):
            yield {
                "Contents": [
                    {
                        "Key": f"{logs}/{name.format(i % 2400, i)}",
                        "Size": 40_000 + i,
                        "ETag": f'"{i:032x}"',
                    }
                    for i in range(start, start + PAGE)
                ]
            }


class _Bucket(S3):
    """S3 with a `_Client` in place of a real one."""

    def _client(self) -> _Client:
        return _Client()


def _listed() -> tuple[S3, Any]:
    s3 = _Bucket()
    return s3, find_files(["s3://example"], Tally(), s3)


def _alerting_rule() -> PythonRule:
    """Return a rule that raises an alert for each signal."""
    with loaded_content(REPO) as content:
        return next(r for r in content.rules if r.metadata.creates_alert and r.threshold == 1)


def _alerts(rule: PythonRule) -> AlertGrouper:
    grouper = AlertGrouper([rule])
    for i in range(ALERTS):
        grouper.add(_signal(rule.metadata, i))
    return grouper


def _signal(metadata: Metadata, number: int) -> Signal:
    name = f"user-{number}"
    event = {
        "eventName": "AssumeRole",
        "eventTime": f"2026-01-05 10:00:00.{number:09}",
        "sourceIPAddress": f"198.51.100.{number % 256}",
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::123456789012:user/{name}"},
        "requestParameters": {"roleArn": f"arn:aws:iam::123456789012:role/{name}"},
        "p_row_id": f"{number:032}",
    }
    return Signal(
        metadata=metadata,
        time=float(number),
        made_at=float(number),
        event_id=f"event-{number}",
        event=event,
        context={"principal": name},
        title=f"Example: {name}",
        dedup=name,
        unique=None,
        severity="HIGH",
        description="",
        runbook="",
        reference="",
    )


def _ids() -> Any:
    ids = RecentIds()
    for number in range(IDS - 1):
        ids.is_repeated(f"00000000-0000-4000-8000-{number:012}")
    return ids
