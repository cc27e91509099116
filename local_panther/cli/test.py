"""`local-panther test`."""

import os
import secrets
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from local_panther.cli.common import UNUSABLE, message_console, without_colour
from local_panther.processes import TemporaryFolder

# What is not an option of ours is the tool's; its help is printed below our own.
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
            help="Mark failed tests in the pull request; the default within GitHub Actions.",
            show_default=False,
        ),
    ] = ON_GITHUB,
    show_help: Annotated[
        bool, typer.Option("--help", "-h", help="Show this message, and the tool's.")
    ] = False,
) -> None:
    """Run panther_analysis_tool test with an instance that lives as long as the run.

    Nothing is skipped: correlation rules and inline filters are tested too. All further arguments,
    the output and the exit status are those of panther_analysis_tool test.
    """
    from local_panther.instance.server import running
    from local_panther.unit_tests.results import Results
    from local_panther.unit_tests.tool import run_tool

    if show_help:
        print(context.get_help(), end="\n\n", flush=True)
        raise typer.Exit(run_tool(["test", "--help"], {}, watch=None))
    results = Results()

    def watch(line: str) -> None:
        results.take(line)
        sys.stdout.write(without_colour(line))
        sys.stdout.flush()

    reported = bool(junit or github)
    with TemporaryFolder("local-panther-") as state, running(state, token := _token()) as url:
        instance = {"PANTHER_API_HOST": url, "PANTHER_API_TOKEN": token}
        arguments = ["test", *context.args]
        status = run_tool(arguments, instance, watch if reported or _is_plain() else None)
    if reported:
        _report(results, junit, github=github)
    raise typer.Exit(status)


def _token() -> str:
    return secrets.token_urlsafe(24)


def _is_plain() -> bool:
    return "NO_COLOR" in os.environ


def _report(results: Any, junit: Path | None, *, github: bool) -> None:
    from local_panther.unit_tests.annotations import annotations
    from local_panther.unit_tests.junit import junit_xml
    from local_panther.unit_tests.tool import spec_files

    files = spec_files(Path())
    if github:
        for line in annotations(results.failed, files):
            print(line)
    if junit:
        try:
            junit.write_text(junit_xml(results.tests, files), encoding="utf-8")
        except OSError as error:
            message_console().print(Text(f"{junit}: cannot be written: {error.strerror}"))
            raise typer.Exit(UNUSABLE) from error
