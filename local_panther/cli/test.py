"""`local-panther test`."""

import os
import secrets
import subprocess
import sys

import typer

from local_panther.processes import TemporaryFolder

# Every argument is panther_analysis_tool's, --help too.
TEST_SETTINGS = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}


def test(context: typer.Context) -> None:
    """Run panther_analysis_tool test against an instance that lives as long as the run.

    Arguments, output and exit status are those of panther_analysis_tool.
    """
    from local_panther.instance.server import running

    token = secrets.token_urlsafe(24)
    start = "from panther_analysis_tool.main import run; run()"
    with TemporaryFolder("local-panther-") as state, running(state, token) as url:
        instance = {"PANTHER_API_HOST": url, "PANTHER_API_TOKEN": token}
        command = [sys.executable, "-c", start, "test", *context.args]
        done = subprocess.run(command, env=os.environ | instance)
    raise typer.Exit(done.returncode)
