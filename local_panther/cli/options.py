"""Arguments and options that several commands share."""

import contextlib
import math
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from local_panther.times import Period, parse_time


class Format(StrEnum):
    """Output formats of a command."""

    TEXT = "text"
    JSON = "json"


class AlertFormat(StrEnum):
    """Output formats of alerts; OCSF prints Detection Findings, one JSON object a line."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"
    OCSF = "ocsf"


class RowFormat(StrEnum):
    """Output formats of rows."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


PATHS_HELP = "CloudTrail in any form: files, folders, s3://bucket/prefix, or - for standard input."
Paths = Annotated[list[str], typer.Argument(help=PATHS_HELP)]
ContentFolder = Annotated[
    Path | None,
    typer.Option(
        help="Root of a content repository (the folder with rules/), or the state folder of "
        "`serve`, for the uploads in it. By default the working folder if it holds content, else "
        "the detections that come with local-panther.",
        show_default=False,
    ),
]


def _moment(text: str) -> float:
    """Return a time, or the start of a date, in seconds since 1970; without an offset it is UTC."""
    time = parse_time(text.strip())
    if time is None:
        with contextlib.suppress(ValueError):
            time = parse_time(f"{date.fromisoformat(text.strip())}T00:00")
    if time is None:
        example = "2026-01-05 or 2026-01-05T10:00:00Z"
        raise typer.BadParameter(f"{text!r} is not a time in ISO 8601, such as {example}")
    return time


def finite(value: float) -> float:
    """Return a number from the command line; refuse infinity, and NaN, which passes every bound."""
    if not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a number")
    return value


From = Annotated[
    float | None,
    typer.Option(
        "--from",
        metavar="TIME",
        parser=_moment,
        show_default=False,
        help="Start of the period (inclusive): ISO 8601, by default in UTC; a date means its "
        "start.",
    ),
]
To = Annotated[
    float | None,
    typer.Option(
        "--to",
        metavar="TIME",
        parser=_moment,
        show_default=False,
        help="End of the period (exclusive).",
    ),
]


def period(start: float | None, end: float | None) -> Period:
    """Return the period that --from and --to ask for.

    Raises:
        typer.BadParameter: The period is empty.
    """
    given = Period(-math.inf if start is None else start, math.inf if end is None else end)
    if given.start >= given.end:
        raise typer.BadParameter("--from must be earlier than --to")
    return given


RowsFormat = Annotated[RowFormat, typer.Option("--format", help="Output format of the rows.")]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Refuse content with an invalid item, as an upload does."),
]
Workers = Annotated[
    int,
    typer.Option(min=0, help="Number of processes that scan files; 0 starts one per core."),
]
Cluster = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="Scheduler of a Dask cluster that scans the files, such as tcp://scheduler:8786.",
        show_default=False,
    ),
]
RequesterPays = Annotated[
    bool,
    typer.Option("--requester-pays", help="Accept the charges of requester-pays buckets."),
]
ReportFile = Annotated[
    Path | None, typer.Option(metavar="FILE.html", help="Also write the result as one HTML page.")
]
