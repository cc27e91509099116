"""Records per second of the replay, beside a plain gzip-and-json loop over the same files.

    .venv/bin/python benchmarks/replay_speed.py [RECORDS]

The files hold 1,000 records each, as AWS delivers them, made from the recorded CloudTrail in
../shared/data: every record is repeated with an eventID of its own. All are read in turns, and the
best of three runs counts.
"""

import gzip
import itertools
import json
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from random import Random

from local_panther.replay import replay

REPO = Path(__file__).parent.parent
RECORDED = REPO.parent / "shared" / "data"
FILES = REPO / "build" / "benchmark"
RECORDS_A_FILE = 1000
RUNS = 3


def main() -> None:
    """Make the files, run both ways in turns and print the figures."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    if not RECORDED.is_dir():
        sys.exit(f"{RECORDED}: no recorded CloudTrail there to make the files from")
    files = make_files(wanted // RECORDS_A_FILE)
    ways: dict[str, Callable[[], int]] = {
        "local-panther replay": lambda: replay([str(FILES)], REPO).tally.records,
        "gzip and json loop": lambda: sum(len(records_of(path)) for path in files),
    }
    best = dict.fromkeys(ways, float("inf"))
    counts = {}
    for _ in range(RUNS):
        for name, run in ways.items():
            start = time.perf_counter()
            counts[name] = run()
            best[name] = min(best[name], time.perf_counter() - start)
    assert len(set(counts.values())) == 1, counts
    for name, seconds in best.items():
        print(f"{name:24}{counts[name]:>10,} records{counts[name] / seconds:>12,.0f} records/s")
    print(f"ratio {best['gzip and json loop'] / best['local-panther replay']:.1f}")


def records_of(path: Path) -> list[dict]:
    """Read a file as a short script would."""
    with gzip.open(path) as file:
        return json.load(file)["Records"]


def make_files(count: int) -> list[Path]:
    """Write the files, unless an earlier run has."""
    FILES.mkdir(parents=True, exist_ok=True)
    lines = [line for path in sorted(RECORDED.glob("*.jsonl")) for line in path.open()]
    recorded, random = itertools.cycle(lines), Random(1)
    paths = [FILES / f"{number:05}.json.gz" for number in range(count)]
    for path in set(FILES.glob("*.gz")) - set(paths):
        path.unlink()
    for path in paths:
        records = [json.loads(next(recorded)) for _ in range(RECORDS_A_FILE)]
        if not path.exists():
            for record in records:
                record["eventID"] = str(uuid.UUID(int=random.getrandbits(128), version=4))
            text = json.dumps({"Records": records}, separators=(",", ":"))
            path.write_bytes(gzip.compress(text.encode()))
    return paths


if __name__ == "__main__":
    main()
