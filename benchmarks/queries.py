"""Measures processor time and memory of saved queries over all records, compared with ClickHouse.

The records are recorded if such records lie beside the repository; each has a unique eventID and
time. The queries ask about the principal and the address with the most records, as a record in the
result costs more than one that is skipped. ClickHouse answers the same questions.
"""

import importlib.util
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.data import event_mix, event_mix_name, mixed_files
from benchmarks.measure import Figure
from benchmarks.replay import CLICKHOUSE_NAME, best_of

SIZES = (31_000, 125_000, 500_000)
RUNS = 2
MOST_OF_CLICKHOUSE = 4
MOST_MB = 400

CLICKHOUSE = """
import chdb
print(chdb.query('''
SELECT {columns}, count() AS calls, min(time), max(time) FROM (
    SELECT parseDateTimeBestEffort(r.eventTime) AS time, r.userIdentity.arn AS caller,
        r.sourceIPAddress AS address, r.userAgent AS agent, r.eventSource AS source,
        r.eventName AS name, r.awsRegion AS region,
        coalesce(nullIf(r.errorCode, ''), nullIf(r.errorMessage, '')) AS error
    FROM file('{folder}/*.json.gz', JSONEachRow, 'Records Array(Tuple(
        eventName Nullable(String), eventSource Nullable(String), awsRegion Nullable(String),
        sourceIPAddress Nullable(String), userAgent Nullable(String), eventTime String,
        errorCode Nullable(String), errorMessage Nullable(String), userIdentity Tuple(
            arn Nullable(String), userName Nullable(String),
            sessionContext Tuple(sessionIssuer Tuple(userName Nullable(String))))))')
    ARRAY JOIN Records AS r WHERE {condition})
WHERE time BETWEEN {period} GROUP BY {groups} ORDER BY calls DESC LIMIT 5000
SETTINGS max_threads = 2, input_format_skip_unknown_fields = 1,
    input_format_json_defaults_for_missing_elements_in_named_tuple = 1'''))
"""


class Question(NamedTuple):
    """A saved query, and the parts of the equivalent query for ClickHouse.

    Attributes:
        query: Name of the saved query.
        parameter: Name of the parameter that varies.
        time: Time of the alert.
        groups: Columns to group by.
        columns: Further columns of the result.
        condition: Condition on a record `r`, with `{value}` for the value of the parameter.
        period: The first and last time, in ClickHouse's notation.
    """

    query: str
    parameter: str
    time: str
    groups: str
    columns: str
    condition: str
    period: str


QUESTIONS = (
    Question(
        "AWS History of a Principal",
        "name",
        "2026-01-06 00:00:00",
        "toDate(time), caller, address, agent, source, name",
        "countIf(error IS NOT NULL), arrayStringConcat(arraySort(groupUniqArray(region)), ', ')",
        "'{value}' IN (r.userIdentity.userName, r.userIdentity.sessionContext.sessionIssuer"
        ".userName, splitByChar('/', assumeNotNull(r.userIdentity.arn))[-1])",
        "'2025-12-07 00:00:00' AND '2026-01-07 00:00:00'",
    ),
    Question(
        "AWS Activity From an Address",
        "address",
        "2026-01-05 20:00:00",
        "caller, agent, source, name, error",
        "",
        "r.sourceIPAddress = '{value}'",
        "'2026-01-05 17:00:00' AND '2026-01-05 23:00:00'",
    ),
)


def measure(records: int) -> list[Figure]:
    """Return the seconds of both ways and the memory, for each question and size.

    Args:
        records: Larger sizes are left out.
    """
    figures: list[Figure] = []
    for size in SIZES:
        if size <= records:
            folder = mixed_files(size)
            for question in QUESTIONS:
                figures += _figures(question, size, folder)
    return figures


def _figures(question: Question, size: int, folder: Path) -> Iterator[Figure]:
    value = _most_frequent(question.parameter)
    command = [sys.executable, "-m", "local_panther", "query", question.query, str(folder)]
    settings = [f"{question.parameter}={value}", f"alert_time={question.time}"]
    ways = {"ours": [*command, *(part for text in settings for part in ("--set", text))]}
    if importlib.util.find_spec("chdb"):
        other = CLICKHOUSE.format(
            folder=folder,
            columns=", ".join(filter(None, (question.groups, question.columns))),
            groups=question.groups,
            condition=question.condition.format(value=value),
            period=question.period,
        )
        ways[CLICKHOUSE_NAME] = [sys.executable, "-c", other]
    best = best_of(ways, RUNS)
    ours, clickhouse = best["ours"], best.get(CLICKHOUSE_NAME)
    ratio = ours.processor / clickhouse.processor if clickhouse else None
    name = f"{question.query}, {size:,} {event_mix_name()}"
    is_last = size == SIZES[-1]
    yield Figure(
        f"{name}, beside {CLICKHOUSE_NAME}",
        ours.processor,
        "s of processor time",
        clickhouse.processor if clickhouse else None,
        ratio,
        f"≤ {MOST_OF_CLICKHOUSE}" if is_last and ratio else "",
        not is_last or ratio is None or ratio <= MOST_OF_CLICKHOUSE,
    )
    yield Figure(
        f"{name}, peak memory",
        ours.memory,
        "MB",
        clickhouse.memory if clickhouse else None,
        goal=f"≤ {MOST_MB}",
        met=ours.memory <= MOST_MB,
    )


def _most_frequent(parameter: str) -> str:
    """Return the most frequent name of a principal, or address, in the mix."""
    values = _names() if parameter == "name" else _addresses()
    ((value, _),) = Counter(values).most_common(1)
    return value


def _names() -> Iterable[str]:
    arns = ((record.get("userIdentity") or {}).get("arn") for record in event_mix())
    return (arn.rpartition("/")[2] for arn in arns if arn)


def _addresses() -> Iterable[str]:
    return (record["sourceIPAddress"] for record in event_mix() if "sourceIPAddress" in record)
