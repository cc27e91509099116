"""Measures speed and memory of whole `local-panther replay` commands, compared with other ways.

The data is generated: records that do not repeat, 0.8 % of them role calls, in gzipped files as AWS
delivers them; dense (all on one day) and sparse (over ten years). Recorded trails have up to 46 %
role calls, so larger shares are measured too, and so are small files. The times include start-up,
as for a user.
"""

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.data import REPO, generated_files
from benchmarks.measure import ENVIRONMENT, Figure

ROLE_CALLS, SHARES = 100_000, (0.008, 0.1, 0.4)  # records, and shares of role calls among them
TIMES_CLICKHOUSE = {0.4: 7.0}  # goal, by share of role calls
SMALL_FILES, RECORDS_IN_SMALL = (5_000, 20_000), 4
RUNS = 2  # the slowest takes half a minute
MEMORY_MB = 512  # includes the 20,000 records that are being sorted by time
CLICKHOUSE_NAME = "ClickHouse, two threads"


class Data(NamedTuple):
    """Generated data.

    Attributes:
        days: Period of the records.
        of_clickhouse: Goal for the speed, as a share of ClickHouse's.
        of_decompression: Goal for the speed, as a share of that of bare decompression.
    """

    name: str
    records: int
    days: float
    of_clickhouse: float
    of_decompression: float = 0.0


class Seconds(NamedTuple):
    """Time and memory of a command; the processor time includes its workers.

    Attributes:
        memory: Peak memory of one of its processes, in MB.
    """

    wall: float
    processor: float
    memory: float


SMALLEST_DENSE = 500_000
DATA = (
    Data("sparse, 200,000", 200_000, 3650, 0.5),
    Data("dense, 500,000", SMALLEST_DENSE, 1, 0.6),
    Data("dense, 2,000,000", 2_000_000, 1, 1.0, 0.5),
)

REPLAY = [sys.executable, "-m", "local_panther", "replay"]
# Distinct failed roles by principal: the question that the replay answers, without the window.
DUCKDB = """
import duckdb, sys
duckdb.connect(config={{"threads": 2}}).execute('''
SELECT r.userIdentity->>'$.arn' AS principal, COUNT(DISTINCT r.errorMessage) AS targets
FROM (SELECT unnest("Records") AS r FROM read_json('{files}', columns =
    {{Records: 'STRUCT(eventName VARCHAR, errorCode VARCHAR, errorMessage VARCHAR,
    eventTime VARCHAR, userIdentity JSON, requestParameters JSON)[]'}},
    maximum_object_size = 100000000))
WHERE r.eventName IN ('AssumeRole', 'UpdateAssumeRolePolicy') AND r.errorCode IS NOT NULL
GROUP BY 1 HAVING COUNT(DISTINCT r.errorMessage) >= 10''').fetchall()
"""
CLICKHOUSE = """
import chdb
print(chdb.query('''
SELECT r.userIdentity.arn AS principal, uniqExact(r.errorMessage) AS targets
FROM file('{files}', JSONEachRow, 'Records Array(Tuple(eventName Nullable(String),
    errorCode Nullable(String), errorMessage Nullable(String), eventTime Nullable(String),
    userIdentity Tuple(arn Nullable(String))))')
ARRAY JOIN Records AS r
WHERE r.eventName IN ('AssumeRole', 'UpdateAssumeRolePolicy') AND r.errorCode IS NOT NULL
GROUP BY 1 HAVING targets >= 10
SETTINGS max_threads = 2, input_format_skip_unknown_fields = 1,
    input_format_json_defaults_for_missing_elements_in_named_tuple = 1'''))
"""
# The naive loop. Its arguments are the content and the folder of files.
LOOP = """
import gzip, json, sys
from pathlib import Path
from panther_core.enriched_event import PantherEvent
from local_panther.content.load import loaded_content
from local_panther.detection.store import key_value_store
with key_value_store(), loaded_content(Path(sys.argv[1]), strict=False) as content:
    model = content.data_models.get("AWS.CloudTrail")
    for path in sorted(Path(sys.argv[2]).iterdir()):
        for record in json.load(gzip.open(path))["Records"]:
            for rule in content.rules:
                rule.detection.run(PantherEvent(record, model), {}, {}, batch_mode=True)
"""
DECOMPRESS = """
import sys
from pathlib import Path
from isal import igzip
for path in sys.argv[1:]:
    igzip.decompress(Path(path).read_bytes())
"""


def measure(records: int) -> list[Figure]:
    """Return records per second of each way, and the memory for all files and for a tenth.

    Args:
        records: Records of the largest data; with fewer than two million, larger data is left out.
    """
    figures: list[Figure] = []
    for data in DATA:
        if data.records <= records:
            figures += _beside_others(data)
    figures += _beside_clickhouse()
    small = [*REPLAY, *map(str, generated_files(1000, days=1))]
    best = best_of({"small": small}, 5)["small"]
    figures.append(Figure("one small file", best.wall, "s", goal="≤ 0.8", met=best.wall <= 0.8))
    figures.append(Figure("one small file, processor time", best.processor, "s"))
    count = max((d.records for d in DATA if d.days == 1 and d.records <= records), default=records)
    paths = generated_files(count, days=1)
    all_files, tenth = _peak_memory(paths), _peak_memory(paths[: len(paths) // 10])
    name = f"replay's peak memory, {count:,} records, beside a tenth of them"
    goal, is_met = f"≤ {MEMORY_MB}", all_files <= MEMORY_MB
    return [*figures, Figure(name, all_files, "MB", tenth, all_files / tenth, goal, is_met)]


def _beside_others(data: Data) -> list[Figure]:
    """Measure a replay of files beside other ways to read them."""
    paths = generated_files(data.records, days=data.days)
    files, folder = [str(path) for path in paths], paths[0].parent
    pattern = f"{folder}/*.json.gz"
    ways = {
        "replay": [*REPLAY, str(folder)],
        "DuckDB, two threads": [sys.executable, "-c", DUCKDB.format(files=pattern)],
        "decompression alone": [sys.executable, "-c", DECOMPRESS, *files],
    }
    if importlib.util.find_spec("chdb"):
        ways[CLICKHOUSE_NAME] = [sys.executable, "-c", CLICKHOUSE.format(files=pattern)]
    if data.records == SMALLEST_DENSE:
        ways["replay with --workers 1"] = [*ways["replay"], "--workers", "1"]
        ways["gzip, json, Rule.run"] = [sys.executable, "-c", LOOP, str(REPO), str(folder)]
    goals = {CLICKHOUSE_NAME: data.of_clickhouse, "decompression alone": data.of_decompression}
    best = best_of(ways, RUNS)
    ours = best.pop("replay")
    figures = []
    for way, other in best.items():
        least = goals.get(way, 0)
        ratio = other.wall / ours.wall
        text = f"≥ {least:g}" if least else ""
        title = f"{data.name}: replay, beside {way}"
        speeds = data.records / ours.wall, data.records / other.wall
        figures.append(
            Figure(title, speeds[0], "records/s", speeds[1], ratio, text, ratio >= least)
        )
        figures.append(
            Figure(
                "… in processor time",
                ours.processor,
                "s",
                other.processor,
                other.processor / ours.processor,
            )
        )
    return figures


def _beside_clickhouse() -> list[Figure]:
    """Measure the processor time of replays with more role calls, and of small files."""
    if not importlib.util.find_spec("chdb"):
        return []
    cases = {
        f"{ROLE_CALLS:,} records, {share:.1%} role calls": (
            generated_files(ROLE_CALLS, days=1, role_calls=share),
            TIMES_CLICKHOUSE.get(share, 0.0),
        )
        for share in SHARES
    }
    for count in SMALL_FILES:
        files = generated_files(count * RECORDS_IN_SMALL, days=1, in_file=RECORDS_IN_SMALL)
        cases[f"{count:,} files of {RECORDS_IN_SMALL} records"] = (files, 0.0)
    largest = list(cases)[-1]  # its start counts least
    cases[largest] = (cases[largest][0], 1.2)
    figures = []
    for name, (files, most) in cases.items():
        folder = files[0].parent
        clickhouse = [sys.executable, "-c", CLICKHOUSE.format(files=f"{folder}/*.json.gz")]
        best = best_of({"replay": [*REPLAY, str(folder)], CLICKHOUSE_NAME: clickhouse}, RUNS)
        ours, other = best["replay"].processor, best[CLICKHOUSE_NAME].processor
        goal, ratio = f"≤ {most:g}" if most else "", ours / other
        title = f"{name}: replay, beside {CLICKHOUSE_NAME}"
        figures.append(Figure(title, ours, "s", other, ratio, goal, not most or ratio <= most))
    return figures


def best_of(ways: Mapping[str, list[str]], runs: int) -> dict[str, Seconds]:
    """Run all commands in turns and return the best time of each.

    They run in turns, so that other work of the machine affects all of them equally.
    """
    best = {way: Seconds(*[float("inf")] * 3) for way in ways}
    for _ in range(runs):
        for way, command in ways.items():
            taken = _taken(command)
            best[way] = Seconds(*map(min, best[way], taken))
    return best


def _taken(command: list[str]) -> Seconds:
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=REPO, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command[:3])
    processor = usage.ru_utime + usage.ru_stime
    return Seconds(time.perf_counter() - start, processor, usage.ru_maxrss / 1024)


def _peak_memory(paths: list[Path]) -> float:
    """Return the peak memory of a process of the command, in MB."""
    command = [*REPLAY, *map(str, paths)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=REPO, env=ENVIRONMENT)
    _, _, usage = os.wait4(process.pid, 0)
    return usage.ru_maxrss / 1024
