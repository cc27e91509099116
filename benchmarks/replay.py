"""Speed and memory of the replay over files as AWS delivers them, beside other ways."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
from isal import igzip
from panther_core.enriched_event import PantherEvent

from benchmarks.data import FILES, REPO, files
from benchmarks.measure import Figure, best_seconds
from local_panther.content.load import loaded_content
from local_panther.detection.store import key_value_store
from local_panther.records.workers import usable_cores
from local_panther.replay import replay

RUNS = 2  # of half a minute for the slowest

# Distinct failed roles by principal: the question that the replay answers, without the window.
QUESTION = """
SELECT r.userIdentity->>'$.arn' AS principal, COUNT(DISTINCT r.errorMessage) AS targets
FROM (SELECT unnest("Records") AS r FROM read_json('{files}', columns =
    {{Records: 'STRUCT(eventName VARCHAR, errorCode VARCHAR, errorMessage VARCHAR,
    eventTime VARCHAR, userIdentity JSON, requestParameters JSON)[]'}},
    maximum_object_size = 100000000))
WHERE r.eventName IN ('AssumeRole', 'UpdateAssumeRolePolicy') AND r.errorCode IS NOT NULL
GROUP BY 1 HAVING COUNT(DISTINCT r.errorMessage) >= 10
"""


def measure(records: int) -> list[Figure]:
    """Return records per second of each way, and the memory for all files and for a tenth."""
    paths = files(records)
    ways = {
        "replay": lambda: replay([str(FILES)], REPO, workers=usable_cores()),
        "replay with --workers 1": lambda: replay([str(FILES)], REPO),
        "DuckDB, two threads": _duckdb,
        "gzip, json, Rule.run": lambda: _loop(paths),
        "decompression alone": lambda: _decompress(paths),
    }
    best = {name: records / seconds for name, seconds in best_seconds(ways, RUNS).items()}
    ours = best["replay"]
    goals = {
        "replay with --workers 1": ("", 0.0),
        "DuckDB, two threads": ("≥ 10", 10.0),
        "gzip, json, Rule.run": ("", 0.0),
        "decompression alone": ("≥ 0.5", 0.5),
    }
    figures = [
        Figure(f"replay, beside {name}", ours, "records/s", best[name], ratio, goal, ratio >= least)
        for name, (goal, least) in goals.items()
        for ratio in [ours / best[name]]
    ]
    all_files, tenth = _peak_memory(paths), _peak_memory(paths[: len(paths) // 10])
    ratio = all_files / tenth
    name = "replay's peak memory, beside a tenth of the files"
    return [*figures, Figure(name, all_files, "MB", tenth, ratio, "≤ 1.2", ratio <= 1.2)]


def _peak_memory(paths: list[Path]) -> float:
    """Return the most memory in MB that a process of the command took at once."""
    command = [sys.executable, "-m", "local_panther", "replay", *map(str, paths)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=REPO)
    _, _, usage = os.wait4(process.pid, 0)
    return usage.ru_maxrss / 1024


def _duckdb() -> None:
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute(QUESTION.format(files=f"{FILES}/*.json.gz")).fetchall()


def _loop(paths: list[Path]) -> None:
    with key_value_store(), loaded_content(REPO) as content:
        for path in paths:
            with gzip.open(path) as file:
                records = json.load(file)["Records"]
            for record in records:
                event = PantherEvent(record)
                for rule in content.rules:
                    rule.detection.run(event, {}, {}, batch_mode=True)


def _decompress(paths: list[Path]) -> None:
    for path in paths:
        igzip.decompress(path.read_bytes())
