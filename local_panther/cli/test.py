"""`local-panther test`."""

import os
import secrets
import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from local_panther.cli.boxed import TrustContent, note_limits, run_content_here
from local_panther.cli.common import (
    PIPE_WIDTH,
    UNUSABLE,
    content_errors,
    message,
    message_console,
    note,
    without_colour,
)
from local_panther.processes import TemporaryFolder
from local_panther.text import in_one_line

if TYPE_CHECKING:
    from local_panther.content.dependencies import Dependencies
    from local_panther.tool_runs.results import Results

# Unknown options are passed to panther_analysis_tool; its help is printed below ours.
TEST_SETTINGS: dict[str, Any] = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}
ON_GITHUB = os.environ.get("GITHUB_ACTIONS") == "true"


def test(
    context: typer.Context,
    *,
    junit: Annotated[
        Path | None,
        typer.Option(metavar="FILE.xml", help="Also write the results as JUnit XML."),
    ] = None,
    github: Annotated[
        bool,
        typer.Option(
            "--github/--no-github",
            help="Annotate failed tests in the pull request; the default in GitHub Actions.",
            show_default=False,
        ),
    ] = ON_GITHUB,
    changed: Annotated[
        str | None,
        typer.Option(
            metavar="[REV]",
            help="Test only what differs from a git revision (by default HEAD), and everything "
            "that depends on it.",
            show_default=False,
        ),
    ] = None,
    fix: Annotated[
        bool,
        typer.Option("--fix", help="First correct values that disagree with their setting."),
    ] = False,
    trust_content: TrustContent = False,
    show_help: Annotated[
        bool, typer.Option("--help", "-h", help="Show this message, and the tool's.")
    ] = False,
) -> None:
    """Run panther_analysis_tool test against a temporary local instance.

    Nothing is skipped: correlation rules and inline filters are tested too. All other arguments are
    passed to panther_analysis_tool test, and its output is printed. A list at the end repeats each
    failure with its reason, and adds content that an upload would refuse and filters or values that
    cannot work as intended. The exit status is 0 only if this list is empty.
    """
    from local_panther.tool_runs.annotations import commands_stopped
    from local_panther.tool_runs.tool import started_tool

    if show_help:
        print(context.get_help(), end="\n\n", flush=True)
        with started_tool(watched=False) as tool:
            raise typer.Exit(tool.run(["test", "--help"], _width()))

    def show(line: str) -> None:
        sys.stdout.write(without_colour(line))
        sys.stdout.flush()

    quiet_runner = commands_stopped if github else nullcontext
    with (
        quiet_runner(),
        started_tool(watched=_is_plain()) as tool,
        TemporaryFolder("local-panther-") as state,
    ):
        from local_panther.content.dependencies import Dependencies
        from local_panther.instance.http.on_demand import running_on_demand
        from local_panther.instance.store.index import is_stored
        from local_panther.remembered import cache_folders
        from local_panther.tool_runs.doubts import check_content, checked_apart
        from local_panther.tool_runs.narrowing import Filters, narrowed_to
        from local_panther.tool_runs.tool import Box
        from local_panther.tool_runs.unopened import unopened

        folder, messages = _content_folder(context.args), message_console()
        if trust_content:
            run_content_here()
        if fix:
            _fix(folder, messages)
        left_out = unopened(folder)
        dependencies = Dependencies(folder)
        filters = Filters(dependencies, context.args)
        narrowed, only = filters.narrowed(), None
        if changed is not None:
            only = _touched(dependencies, changed, messages)
            if not only:
                if junit:  # a file of an earlier run would be taken for this run's
                    _report(tool.results(), junit, github=False)
                raise typer.Exit
            narrowed = narrowed_to(dependencies, only)
        check = partial(check_content, dependencies, has_comments=not is_stored(folder), only=only)
        found = check() if trust_content else checked_apart(check, cache_folders())
        with content_errors(messages), running_on_demand(state, token := _token()) as url:
            instance = {"PANTHER_API_HOST": url, "PANTHER_API_TOKEN": token}
            arguments = ["test", *context.args, *left_out.arguments]
            box = None if trust_content else Box(folder, cache_folders())
            note_limits(messages, trust=trust_content)
            status = tool.run(arguments, instance, show, narrowed, box)
        results, loaded = tool.results(), tool.loaded()
        if loaded and narrowed.is_complete:
            filters.remember(loaded)
    results.add_problems([*left_out.problems, *found.problems], folder)
    with quiet_runner():
        _print_end(results, [left_out.note, *found.notes], messages)
    if junit or github:
        _report(results, junit, github=github)
    raise typer.Exit(status or int(bool(results.failed) or not results.complete))


def _print_end(results: "Results", notes: Iterable[str], messages: Console) -> None:
    """Print all notes, and each failure with its reason."""
    for result in results.tests:
        for text in result.notes:
            note(f"{result.item}: {result.test}: {text}", messages)
    for text in filter(None, notes):
        note(text, messages)
    for result in results.failed:
        label = "content: " if result.place else "failed: "
        messages.print(Text.assemble((label, "red"), in_one_line(str(result))))
    if not results.complete:
        text = "panther_analysis_tool stopped before its summary: not everything was tested"
        messages.print(message(text, "red"))
    elif results.failed:
        tests = sum(not result.place for result in results.failed)
        parts = (f"{tests:,} failed", f"{len(results.failed) - tests:,} problems in the content")
        messages.print(message(", ".join(parts), "red"))


def _touched(dependencies: "Dependencies", revision: str, messages: Console) -> set[str]:
    """Return the files that depend on changes since a revision; an empty set if no item does."""
    from local_panther.tool_runs.changes import NoChanges, changed_names

    try:
        names = changed_names(dependencies, revision)
    except NoChanges as error:
        messages.print(message(f"--changed: {error}", "red"))
        raise typer.Exit(UNUSABLE) from error
    touched = {path for path in dependencies.touched(names) if not path.endswith(".py")}
    if not any(dependencies.files[path].facts.is_item for path in touched):
        note(f"--changed: no item depends on what differs from {revision}", messages)
        return set()
    return touched


def _fix(folder: Path, messages: Console) -> None:
    """Correct values that disagree with their settings, and print how files change."""
    from local_panther.cli.set_values import show_and_write
    from local_panther.content.following import Repository
    from local_panther.instance.store.index import is_stored

    if is_stored(folder):
        note("--fix: uploads keep no comments, so it is unknown which values must agree", messages)
        return
    with content_errors(messages):
        texts = Repository(folder).fixed()
    show_and_write(texts, folder, messages, messages)
    if not texts:
        note("--fix: nothing to change", messages)


def _content_folder(arguments: list[str]) -> Path:
    """Return the root of the tested repository: the working folder, or else the given --path."""
    from local_panther.content.kinds import FOLDERS

    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--path", type=Path, default=Path())
    given: Path = parser.parse_known_args(arguments)[0].path
    is_root = any(Path(folder).is_dir() for folder in FOLDERS.values())
    inside = given.resolve().is_relative_to(Path.cwd())
    return Path() if is_root and inside else given


def _width() -> dict[str, str]:
    """Return variables that set the width of the tool's help, which is too narrow in a pipe."""
    has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    return {} if has_width else {"COLUMNS": str(PIPE_WIDTH)}


def _token() -> str:
    return secrets.token_urlsafe(24)


def _is_plain() -> bool:
    return "NO_COLOR" in os.environ


def _below_workspace() -> Path:
    """Return the working folder's path below the root of the repository that GitHub checked out."""
    workspace = Path(os.environ.get("GITHUB_WORKSPACE", ".")).resolve()
    here = Path.cwd()
    return here.relative_to(workspace) if here.is_relative_to(workspace) else Path()


def _report(results: "Results", junit: Path | None, *, github: bool) -> None:
    from local_panther.box.writing import write_text
    from local_panther.tool_runs.annotations import annotations
    from local_panther.tool_runs.junit import junit_xml
    from local_panther.tool_runs.tool import spec_files

    files = spec_files(Path())
    if github:
        for line in annotations(results.failed, files, _below_workspace()):
            print(in_one_line(line))
    if junit:
        try:
            write_text(junit, junit_xml(results.tests, files))
        except OSError as error:
            message_console().print(message(f"{junit}: cannot be written: {error.strerror}"))
            raise typer.Exit(UNUSABLE) from error
