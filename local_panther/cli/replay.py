"""`local-panther replay`."""

import sys
from typing import Annotated

import typer

from local_panther.cli.common import (
    INCOMPLETE,
    OK,
    content_errors,
    content_folder,
    has_doubtful_content,
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
    period,
)
from local_panther.times import DELIVERY_DELAY


def replay(
    paths: Paths,
    *,
    content: ContentFolder = None,
    start: From = None,
    end: To = None,
    include_disabled: Annotated[
        bool, typer.Option("--include-disabled", help="Run content with Enabled: false too.")
    ] = False,
    strict: Strict = False,
    delivery_delay: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="From an event until it arrives.")
    ] = DELIVERY_DELAY,
    keep_repeated: Annotated[
        bool,
        typer.Option("--keep-repeated", help="Process records as often as they were delivered."),
    ] = False,
    report: ReportFile = None,
    workers: Workers = 0,
    cluster: Cluster = "",
    requester_pays: RequesterPays = False,
    output_format: Annotated[
        AlertFormat,
        typer.Option(
            "--format",
            help="text: incidents, worst first; json, csv and ocsf: alerts, in the order of time.",
        ),
    ] = AlertFormat.TEXT,
    details: Annotated[
        bool,
        typer.Option("--details", help="Print everything about every incident, however many."),
    ] = False,
) -> None:
    """Run content over recorded CloudTrail and print the alerts that an instance would make."""
    from local_panther.output.alerts_csv import write_alerts_csv
    from local_panther.output.incidents import print_incidents
    from local_panther.output.jsonlines import write_alerts
    from local_panther.output.ocsf import write_findings
    from local_panther.output.terminal import print_summary
    from local_panther.records.workers import usable_cores
    from local_panther.replay import replay as run

    asked = period(start, end)
    messages = message_console(report)
    folder = content_folder(content)
    is_doubtful = has_doubtful_content(folder, messages)
    with content_errors(messages), reading_progress(messages) as watch:
        outcome = run(
            paths,
            folder,
            include_disabled=include_disabled,
            strict=strict,
            delivery_delay=delivery_delay,
            keep_repeated=keep_repeated,
            period=asked,
            with_timelines=bool(report),
            watch=watch,
            workers=workers or usable_cores(),
            requester_pays=requester_pays,
            cluster=cluster,
        )
    if output_format is AlertFormat.TEXT:
        console = output_console()
        print_incidents(outcome, console, details=details)
        print_summary(outcome, console)
    else:
        write = {
            AlertFormat.JSON: write_alerts,
            AlertFormat.CSV: write_alerts_csv,
            AlertFormat.OCSF: write_findings,
        }
        write[output_format](outcome, sys.stdout)
        print_summary(outcome, messages)
    if report:
        from local_panther.report.page import write_report

        write_file(lambda: write_report(outcome, report), report, messages)
    raise typer.Exit(OK if outcome.complete and not is_doubtful else INCOMPLETE)
