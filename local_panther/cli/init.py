"""`local-panther init`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from local_panther.cli.common import (
    INCOMPLETE,
    content_errors,
    message,
    message_console,
    note,
    output_console,
    print_difference,
    write_errors,
)

if TYPE_CHECKING:
    from local_panther.bundle.plan import Change


def init(
    folder: Annotated[Path, typer.Argument(help="Root of a content repository, new or not.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change; write nothing.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that differ, also what you set.")
    ] = False,
) -> None:
    """Write the detections that come with local-panther into a content repository.

    Shows which files are new and how others differ from what is there. If any differ, nothing is
    written without --overwrite. All files are written or none.
    """
    from local_panther.bundle.files import bundled_files
    from local_panther.bundle.plan import planned
    from local_panther.bundle.writing import write

    messages = message_console()
    with write_errors(folder, messages):
        with content_errors(messages):
            changes = planned(bundled_files(), folder)
        _show(changes, output_console())
        differing = [change.path for change in changes if change.kind == "differs"]
        if differing and not overwrite:
            text = "nothing was written: files differ from what is there (above); --overwrite"
            messages.print(message(f"{text} replaces them, also settings in them"))
            raise typer.Exit(INCOMPLETE)
        wanted = [change for change in changes if change.kind != "same"]
        if wanted and not dry_run:
            write(wanted, folder)
            note(f"written to {folder}; next, in that folder: local-panther test", messages)


def _show(changes: "list[Change]", console: Console) -> None:
    for change in changes:
        if change.kind != "same":
            console.print(message(f"{change.kind:8}{change.path}"), soft_wrap=True)
    counts = Counter(change.kind for change in changes)
    summary = f"{counts['new']} new, {counts['differs']} that differ, {counts['same']} the same"
    console.print(Text(summary))
    for change in changes:
        if change.kind == "differs":
            print_difference(change, console)
