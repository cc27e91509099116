"""Exit statuses, consoles, content folders and progress, which several commands share."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click
import typer
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment
from rich.text import Text

from local_panther.errors import ContentError, Problem, UnusableCluster
from local_panther.text import in_one_line, printable

if TYPE_CHECKING:
    from local_panther.bundle.change import Change
    from local_panther.records.model import Tally

OK, INCOMPLETE, UNUSABLE = 0, 1, 2
PIPE_WIDTH = 120
REFRESH_SECONDS = 0.1
LINE_SECONDS = 10  # between lines of progress on a stream that is not a terminal
DIFFERENCE_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


class _Console(Console):
    """A console that prints only printable characters, whatever the source of a text.

    It raises BrokenPipeError on a closed pipe, so that the command line can handle it.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.push_render_hook(_Printable())

    def on_broken_pipe(self) -> None:
        raise


class _Printable(RenderHook):
    """A hook that replaces control characters in every text that is printed."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Shown(renderable) for renderable in renderables]


@dataclass
class _Shown:
    renderable: ConsoleRenderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for text, style, control in console.render(self.renderable, options):
            yield Segment(text if control else printable(text), style, control)


def content_folder(given: Path | None) -> Path:
    """Return the content's folder: the given one, the working folder, or the shipped content."""
    from local_panther.content.files import has_items
    from local_panther.content.kinds import FOLDERS
    from local_panther.content.shipped import shipped_content
    from local_panther.instance.store.index import stored_content

    if given:
        with content_errors(message_console()):
            return stored_content(given)
    if any(Path(folder).is_dir() for folder in FOLDERS.values()) or has_items(Path()):
        return Path()
    text = "no content in this folder: running the detections that come with local-panther"
    note(text, message_console())
    return shipped_content()


def message_console(*outputs: Path | None) -> Console:
    """Return the console for messages; exit if one of the output files cannot be written."""
    messages = _Console(stderr=True, soft_wrap=True)
    for path in filter(None, outputs):
        reason = ""
        if not path.parent.is_dir():
            reason = f"the folder {path.parent} does not exist"
        elif path.is_dir():
            reason = "is a folder; name a file in it"
        elif not os.access(place := path if path.exists() else path.parent, os.W_OK):
            is_mount = os.statvfs(place).f_flag & os.ST_RDONLY
            what = "it is on a read-only file system" if is_mount else "permission denied"
            reason = f"cannot be written: {what}"
        if reason:
            messages.print(message(f"{path}: {reason}"))
            raise typer.Exit(UNUSABLE)
    return messages


def output_console() -> Console:
    """Return the console for standard output; in a pipe it is PIPE_WIDTH wide, or COLUMNS."""
    console = _Console()
    has_width = console.is_terminal or "COLUMNS" in os.environ
    return console if has_width else _Console(width=PIPE_WIDTH)


def is_quiet() -> bool:
    """Return whether to print only output and errors, without progress and notes."""
    return bool(os.environ.get("LOCAL_PANTHER_QUIET"))


def message(text: str, style: str = "") -> Text:
    """Return a message as one printable line; it may contain text from outside."""
    return Text(in_one_line(text), style)


def note(text: str, messages: Console) -> None:
    """Print a note, unless --quiet is set."""
    if not is_quiet():
        messages.print(message(text))


def without_colour(text: str) -> str:
    """Return text without colours if NO_COLOR is set, else unchanged."""
    return click.unstyle(text) if os.environ.get("NO_COLOR") else text


@contextmanager
def content_errors(messages: Console) -> Iterator[None]:
    """Print what is wrong with the content or the cluster, and exit."""
    try:
        yield
    except ContentError as error:
        print_problems(error.problems, messages)
        raise typer.Exit(UNUSABLE) from error
    except UnusableCluster as error:
        messages.print(message(str(error)))
        raise typer.Exit(UNUSABLE) from error


def has_doubtful_content(folder: Path, messages: Console) -> bool:
    """Print values that disagree and filters that cannot match; return whether there are any.

    An instance accepts such content, so it runs; the exit status says that it needs attention.
    """
    from local_panther.content.doubtful import doubtful_values
    from local_panther.instance.store.index import is_stored

    # An upload keeps no comments
    problems = doubtful_values(folder, with_comments=not is_stored(folder))
    print_problems(problems, messages)
    return bool(problems)


def print_problems(problems: Iterable[Problem], messages: Console) -> None:
    """Print each problem of the content on a line."""
    for problem in problems:
        messages.print(Text.assemble(("content: ", "red"), in_one_line(str(problem))))


@contextmanager
def write_errors(folder: Path, messages: Console) -> Iterator[None]:
    """Print why the files of a folder cannot be written, and exit; none of them is written."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or error
        messages.print(message(f"{error.filename or folder}: {reason}; nothing was written"))
        raise typer.Exit(UNUSABLE) from error


def print_difference(change: "Change", console: Console, **names: str) -> None:
    """Print the difference between a file and its new content.

    Args:
        change: Change of the file.
        console: Console to print on.
        names: Labels of the two versions, as for `Change.diff`.
    """
    for line in change.diff(**names):
        console.print(Text(line, DIFFERENCE_COLOURS.get(line[:1], "")), soft_wrap=True)


def write_file(
    write: Callable[[], None], path: Path, messages: Console, what: str = "report"
) -> None:
    """Write a file and print its path after a label; exit if it cannot be written."""
    try:
        write()
    except OSError as error:
        messages.print(message(f"{path}: cannot be written: {error.strerror}"))
        raise typer.Exit(UNUSABLE) from error
    note(f"{what}: {path}", messages)


@contextmanager
def reading_progress(console: Console) -> "Iterator[Callable[[Tally, int], None] | None]":
    """Show progress while files are read: a bar on a terminal, else a line every 10 seconds."""
    if is_quiet():
        yield None
        return
    if not console.is_terminal:
        yield _progress_lines(console)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    # No thread refreshes the bar: the workers are forked from this process.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("reading", total=None)
        shown = 0.0

        def watch(tally: "Tally", files: int) -> None:
            nonlocal shown
            if monotonic() - shown > REFRESH_SECONDS:
                shown = monotonic()
                text = f"{tally.files:,} of {files:,} files, {tally.records:,} records"
                progress.update(
                    task, total=files, completed=tally.files, description=text, refresh=True
                )

        yield watch


def _progress_lines(console: Console) -> "Callable[[Tally, int], None]":
    shown = monotonic()

    def watch(tally: "Tally", files: int) -> None:
        nonlocal shown
        if monotonic() - shown >= LINE_SECONDS:
            shown = monotonic()
            text = f"reading: {tally.files:,} of {files:,} files, {tally.records:,} records"
            console.print(Text(text))

    return watch
