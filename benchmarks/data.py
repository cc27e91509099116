"""CloudTrail for the benchmarks: recorded if it lies beside the repository, else generated."""

import gzip
import itertools
import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

from local_panther.simulate.ordinary import OrdinaryWork
from local_panther.times import event_time

REPO = Path(__file__).parent.parent
RECORDED = REPO.parent / "shared" / "data"
BUILD = REPO / "build" / ".benchmark"  # hidden, so that it is not searched for content
RECORDS_A_FILE = 1000
ROLE_CALLS = ("AssumeRole", "UpdateAssumeRolePolicy", "ListRoles")
ROLE_CALLS_A_THOUSAND = 8  # under 1 %
GENERATED_EVENTS = 2000
START = 1_767_607_200  # 2026-01-05T10:00:00Z
DAY, YEAR = 86_400, 365 * 86_400

Record = dict[str, Any]


def event_mix() -> list[Record]:
    """Return a few thousand events, of which 0.8 % are role calls.

    The events are recorded if possible, with fewer role calls: the recorded five minutes of
    production have four times as many. Otherwise they are generated.
    """
    recorded = [json.loads(line) for path in recorded_files() for line in path.open()]
    if not recorded:
        share = ROLE_CALLS_A_THOUSAND / 1000
        return list(OrdinaryWork(Random(1), share).records(GENERATED_EVENTS, START, DAY))
    role_calls = [record for record in recorded if record["eventName"] in ROLE_CALLS]
    Random(1).shuffle(role_calls)  # otherwise all would come from the first file
    more = itertools.cycle(role_calls)
    others = [record for record in recorded if record["eventName"] not in ROLE_CALLS]
    every = 1000 // ROLE_CALLS_A_THOUSAND
    mixed: list[Record] = []
    for number, record in enumerate(others):
        mixed.append(record)
        if number % every == 0:
            mixed.append(next(more))
    return mixed


def event_mix_name() -> str:
    """Return the source of the events of `event_mix`, for the table."""
    return "recorded events" if recorded_files() else "generated events"


def generated_files(
    records: int,
    *,
    days: float,
    role_calls: float = ROLE_CALLS_A_THOUSAND / 1000,
    in_file: int = RECORDS_A_FILE,
) -> list[Path]:
    """Return gzipped files of generated records, as AWS delivers them.

    No record repeats another. The files are kept for the next run.

    Args:
        records: Number of records.
        days: Period of the records.
        role_calls: Share (0 to 1) of the records that are AssumeRole or ListRoles.
        in_file: Records in each file.
    """
    folder = BUILD / f"{records}-records-{days:g}-days-{role_calls:g}-role-calls-{in_file}-in-file"
    count = records // in_file
    paths = [folder / f"{number:05}.json.gz" for number in range(count)]
    if all(path.exists() for path in paths):
        return paths
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    work = OrdinaryWork(Random(1), role_calls)
    source = work.records(records, START, days * DAY)
    for path in paths:
        batch = list(itertools.islice(source, in_file))
        text = json.dumps({"Records": batch}, separators=(",", ":"))
        path.write_bytes(gzip.compress(text.encode()))
    return paths


def mixed_files(records: int) -> Path:
    """Return a folder of gzipped files with 1,000 records of the mix each, spread over a day.

    The mix is repeated, each time with other eventIDs and times.

    Args:
        records: Number of records, a multiple of 1,000.
    """
    folder = BUILD / f"{records}-of-the-mix"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    source = enumerate(itertools.islice(itertools.cycle(event_mix()), records))
    for number in range(records // RECORDS_A_FILE):
        batch = [
            record
            | {
                "eventID": f"{n:08x}-0000-4000-8000-000000000000",
                "eventTime": event_time(START + n * DAY // records),
            }
            for n, record in itertools.islice(source, RECORDS_A_FILE)
        ]
        text = json.dumps({"Records": batch}, separators=(",", ":"))
        (folder / f"{number:05}.json.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def recorded_files() -> list[Path]:
    """Return the files of recorded CloudTrail beside the repository; none if they are missing."""
    return sorted(RECORDED.glob("cloudtrail-*.jsonl"))
