"""Speed and memory of whole `local-panther replay` commands, beside other ways.

The data is generated: records that do not repeat, 0.8 % of them role calls, in gzipped files as AWS
delivers them; dense (all of them on one day) and sparse (over ten years). Start-up counts, as it
does for a user.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.data import REPO, generated_files
from benchmarks.measure import Figure, best_seconds

RUNS = 2  # of half a minute for the slowest
TEN_YEARS = 3650  # days

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
LOOP = """
import gzip, json, sys
from pathlib import Path
from panther_core.enriched_event import PantherEvent
from local_panther.content.load import loaded_content
from local_panther.detection.store import key_value_store
with key_value_store(), loaded_content(Path({repo!r})) as content:
    for path in sys.argv[1:]:
        for record in json.load(gzip.open(path))["Records"]:
            event = PantherEvent(record)
            for rule in content.rules:
                rule.detection.run(event, {{}}, {{}}, batch_mode=True)
"""
DECOMPRESS = """
import sys
from pathlib import Path
from isal import igzip
for path in sys.argv[1:]:
    igzip.decompress(Path(path).read_bytes())
"""


def measure(records: int) -> list[Figure]:
    """Return records per second of each way, and the memory for all files and for a tenth."""
    figures: list[Figure] = []
    for name, days, goal in (("dense", 1.0, 1.0), ("sparse", TEN_YEARS, 0.5)):
        figures += _beside_others(name, generated_files(records, days=days), goal)
    small = generated_files(1000, days=1)
    seconds = best_seconds({"small": lambda: _run([*REPLAY, *map(str, small)])}, 5)["small"]
    figures.append(Figure("one small file", seconds, "s", goal="≤ 0.8", met=seconds <= 0.8))
    paths = generated_files(records, days=1)
    all_files, tenth = _peak_memory(paths), _peak_memory(paths[: len(paths) // 10])
    ratio = all_files / tenth
    name = "replay's peak memory, beside a tenth of the files"
    return [*figures, Figure(name, all_files, "MB", tenth, ratio, "≤ 1.2", ratio <= 1.2)]


def _beside_others(name: str, paths: list[Path], goal: float) -> list[Figure]:
    """Measure a replay of files beside other ways to read them.

    Args:
        name: What to call the data.
        paths: The files.
        goal: The share of ClickHouse's speed that is aimed at.
    """
    files, folder = [str(path) for path in paths], paths[0].parent
    pattern = f"{folder}/*.json.gz"
    ways = {
        "replay": [*REPLAY, str(folder)],
        "DuckDB, two threads": [sys.executable, "-c", DUCKDB.format(files=pattern)],
        "decompression alone": [sys.executable, "-c", DECOMPRESS, *files],
    }
    if importlib.util.find_spec("chdb"):
        ways["ClickHouse, two threads"] = [sys.executable, "-c", CLICKHOUSE.format(files=pattern)]
    if name == "dense":
        ways["replay with --workers 1"] = [*ways["replay"], "--workers", "1"]
        loop = LOOP.format(repo=str(REPO))
        ways["gzip, json, Rule.run"] = [sys.executable, "-c", loop, *files]
    goals = {"ClickHouse, two threads": goal, "decompression alone": 0.5 if goal == 1 else 0}
    seconds = best_seconds({way: lambda c=command: _run(c) for way, command in ways.items()}, RUNS)
    count = len(paths) * 1000
    ours = count / seconds.pop("replay")
    figures = []
    for way, needed in seconds.items():
        beside, least = count / needed, goals.get(way, 0)
        ratio = ours / beside
        text = f"≥ {least:g}" if least else ""
        title = f"{name}: replay, beside {way}"
        figures.append(Figure(title, ours, "records/s", beside, ratio, text, ratio >= least))
    return figures


def _run(command: list[str]) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, cwd=REPO, check=True)


def _peak_memory(paths: list[Path]) -> float:
    """Return the most memory in MB that a process of the command took at once."""
    command = [*REPLAY, *map(str, paths)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=REPO)
    _, _, usage = os.wait4(process.pid, 0)
    return usage.ru_maxrss / 1024
