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
    wanted: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=VALUE]...", help="Settings to change; without any, all are listed."
        ),
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
    """Change settings of a content repository, and every value that depends on them.

    Settings are upper-case names in Python; a comment in SQL or YAML ("must equal", "at least")
    marks a value that depends on one. Entries of a list are separated by commas: NAMES=alice,bob
    sets the list, NAMES= empties it, NAMES+=carol adds an entry and NAMES-=bob removes one. An
    entry with a comma needs a JSON array: NAMES='["a,b"]'.
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
        if not wanted:
            _print_settings(repository, output_console())
            raise typer.Exit(OK)
        try:
            with write_errors(folder, messages):
                texts = repository.changed(wanted)
        except (LookupError, ValueError) as error:
            raise typer.BadParameter(str(error.args[0])) from error
    if not texts:
        note("nothing to change: everything has these values already", messages)
    show_and_write(texts, folder, output_console(), messages, dry_run=dry_run)
    if dry_run:
        raise typer.Exit(OK)
    problems = check_agreements(folder)
    print_problems(problems, messages)
    if problems:
        note("local-panther test --fix corrects these", messages)
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
        texts: New texts by path.
        folder: Root of the repository.
        console: Console for the differences.
        messages: Console for an error, after which the command exits.
        dry_run: Only print the differences.
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
    """Return a folder if it holds content that can be edited; else exit."""
    from local_panther.content.kinds import FOLDERS
    from local_panther.instance.store.index import is_stored, stored_content

    with content_errors(messages):
        was_uploaded = is_stored(stored_content(folder))
    if was_uploaded:
        text = "holds uploads, which keep no comments; use --content to name their repository"
    elif not any((folder / name).is_dir() for name in FOLDERS.values()):
        text = "holds no Panther content (rules/, queries/, …); use --content to name a folder"
    else:
        return folder
    messages.print(message(f"{folder}: {text}"))
    raise typer.Exit(UNUSABLE)


def _print_settings(repository: "Repository", console: Console) -> None:
    settings = repository.settings()
    for setting in settings:
        value = setting.assignment.shown()
        pair = f"{setting.name}={shlex.quote(value) if value else ''}"
        console.print(message(pair), Text(setting.place, style="dim"), soft_wrap=True)
    if not settings:
        console.print("no comment in YAML or SQL names a setting")
