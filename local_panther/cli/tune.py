"""`local-panther tune`."""

import sys
from typing import Annotated

import typer

from local_panther.cli.boxed import TrustContent, enter_box, print_refusals
from local_panther.cli.common import (
    INCOMPLETE,
    OK,
    content_errors,
    content_folder,
    message_console,
    output_console,
    reading_progress,
    write_file,
)
from local_panther.cli.options import (
    Cluster,
    ContentFolder,
    Format,
    From,
    Paths,
    ReportFile,
    RequesterPays,
    Strict,
    To,
    Workers,
    period,
)


def tune(
    paths: Paths,
    *,
    rule: Annotated[
        str | None, typer.Option(help="Rule ID; not needed if only one rule can be tuned.")
    ] = None,
    content: ContentFolder = None,
    start: From = None,
    end: To = None,
    strict: Strict = False,
    report: ReportFile = None,
    workers: Workers = 0,
    cluster: Cluster = "",
    requester_pays: RequesterPays = False,
    output_format: Annotated[
        Format, typer.Option("--format", help="Output format of the result.")
    ] = Format.TEXT,
    trust_content: TrustContent = False,
) -> None:
    """Count the alerts that each threshold and window would have made, and advise which to set."""
    from local_panther.output.basis import without_answer
    from local_panther.output.tuning import print_tuning, write_json
    from local_panther.records.trail import Trail
    from local_panther.records.workers import usable_cores
    from local_panther.tuning.run import tune as run

    chosen_period = period(start, end)
    messages = message_console(report)
    folder = content_folder(content)
    enter_box(paths, cluster, (report,), messages, trust=trust_content)
    with content_errors(messages), reading_progress(messages) as watch:
        trail = Trail(
            paths,
            chosen_period,
            workers=workers or usable_cores(),
            cluster=cluster,
            requester_pays=requester_pays,
            watch=watch,
        )
        tuning = run(trail, folder, rule, strict=strict)
    if output_format is Format.JSON:
        write_json(tuning, sys.stdout)
    else:
        print_tuning(tuning, output_console())
    if report:
        from local_panther.report.tuning import write_tuning_report

        write_file(lambda: write_tuning_report(tuning, report), report, messages)
    is_whole = not (tuning.tally.skipped or tuning.problems or without_answer(tuning.tally))
    is_whole = not print_refusals(messages) and is_whole
    raise typer.Exit(OK if is_whole else INCOMPLETE)
