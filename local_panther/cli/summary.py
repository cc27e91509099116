"""`local-panther summary`."""

import sys

import typer
from rich.text import Text

from local_panther.cli.common import (
    INCOMPLETE,
    OK,
    content_errors,
    content_folder,
    message,
    message_console,
    note,
    output_console,
    reading_progress,
)
from local_panther.cli.options import (
    Cluster,
    ContentFolder,
    From,
    Paths,
    RequesterPays,
    RowFormat,
    RowsFormat,
    To,
    Workers,
    period,
)


def summary(
    paths: Paths,
    *,
    content: ContentFolder = None,
    start: From = None,
    end: To = None,
    workers: Workers = 0,
    cluster: Cluster = "",
    requester_pays: RequesterPays = False,
    output_format: RowsFormat = RowFormat.TABLE,
) -> None:
    """Show which roles each principal tried and entered: when, from where and with which client."""
    from local_panther.output.basis import print_basis
    from local_panther.output.rows import write_csv, write_json_lines
    from local_panther.output.summary import COLUMNS, as_row, limits, print_summary
    from local_panther.records.trail import Trail
    from local_panther.records.workers import usable_cores
    from local_panther.roles.settings import read_settings
    from local_panther.roles.summary import summarised

    chosen_period = period(start, end)
    messages = message_console()
    with content_errors(messages), reading_progress(messages) as watch:
        trail = Trail(
            paths,
            chosen_period,
            workers=workers or usable_cores(),
            cluster=cluster,
            requester_pays=requester_pays,
            watch=watch,
        )
        found = summarised(trail, read_settings(content_folder(content)))
    is_table = output_format is RowFormat.TABLE
    console = output_console() if is_table else messages
    is_answered = print_basis(found.tally, console)
    if is_answered and is_table:
        print_summary(found, console)
        console.print(message(limits(found), "dim"))
    elif is_answered:
        rows = (as_row(principal) for principal in found.principals)
        if output_format is RowFormat.JSON:
            write_json_lines(rows, sys.stdout)
        else:
            write_csv(rows, COLUMNS, sys.stdout)
        note(limits(found), messages)
    for problem in found.tally.problems:
        messages.print(Text(f"not read: {problem}"))
    raise typer.Exit(OK if is_answered and not found.tally.skipped else INCOMPLETE)
