"""The command line: `local-panther`, one module for each command.

Imports are deferred: each command imports what it runs with when it runs, since moto, DuckDB and
panther_core take most of a second to import and `--help` should not wait for them.

Exit status: 0 everything was read; 1 some input could not be read or a rule failed; 2 the arguments
or the content cannot be used.
"""

import importlib.metadata
import logging
from typing import Annotated

import typer

from local_panther.cli.init import init
from local_panther.cli.query import query
from local_panther.cli.replay import replay
from local_panther.cli.serve import serve
from local_panther.cli.set_values import set_values
from local_panther.cli.settings import Commands, context_settings, ensure_streams
from local_panther.cli.simulate import simulate
from local_panther.cli.summary import summary
from local_panther.cli.test import TEST_SETTINGS, test
from local_panther.cli.tune import tune
from local_panther.processes import collect_garbage_rarely
from local_panther.text import LogFormatter
from local_panther.versions import PANTHER_PACKAGES, installed

app = typer.Typer(
    cls=Commands,
    help="A local Panther: test and replay Panther content without an instance.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # whose boxes break messages in a pipe
    context_settings=context_settings(),
)
app.command()(replay)
app.command()(tune)
app.command()(query)
app.command()(summary)
app.command()(simulate)
app.command()(serve)
app.command(context_settings=TEST_SETTINGS)(test)
app.command()(init)
app.command("set")(set_values)


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
    """Take the options that come before a command."""


def main() -> None:
    """Run the command line."""
    collect_garbage_rarely()
    ensure_streams()
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter(logging.BASIC_FORMAT))
    logging.basicConfig(handlers=[handler])
    app()
