"""The queries of this repository, and their rows over generated records."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from functools import cache
from typing import Any

import yaml
from sqlglot import exp

from local_panther.content.saved_queries import SavedQuery
from local_panther.content.sql import parse_sql
from local_panther.content.sql_text import QueryTexts
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.lake import Lake
from local_panther.records.model import Tally
from local_panther.records.reader import Reader
from local_panther.times import ALWAYS, Period, event_time
from tests.builders.events import START, read_record
from tests.builders.unlisted import CONTENT

MACROS = "aws_role_macros"
SUCCEEDED = "aws_role_escalation_succeeded_query"
HUNT = "aws_role_escalation_hunt_query"
WRITTEN = {path.stem: path.read_text() for path in sorted((CONTENT / "queries").glob("*.yml"))}
_SPECS = {stem: yaml.safe_load(text) for stem, text in WRITTEN.items()}
TEXTS = QueryTexts({spec["QueryName"]: spec["SnowflakeQuery"] for spec in _SPECS.values()})


def query_specs() -> dict[str, dict]:
    """Return the specs of all runnable queries by file stem, with the text an instance runs."""
    return {
        stem: {**deepcopy(spec), "SnowflakeQuery": TEXTS[spec["QueryName"]]}
        for stem, spec in _SPECS.items()
        if stem != MACROS
    }


@cache
def sql_of(stem: str) -> exp.Query:
    """Return the parsed SQL of a query; nothing may change it."""
    return parse_sql(TEXTS[_SPECS[stem]["QueryName"]])


def rows_of(
    stem: str,
    records: Iterable[Mapping],
    now: float = START + 7200,
    parameters: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of a query at a time over records, whose event IDs are their numbers."""
    with Lake() as lake:
        for number, record in enumerate(records):
            lake.add(read_record({"eventID": str(number), **record}))
        return lake.query(_translated(stem, tuple((parameters or {}).items())), now)


def saved(sql: str) -> SavedQuery:
    """Return a saved query of a text."""
    return SavedQuery("Own", "own.yml", "", sql, QueryTexts({"Own": sql}), "")


def fill(
    lake: Lake, names: frozenset[str] | None, paths: Sequence[str], period: Period = ALWAYS
) -> tuple[Tally, float]:
    """Add all records of some calls to a lake; return the counts and the latest time."""
    tally, latest = Tally(), 0.0
    for record in Reader(names, tally, period=period).read(paths):
        lake.add(record)
        latest = max(latest, record.time)
    return tally, latest


def sql_time(time: float) -> str:
    """Return a time as a query writes it."""
    return event_time(time).replace("T", " ").replace("Z", ".000")


@cache
def _translated(stem: str, parameters: tuple[tuple[str, str], ...]) -> str:
    return transpile_sql(sql_of(stem), dict(parameters))
