"""`local-panther query`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from local_panther.cli.common import (
    INCOMPLETE,
    OK,
    UNUSABLE,
    content_errors,
    content_folder,
    message,
    message_console,
    output_console,
    reading_progress,
)
from local_panther.cli.options import (
    PATHS_HELP,
    Cluster,
    ContentFolder,
    From,
    RequesterPays,
    RowFormat,
    RowsFormat,
    To,
    Workers,
    period,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from local_panther.content.saved_queries import SavedQuery


def query(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Name of the query, quoted if it has spaces; without a name, all are listed."
        ),
    ] = None,
    paths: Annotated[
        list[str] | None,
        typer.Argument(help=PATHS_HELP),
    ] = None,
    *,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Set a parameter, such as principal=arn:… or alert_time=2026-01-05; repeatable.",
        ),
    ] = None,
    sql: Annotated[
        bool, typer.Option("--sql", help="Only print the SQL, to paste it into an instance.")
    ] = False,
    content: ContentFolder = None,
    start: From = None,
    end: To = None,
    workers: Workers = 0,
    cluster: Cluster = "",
    requester_pays: RequesterPays = False,
    output_format: RowsFormat = RowFormat.TABLE,
) -> None:
    """Run a saved query, such as those in runbooks, over recorded CloudTrail."""
    from local_panther.content.saved_queries import named, saved_queries
    from local_panther.lake.saved import QueryError, run_saved
    from local_panther.output.basis import print_basis
    from local_panther.output.rows import print_rows, write_csv, write_json_lines
    from local_panther.records.trail import Trail
    from local_panther.records.workers import usable_cores
    from local_panther.text import printable

    chosen_period = period(start, end)
    messages = message_console()
    with content_errors(messages):
        queries = saved_queries(content_folder(content))
        if name is None:
            _print_list(list(queries.values()), output_console())
            raise typer.Exit(OK)
        if not paths and not sql:
            raise typer.BadParameter("name files or folders of CloudTrail after the query's name")
        if paths and sql:
            raise typer.BadParameter(
                "--sql prints the query and reads nothing: leave out the paths"
            )
        try:
            chosen = named(queries, name)
            given = _pairs(values or [])
            if sql:
                print(printable(chosen.filled(given)).rstrip())
                raise typer.Exit(OK)
            filled = chosen.with_values(given)
        except (LookupError, ValueError) as error:
            raise typer.BadParameter(str(error.args[0])) from error
        try:
            with reading_progress(messages) as watch:
                trail = Trail(
                    paths or [],
                    chosen_period,
                    workers=workers or usable_cores(),
                    cluster=cluster,
                    requester_pays=requester_pays,
                    watch=watch,
                )
                answer = run_saved(chosen, trail, filled)
        except QueryError as error:
            messages.print(message(f"query: {error}"))
            raise typer.Exit(UNUSABLE) from error
    is_table = output_format is RowFormat.TABLE
    is_answered = print_basis(answer.tally, output_console() if is_table else messages)
    if not is_answered:
        pass
    elif output_format is RowFormat.JSON:
        write_json_lines(answer.rows, sys.stdout)
    elif output_format is RowFormat.CSV:
        columns = list(answer.rows[0]) if answer.rows else []
        write_csv(answer.rows, columns, sys.stdout)
    else:
        print_rows(answer.rows, output_console())
    for problem in answer.tally.problems:
        messages.print(message(f"not read: {problem}"))
    if answer.refused:
        messages.print(
            message(f"not read: {answer.refused:,} records could not be stored: {answer.reasons}")
        )
    raise typer.Exit(OK if is_answered and answer.complete else INCOMPLETE)


def _pairs(given: "Sequence[str]") -> "Mapping[str, str]":
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"--set {text!r} is not NAME=VALUE, such as principal=alice")
        pairs[name.strip()] = value
    return pairs


def _print_list(queries: "Sequence[SavedQuery]", console: "Console") -> None:
    from local_panther.content.sql import parameters_in
    from local_panther.errors import ContentError
    from local_panther.text import in_one_line

    to_run = [query for query in queries if not query.is_imported_only]
    for query in to_run:
        try:
            parameters = ", ".join(parameters_in(query.sql)) or "no parameters"
        except ContentError as error:
            parameters = f"cannot run here: {error.problems[0].message}"
        console.print(Text(in_one_line(query.name), style="bold"))
        console.print(Text(f"  {in_one_line(parameters)}"))
        if query.description:
            console.print(Text(f"  {in_one_line(query.description)}", style="dim"))
    if not to_run:
        console.print("the content has no saved queries")
