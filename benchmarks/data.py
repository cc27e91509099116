"""CloudTrail to measure on, made from the recorded files in ../shared/data."""

import gzip
import itertools
import json
import sys
import uuid
from pathlib import Path
from random import Random

REPO = Path(__file__).parent.parent
RECORDED = REPO.parent / "shared" / "data"
FILES = REPO / "build" / "benchmark"
RECORDS_A_FILE = 1000
ROLE_CALLS = ("AssumeRole", "UpdateAssumeRolePolicy", "ListRoles")
ROLE_CALLS_A_THOUSAND = 8  # under 1 %


def mixed_lines() -> list[dict]:
    """Return recorded events in a realistic mix: eight role calls in a thousand.

    The recorded five minutes of production have four times as many.
    """
    if not RECORDED.is_dir():
        sys.exit(f"{RECORDED}: no recorded CloudTrail there to make the data from")
    recorded = [
        json.loads(line) for p in sorted(RECORDED.glob("cloudtrail-*.jsonl")) for line in p.open()
    ]
    role_calls = [r for r in recorded if r["eventName"] in ROLE_CALLS]
    Random(1).shuffle(role_calls)  # or those of the first file would be all
    role_calls = itertools.cycle(role_calls)
    others = [r for r in recorded if r["eventName"] not in ROLE_CALLS]
    every = 1000 // ROLE_CALLS_A_THOUSAND
    mixed = []
    for i, record in enumerate(others):
        mixed.append(record)
        if i % every == 0:
            mixed.append(next(role_calls))
    return mixed


def files(records: int) -> list[Path]:
    """Return gzipped files of 1,000 records each, as AWS delivers them; made where missing."""
    FILES.mkdir(parents=True, exist_ok=True)
    paths = [FILES / f"{number:05}.json.gz" for number in range(records // RECORDS_A_FILE)]
    for path in set(FILES.glob("*.gz")) - set(paths):
        path.unlink()
    if all(path.exists() for path in paths):
        return paths
    source, random = itertools.cycle(mixed_lines()), Random(1)
    for path in paths:
        batch = [dict(next(source)) for _ in range(RECORDS_A_FILE)]
        for record in batch:
            record["eventID"] = str(uuid.UUID(int=random.getrandbits(128), version=4))
        text = json.dumps({"Records": batch}, separators=(",", ":"))
        path.write_bytes(gzip.compress(text.encode()))
    return paths
