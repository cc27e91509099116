"""The command line: `local-panther`.

Exit status: 0 everything was read; 1 some input could not be read or a rule failed; 2 the arguments
or the content can not be used.
"""

import asyncio
import os
import secrets
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from local_panther.errors import ContentError
from local_panther.simulate.delivery import deliver, write
from local_panther.simulate.identities import PrincipalKind
from local_panther.simulate.scenario import Api, Scenario, attack
from local_panther.simulate.scenario import background as ordinary_records

OK, INCOMPLETE, UNUSABLE = 0, 1, 2
PIPE_WIDTH = 120
REFRESH_SECONDS = 0.1
STATE = Path(".local-panther")
DEFAULT_START = datetime(2026, 1, 5, 10, 0, 0)

app = typer.Typer(
    help="A local Panther: test and replay Panther content without an instance.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Format(StrEnum):
    """How alerts are printed."""

    TEXT = "text"
    JSON = "json"


Paths = Annotated[
    list[str],
    typer.Argument(help="CloudTrail files or folders, plain or gzipped; - for standard input."),
]
ContentFolder = Annotated[
    Path | None,
    typer.Option(
        help="Root of a content repository (the folder with rules/), or the state folder of "
        "`serve` for what was uploaded. By default this folder where it holds content, else the "
        "repository that local-panther was set up in.",
        show_default=False,
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        min=0,
        help="Processes that look through files, 0 for one a core; what is found is the same.",
    ),
]
ReportFile = Annotated[
    Path | None, typer.Option(metavar="FILE.html", help="Write it all as one page too.")
]


@app.command()
def replay(
    paths: Paths,
    content: ContentFolder = None,
    include_disabled: Annotated[
        bool, typer.Option("--include-disabled", help="Run content with Enabled: false too.")
    ] = False,
    report: ReportFile = None,
    workers: Workers = 0,
    format: Annotated[Format, typer.Option(help="How to print the alerts.")] = Format.TEXT,
) -> None:
    """Run content over recorded CloudTrail and print the alerts that an instance would make."""
    from local_panther.output.jsonlines import write_alerts
    from local_panther.output.terminal import print_alerts, print_summary
    from local_panther.records.workers import usable_cores
    from local_panther.replay import replay as run
    from local_panther.report.page import write_report

    messages = _messages(report)
    with _content_errors(messages), _progress(messages) as watch:
        outcome = run(
            paths,
            _content_folder(content),
            include_disabled,
            watch,
            with_timelines=bool(report),
            workers=workers or usable_cores(),
        )
    if format is Format.JSON:
        write_alerts(outcome.alerts, sys.stdout)
        print_summary(outcome, messages)
    else:
        console = _console()
        print_alerts(outcome.alerts, console)
        print_summary(outcome, console)
    if report:
        _write(lambda: write_report(outcome, report), report, messages)
    raise typer.Exit(OK if outcome.complete else INCOMPLETE)


@app.command()
def tune(
    paths: Paths,
    rule: Annotated[
        str | None, typer.Option(help="Rule ID; not needed where only one can be tuned.")
    ] = None,
    content: ContentFolder = None,
    report: ReportFile = None,
    workers: Workers = 0,
) -> None:
    """Tell how many alerts each threshold and window would have given, and which to set."""
    from local_panther.records.workers import usable_cores
    from local_panther.report.tuning import write_tuning_report
    from local_panther.tuning.run import tune as run
    from local_panther.tuning.tables import print_tuning

    messages = _messages(report)
    with _content_errors(messages), _progress(messages) as watch:
        tuning = run(paths, _content_folder(content), rule, watch, workers or usable_cores())
    print_tuning(tuning, _console())
    if report:
        _write(lambda: write_tuning_report(tuning, report), report, messages)
    raise typer.Exit(INCOMPLETE if tuning.tally.skipped else OK)


@app.command()
def simulate(
    output: Annotated[
        str,
        typer.Argument(help="A folder, a file (.json, .jsonl, .ndjson, also .gz) or - for lines."),
    ],
    roles: Annotated[int, typer.Option(min=1, help="Distinct roles that are failed on.")] = 12,
    api: Annotated[Api, typer.Option(help="How they are tried.")] = Api.ASSUME_ROLE,
    principal: Annotated[PrincipalKind, typer.Option(help="Who attacks.")] = PrincipalKind.USER,
    principals: Annotated[int, typer.Option(min=1, help="Attackers that take turns.")] = 1,
    rotate_sessions: Annotated[
        bool, typer.Option("--rotate-sessions", help="Another session name for every call.")
    ] = False,
    retries: Annotated[int, typer.Option(min=0, help="Further attempts on the same roles.")] = 0,
    minutes: Annotated[float, typer.Option(min=0, help="Time from first to last attempt.")] = 10,
    succeed: Annotated[
        int, typer.Option(min=0, help="Roles that the attacker gets into afterwards.")
    ] = 0,
    no_discovery: Annotated[bool, typer.Option("--no-discovery", help="No ListRoles.")] = False,
    blocklisted: Annotated[
        str | None, typer.Option(metavar="ARN", help="A role that a person assumes meanwhile.")
    ] = None,
    background: Annotated[int, typer.Option(min=0, help="Ordinary records around it.")] = 500,
    shuffle: Annotated[
        bool, typer.Option("--shuffle", help="Deliver up to 15 minutes late, out of order.")
    ] = False,
    duplicates: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the records that come twice.")
    ] = 0,
    start: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%dT%H:%M:%S"], help="Time of the attack, UTC.")
    ] = DEFAULT_START,
    seed: Annotated[int, typer.Option(help="The same seed gives the same records.")] = 1,
) -> None:
    """Write generated CloudTrail: a role attack among ordinary records."""
    epoch = start.replace(tzinfo=UTC).timestamp()
    scenario = Scenario(
        roles=roles,
        api=api,
        principal=principal,
        retries=retries,
        minutes=minutes,
        principals=principals,
        rotate_sessions=rotate_sessions,
        discovery=not no_discovery,
        succeed=succeed,
        blocklisted=blocklisted,
        start=epoch,
    )
    random = Random(seed)
    records = [*attack(scenario, random), *ordinary_records(background, epoch, random)]
    try:
        files = write(deliver(records, random, shuffle, duplicates), output)
    except OSError as error:
        Console(stderr=True).print(Text(f"{output}: can not be written: {error.strerror}"))
        raise typer.Exit(UNUSABLE) from error
    if files:
        Console(stderr=True).print(Text(f"{output}: {len(records):,} records in {files:,} files"))


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 8097,
    token: Annotated[
        str | None, typer.Option(help="What clients must send; made up where not given.")
    ] = None,
    state: Annotated[Path, typer.Option(help="Folder that keeps what is uploaded.")] = STATE,
) -> None:
    """Be an instance for panther_analysis_tool: test, validate, upload, delete."""
    from local_panther.instance.server import serve as run

    token = token or secrets.token_urlsafe(24)
    messages = Console(stderr=True, soft_wrap=True)

    def ready(url: str) -> None:
        print(f"export PANTHER_API_HOST={url}")
        print(f"export PANTHER_API_TOKEN={shlex.quote(token)}", flush=True)
        messages.print(Text(f"{url}\nuploads are kept in {state}; Ctrl-C stops"))

    try:
        with _content_errors(messages):
            asyncio.run(run(state, host, port, token, ready))
    except KeyboardInterrupt:
        messages.print(Text(f"stopped; uploads are in {state}"))
    except OSError as error:
        messages.print(Text(f"{host} port {port}, {state}: {error}"))
        raise typer.Exit(UNUSABLE) from error


@app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    }
)
def test(context: typer.Context) -> None:
    """Run panther_analysis_tool test with an instance for the length of the run.

    All arguments are panther_analysis_tool's. So are the output and the exit status.
    """
    from local_panther.instance.server import running

    token = secrets.token_urlsafe(24)
    start = "from panther_analysis_tool.main import run; run()"
    with TemporaryDirectory(prefix="local-panther-") as state, running(Path(state), token) as url:
        instance = {"PANTHER_API_HOST": url, "PANTHER_API_TOKEN": token}
        command = [sys.executable, "-c", start, "test", *context.args]
        done = subprocess.run(command, env=os.environ | instance)
    raise typer.Exit(done.returncode)


def _content_folder(given: Path | None) -> Path:
    """Return the folder of the content to run."""
    from local_panther.instance.kinds import KINDS
    from local_panther.instance.library import stored_content

    if given:
        return stored_content(given)
    folders = {kind.folder for kind in KINDS.values()}
    own = Path(__file__).parent.parent
    return next((p for p in (Path(), own) if any((p / f).is_dir() for f in folders)), Path())


def _messages(report: Path | None) -> Console:
    """Return the console for messages; a report that has no place ends the command at once."""
    messages = Console(stderr=True, soft_wrap=True)
    if report and not report.parent.is_dir():
        messages.print(Text(f"{report}: there is no folder {report.parent}"))
        raise typer.Exit(UNUSABLE)
    return messages


@contextmanager
def _content_errors(messages: Console) -> Iterator[None]:
    """Tell what is wrong with the content, and end the command."""
    try:
        yield
    except ContentError as error:
        for problem in error.problems:
            messages.print(Text.assemble(("content: ", "red"), str(problem)))
        raise typer.Exit(UNUSABLE) from error


def _write(report: Callable[[], None], path: Path, messages: Console) -> None:
    try:
        report()
    except OSError as error:
        messages.print(Text(f"{path}: can not be written: {error.strerror}"))
        raise typer.Exit(UNUSABLE) from error
    messages.print(Text(f"report: {path}"))


def _console() -> Console:
    """Return standard output; in a pipe, where nobody says how wide it is, wide enough."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


@contextmanager
def _progress(console: Console) -> Iterator[Callable[..., None] | None]:
    """Show how far the reading is, when a person looks on."""
    if not console.is_terminal:
        yield None
        return
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    # Without a thread that refreshes: the workers are forked from this process.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("reading", total=None)
        shown = 0.0

        def watch(tally, files: int) -> None:
            nonlocal shown
            if monotonic() - shown > REFRESH_SECONDS:
                shown = monotonic()
                text = f"{tally.files:,} of {files:,} files, {tally.records:,} records"
                progress.update(
                    task, total=files, completed=tally.files, description=text, refresh=True
                )

        yield watch


def main() -> None:
    """Run the command line."""
    app()
