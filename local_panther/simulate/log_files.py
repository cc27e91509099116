"""Delivers records as CloudTrail does: late, out of order, twice, and in files."""

import gzip
import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from random import Random

from local_panther.box.writing import write_bytes
from local_panther.simulate.shapes import Record
from local_panther.times import clock, parse_time

MAX_DELAY_SECONDS = 15 * 60  # CloudTrail's usual delivery
FILE_SECONDS = 5 * 60  # seconds of deliveries in one file


def deliver(
    records: Iterable[Record], random: Random, *, shuffle: bool, duplicates: float
) -> list[tuple[float, Record]]:
    """Return the times of delivery (seconds since 1970) and records, in the order of delivery.

    Args:
        records: Records in any order.
        random: Source of delays and duplicates.
        shuffle: Deliver each record up to 15 minutes late; otherwise in the order of event times.
        duplicates: Share (0 to 1) of the records that are delivered twice.
    """
    delivered = []
    for record in records:
        time = parse_time(record["eventTime"]) or 0
        copies = 2 if random.random() < duplicates else 1
        for _ in range(copies):
            delay = random.uniform(0, MAX_DELAY_SECONDS) if shuffle else 0
            delivered.append((time + delay, record))
    return sorted(delivered, key=lambda pair: pair[0])


def write(delivered: list[tuple[float, Record]], output: str) -> int:
    """Write records to a folder, a file or standard output.

    Args:
        delivered: Times of delivery and records, from `deliver`.
        output: A folder, which gets gzipped files laid out and named as in a bucket; a file that
            ends in .jsonl, .ndjson or .json, optionally with .gz; or "-" for standard output, one
            record a line.

    Returns:
        Number of files written.
    """
    records = [record for _, record in delivered]
    if output == "-":
        sys.stdout.write(_lines(records))
        return 0
    path = Path(output)
    name = path.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".ndjson", ".json")):
        path.parent.mkdir(parents=True, exist_ok=True)
        text = _envelope(records) if name.endswith(".json") else _lines(records)
        write_bytes(path, _packed(text) if path.suffix == ".gz" else text.encode())
        return 1
    return _write_folder(delivered, path)


def _write_folder(delivered: list[tuple[float, Record]], folder: Path) -> int:
    """Write files as CloudTrail delivers them to a bucket: by account, region and day."""
    files: dict[tuple[float, str, str], list[Record]] = defaultdict(list)
    for time, record in delivered:
        delivery = time // FILE_SECONDS * FILE_SECONDS + FILE_SECONDS
        files[delivery, record["recipientAccountId"], record["awsRegion"]].append(record)
    for number, ((time, account, region), records) in enumerate(files.items()):
        day = clock(time, "%Y/%m/%d")
        stamp = clock(time, "%Y%m%dT%H%MZ")
        name = f"{account}_CloudTrail_{region}_{stamp}_Generated{number:07}.json.gz"
        path = folder / "AWSLogs" / account / "CloudTrail" / region / day / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, _packed(_envelope(records)))
    return len(files)


def _envelope(records: list[Record]) -> str:
    return json.dumps({"Records": records}, separators=(",", ":"))


def _lines(records: list[Record]) -> str:
    return "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)


def _packed(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)
