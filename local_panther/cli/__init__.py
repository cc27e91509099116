"""The command line: `local-panther`, one module for each command.

Each command defers its imports until it runs: moto, DuckDB and panther_core take most of a second
to import, and `--help` should not wait for them.

Exit statuses:
    0: Everything was read, and every check passed.
    1: Some input could not be read, or a rule, a test or a requested check failed.
    2: The arguments or the content cannot be used.
"""

import importlib.metadata
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from local_panther.cli.boxed import own_this_process
from local_panther.cli.init import init
from local_panther.cli.query import query
from local_panther.cli.replay import replay
from local_panther.cli.serve import serve
from local_panther.cli.set_values import set_values
from local_panther.cli.settings import (
    Commands,
    check_surroundings,
    context_settings,
    end_for_certain,
    ensure_streams,
)
from local_panther.cli.simulate import simulate
from local_panther.cli.summary import summary
from local_panther.cli.test import TEST_SETTINGS, test
from local_panther.cli.tune import tune
from local_panther.processes import (
    collect_garbage_rarely,
    ignore_interruptions,
    keep_interruptions,
)
from local_panther.text import LogFormatter
from local_panther.versions import PANTHER_PACKAGES, installed

ABOUT = """A local Panther: test and replay Panther content without an instance.

Begin in a content repository with `local-panther test`, in an empty folder with
`local-panther init .`, or anywhere with `local-panther replay PATH-OF-CLOUDTRAIL`.
"""


@dataclass(frozen=True)
class _Command:
    """A command with its help texts.

    Attributes:
        run: Function of the command.
        name: Name of the command.
        about: Its line in the list of commands, short enough for 80 columns.
        examples: Whole command lines.
        settings: Settings of click's context.
    """

    run: Callable[..., None]
    name: str
    about: str
    examples: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)

    def add_to(self, app: typer.Typer) -> None:
        """Register the command."""
        lines = "\n".join(f"  {example}" for example in self.examples)
        page = f"Page: docs/commands/{self.name}.md"
        app.command(
            self.name,
            short_help=self.about,
            epilog=f"\b\nExamples:\n{lines}\n\n{page}",
            context_settings=self.settings or None,
        )(self.run)


# In the order in which a newcomer needs them
COMMANDS = (
    _Command(
        init,
        "init",
        "Write the detections into a repository, or upgrade them.",
        ("local-panther init . --dry-run", "local-panther init . --skip data_models"),
    ),
    _Command(
        test,
        "test",
        "Test content: rules, correlation rules, filters, queries.",
        ("local-panther test", "local-panther test --filter RuleID=AWS.CloudTrail.RoleSearch"),
        TEST_SETTINGS,
    ),
    _Command(
        replay,
        "replay",
        "Run content over recorded CloudTrail; print the alerts.",
        (
            "local-panther replay ~/my-trail/ --report report.html",
            "local-panther replay s3://bucket/AWSLogs/ --from 2026-01-05",
            "local-panther replay test_trails/ --expect expected-alerts.yml",
        ),
    ),
    _Command(
        tune,
        "tune",
        "Find the threshold and window that suit your CloudTrail.",
        ("local-panther tune ~/my-trail/",),
    ),
    _Command(
        query,
        "query",
        "Run a saved query over recorded CloudTrail.",
        (
            "local-panther query",
            "local-panther query 'AWS History of a Principal' ~/my-trail/ --set name=mallory",
        ),
    ),
    _Command(
        summary,
        "summary",
        "Show what each principal did with roles.",
        ("local-panther summary ~/my-trail/ --format csv",),
    ),
    _Command(
        set_values,
        "set",
        "Change a setting in every file that repeats it.",
        ("local-panther set", "local-panther set THRESHOLD=5 EXPECTED_PRINCIPALS+=alice"),
    ),
    _Command(
        simulate,
        "simulate",
        "Generate CloudTrail with an attack, to try things out.",
        (
            "local-panther simulate trail --succeed 2",
            "local-panther simulate trail.jsonl --principal role --rotate-sessions --shuffle",
        ),
    ),
    _Command(
        serve,
        "serve",
        "Run a local instance: upload, alerts, data lake, REST.",
        ("local-panther serve", "local-panther serve --replay ~/my-trail/ --follow"),
    ),
)

app = typer.Typer(
    cls=Commands,
    help=ABOUT,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich's boxes break messages in a pipe
    context_settings=context_settings(),
)
for command in COMMANDS:
    command.add_to(app)


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer calls it
    if value:
        print(f"local-panther {importlib.metadata.version('local-panther')}")
        for name in PANTHER_PACKAGES:
            print(f"{name} {installed(name) or 'is not installed'}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show versions."),
    ] = False,
) -> None:
    """Accept the options that come before a command."""


def main() -> None:
    """Run the command line."""
    collect_garbage_rarely()
    keep_interruptions()
    own_this_process()
    ensure_streams()
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter(logging.BASIC_FORMAT))
    logging.basicConfig(handlers=[handler])
    check_surroundings()
    try:
        app()
    except SystemExit as ended:
        ignore_interruptions()
        end_for_certain(ended.code)
        raise
