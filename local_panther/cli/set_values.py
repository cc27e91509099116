"""`local-panther set`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from local_panther.cli.common import (
    INCOMPLETE,
    OK,
    UNUSABLE,
    content_errors,
    message,
    message_console,
    note,
    output_console,
    print_difference,
    print_problems,
    write_errors,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_panther.content.following import Repository


def set_values(
    asked: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="Settings; without any all are listed."),
    ] = None,
    *,
    content: Annotated[
        Path,
        typer.Option(help="Root of a content repository (the folder with rules/)."),
    ] = Path(),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change; write nothing.")
    ] = False,
) -> None:
    """Change settings of a content repository, and every place that has to follow them.

    The settings are upper-case names in Python; SQL and YAML that repeat one say so in a comment
    ("must equal", "at least"). Entries of a list are separated by commas: NAMES=alice,bob sets it,
    NAMES= empties it, NAMES+=carol adds to it and NAMES-=bob removes from it. An entry with a comma
    needs a JSON array: NAMES='["a,b"]'.
    """
    from local_panther.bundle.writing import finish
    from local_panther.content.agreements import check_agreements
    from local_panther.content.following import Repository

    messages = message_console()
    folder = _own_content(content, messages)
    if not dry_run:
        with write_errors(folder, messages):
            finish(folder)  # an interrupted `init` or `set`
    with content_errors(messages):
        repository = Repository(folder)
        if not asked:
            _print_settings(repository, output_console())
            raise typer.Exit(OK)
        try:
            with write_errors(folder, messages):
                texts = repository.changed(asked)
        except (LookupError, ValueError) as error:
            raise typer.BadParameter(str(error.args[0])) from error
    if not texts:
        note("nothing to change: all of it is set so", messages)
    show_and_write(texts, folder, output_console(), messages, dry_run=dry_run)
    if dry_run:
        raise typer.Exit(OK)
    problems = check_agreements(folder)
    print_problems(problems, messages)
    if problems:
        note("local-panther test --fix brings these back to their settings", messages)
        raise typer.Exit(INCOMPLETE)
    if texts:
        note("next: local-panther test", messages)


def show_and_write(
    texts: "Mapping[str, str]",
    folder: Path,
    console: Console,
    messages: Console,
    *,
    dry_run: bool = False,
) -> None:
    """Print how files change, and write all of them or none.

    Args:
        texts: The new texts by path.
        folder: The root of the repository.
        console: Where the differences go.
        messages: Where an error goes, which ends the command.
        dry_run: Only print.
    """
    from local_panther.bundle.change import Change
    from local_panther.bundle.writing import write

    with write_errors(folder, messages):
        changes = [
            Change(path, (folder / path).read_bytes(), text.encode())
            for path, text in texts.items()
        ]
        for change in changes:
            print_difference(change, console, before="now", after="then")
        if changes and not dry_run:
            write(changes, folder)
            count = f"{len(changes)} file{'s' if len(changes) > 1 else ''}"
            note(f"written: {count}", messages)


def _own_content(folder: Path, messages: Console) -> Path:
    """Return a folder of content that a person edits; any other ends the command."""
    from local_panther.content.kinds import FOLDERS
    from local_panther.instance.store.index import is_stored, stored_content

    with content_errors(messages):
        was_uploaded = is_stored(stored_content(folder))
    if was_uploaded:
        text = "holds uploads, which keep no comments; name the repository that they come from"
    elif not any((folder / name).is_dir() for name in FOLDERS.values()):
        text = "holds no Panther content (rules/, queries/, …); name a folder that does"
    else:
        return folder
    messages.print(message(f"{folder}: {text} with --content"))
    raise typer.Exit(UNUSABLE)


def _print_settings(repository: "Repository", console: Console) -> None:
    settings = repository.settings()
    for setting in settings:
        value = setting.assignment.shown()
        pair = f"{setting.name}={shlex.quote(value) if value else ''}"
        console.print(message(pair), Text(setting.place, style="dim"), soft_wrap=True)
    if not settings:
        console.print("no comment in YAML or SQL names a setting")
