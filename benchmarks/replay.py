"""Records per second of the replay over files as AWS delivers them, beside other ways."""

import gzip
import json
from pathlib import Path

import duckdb
from isal import igzip
from panther_core.enriched_event import PantherEvent

from benchmarks.data import FILES, REPO, files
from benchmarks.measure import Figure, best_seconds
from local_panther.content.load import loaded_content
from local_panther.detection.store import key_value_store
from local_panther.replay import replay

RUNS = 3

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
    """Return records per second of each way."""
    paths = files(records)
    ways = {
        "replay": lambda: replay([str(FILES)], REPO),
        "DuckDB, two threads": _duckdb,
        "gzip, json, Rule.run": lambda: _loop(paths),
        "decompression alone": lambda: _decompress(paths),
    }
    best = {name: records / seconds for name, seconds in best_seconds(ways, RUNS).items()}
    ours = best["replay"]
    goals = {
        "DuckDB, two threads": ("≥ 10", 10.0),
        "gzip, json, Rule.run": ("", 0.0),
        "decompression alone": ("≥ 0.5", 0.5),
    }
    return [
        Figure(f"replay, beside {name}", ours, "records/s", best[name], ratio, goal, ratio >= least)
        for name, (goal, least) in goals.items()
        for ratio in [ours / best[name]]
    ]


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
