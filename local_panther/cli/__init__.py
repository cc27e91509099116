"""The command line: `local-panther`, one module for each command.

Imports are deferred: each command imports what it runs with when it runs, since moto, DuckDB and
panther_core take most of a second to import and `--help` should not wait for them.

Exit status: 0 everything was read; 1 some input could not be read or a rule failed; 2 the arguments
or the content cannot be used.
"""

import typer

from local_panther.cli.replay import replay
from local_panther.cli.serve import serve
from local_panther.cli.simulate import simulate
from local_panther.cli.test import TEST_SETTINGS, test
from local_panther.cli.tune import tune

app = typer.Typer(
    help="A local Panther: test and replay Panther content without an instance.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(replay)
app.command()(tune)
app.command()(simulate)
app.command()(serve)
app.command(context_settings=TEST_SETTINGS)(test)


def main() -> None:
    """Run the command line."""
    app()
