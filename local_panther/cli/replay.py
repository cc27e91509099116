"""`local-panther replay`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from local_panther.cli.boxed import TrustContent, enter_box, print_refusals
from local_panther.cli.checks import Severity, expected_in, is_as_expected, is_below, write_found
from local_panther.cli.common import (
    INCOMPLETE,
    OK,
    UNUSABLE,
    content_errors,
    content_folder,
    has_doubtful_content,
    message,
    message_console,
    output_console,
    reading_progress,
    write_file,
)
from local_panther.cli.options import (
    AlertFormat,
    Cluster,
    ContentFolder,
    From,
    Paths,
    ReportFile,
    RequesterPays,
    Strict,
    To,
    Workers,
    finite,
    period,
)
from local_panther.content.log_types import CLOUDTRAIL
from local_panther.errors import FieldError
from local_panther.times import DELIVERY_DELAY

MAX_DELAY = 366 * 86400  # seconds

if TYPE_CHECKING:
    from local_panther.content.log_schema import LogSchema


def replay(
    paths: Paths,
    *,
    content: ContentFolder = None,
    start: From = None,
    end: To = None,
    include_disabled: Annotated[
        bool,
        typer.Option(
            "--include-disabled",
            help="Also run disabled content (Enabled: false) and experimental or deprecated "
            "content.",
        ),
    ] = False,
    strict: Strict = False,
    delivery_delay: Annotated[
        float,
        typer.Option(
            min=0,
            max=MAX_DELAY,
            callback=finite,
            metavar="SECONDS",
            help="Time between an event and its arrival.",
        ),
    ] = DELIVERY_DELAY,
    keep_repeated: Annotated[
        bool,
        typer.Option("--keep-repeated", help="Do not drop duplicate deliveries."),
    ] = False,
    report: ReportFile = None,
    workers: Workers = 0,
    cluster: Cluster = "",
    requester_pays: RequesterPays = False,
    log_type: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Log type of the files; all but CloudTrail are read as JSON lines."
        ),
    ] = CLOUDTRAIL,
    schema: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Schema of --log-type, which names the event time and the indicators.",
        ),
    ] = None,
    output_format: Annotated[
        AlertFormat,
        typer.Option(
            "--format",
            help="text: incidents by severity; json, csv and ocsf: alerts by time.",
        ),
    ] = AlertFormat.TEXT,
    details: Annotated[
        bool,
        typer.Option("--details", help="Print all details of all incidents."),
    ] = False,
    expect: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Exit with status 1 unless the alerts are exactly those in this file.",
        ),
    ] = None,
    write_expected: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the alerts to a file that --expect reads."),
    ] = None,
    fail_on: Annotated[
        Severity | None,
        typer.Option(
            metavar="SEVERITY",
            case_sensitive=False,
            help="Exit with status 1 on an alert of this severity or a higher one: "
            f"{', '.join(Severity)}.",
        ),
    ] = None,
    trust_content: TrustContent = False,
    fail_on_alert: Annotated[bool, typer.Option("--fail-on-alert", hidden=True)] = False,
) -> None:
    """Run content over recorded CloudTrail and print the alerts that an instance would make."""
    from local_panther.output.alerts_csv import write_alerts_csv
    from local_panther.output.basis import print_basis, without_answer
    from local_panther.output.incidents import print_incidents
    from local_panther.output.jsonlines import write_alerts
    from local_panther.output.ocsf import write_findings
    from local_panther.output.terminal import print_summary
    from local_panther.records.trail import Trail
    from local_panther.records.workers import usable_cores
    from local_panther.replay import replay as run

    chosen_period = period(start, end)
    messages = message_console(report, write_expected)
    if expect and write_expected:
        raise typer.BadParameter("--expect and --write-expected exclude each other")
    expected = expected_in(expect, messages) if expect else None
    if fail_on_alert:
        fail_on = fail_on or Severity.INFO
        messages.print(message("--fail-on-alert will be removed in 0.4: use --fail-on INFO"))
    read_as = _schema(log_type, schema, cluster, messages)
    folder = content_folder(content)
    enter_box(paths, cluster, (report, write_expected), messages, trust=trust_content)
    is_doubtful = has_doubtful_content(folder, messages)
    with content_errors(messages), reading_progress(messages) as watch:
        trail = Trail(
            paths,
            chosen_period,
            workers=workers or usable_cores(),
            cluster=cluster,
            requester_pays=requester_pays,
            watch=watch,
        )
        outcome = run(
            trail,
            folder,
            include_disabled=include_disabled,
            strict=strict,
            delivery_delay=delivery_delay,
            keep_repeated=keep_repeated,
            with_timelines=bool(report),
            schema=read_as,
        )
    if output_format is AlertFormat.TEXT:
        console = output_console()
        # If no record of the period was read, "No alert" would be false
        if print_basis(outcome.tally, console) or outcome.incidents:
            print_incidents(outcome, console, details=details)
        print_summary(outcome, console)
    else:
        write = {
            AlertFormat.JSON: write_alerts,
            AlertFormat.CSV: write_alerts_csv,
            AlertFormat.OCSF: write_findings,
        }
        print_basis(outcome.tally, messages)
        write[output_format](outcome, sys.stdout)
        print_summary(outcome, messages)
    if report:
        from local_panther.report.page import write_report

        write_file(lambda: write_report(outcome, report, paths), report, messages)
    # Content whose code was refused something may have missed alerts
    is_doubtful = print_refusals(messages) or is_doubtful
    is_answered = outcome.complete and not (is_doubtful or without_answer(outcome.tally))
    checks = [is_answered]
    if expect and expected is not None:
        checks.append(is_as_expected(outcome, expected, expect, messages, is_answered=is_answered))
    if write_expected:
        write_found(outcome, write_expected, messages, is_answered=is_answered)
    if fail_on:
        checks.append(is_below(outcome, fail_on, messages))
    raise typer.Exit(OK if all(checks) else INCOMPLETE)


def _schema(
    log_type: str, path: Path | None, cluster: str, messages: Console
) -> "LogSchema | None":
    """Return the schema of a log type; None for CloudTrail, which needs none."""
    from local_panther.content.log_schema import read_schema

    try:
        if log_type != CLOUDTRAIL:
            if cluster:
                raise FieldError(
                    f"--cluster: only CloudTrail is scanned on a cluster; {log_type} is read here, "
                    "so leave --cluster out"
                )
            return read_schema(log_type, path)
        if path:
            raise FieldError(f"{path}: CloudTrail needs no --schema; name another --log-type")
    except FieldError as error:
        messages.print(Text(str(error)))
        raise typer.Exit(UNUSABLE) from error
    return None
