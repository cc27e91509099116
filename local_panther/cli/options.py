"""Arguments and options that several commands take."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How a command prints what it found."""

    TEXT = "text"
    JSON = "json"


Paths = Annotated[
    list[str],
    typer.Argument(
        help="CloudTrail in any form: files, folders, s3://bucket/prefix, or - for standard input."
    ),
]
ContentFolder = Annotated[
    Path | None,
    typer.Option(
        help="Root of a content repository (the folder with rules/), or the state folder of "
        "`serve` for what was uploaded. By default this folder if it holds content, else the "
        "repository that local-panther was set up in.",
        show_default=False,
    ),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Refuse content with an invalid item, as an upload does."),
]
Workers = Annotated[
    int,
    typer.Option(
        min=0, help="Processes that scan files, 0 for one per core; the result is the same."
    ),
]
RequesterPays = Annotated[
    bool,
    typer.Option("--requester-pays", help="Pay for requests to buckets in S3 that ask for it."),
]
ReportFile = Annotated[
    Path | None, typer.Option(metavar="FILE.html", help="Also write everything as one HTML page.")
]
