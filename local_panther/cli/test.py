"""`local-panther test`."""

import os
import secrets
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from tempfile import TemporaryDirectory

import typer

from local_panther.cli.common import has_doubtful_content, message_console

# Every argument is panther_analysis_tool's, --help too.
TEST_SETTINGS = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}


def test(context: typer.Context) -> None:
    """Run panther_analysis_tool test against an instance that lives as long as the run.

    Arguments, output and exit status are those of panther_analysis_tool; values that do not agree
    and filters that cannot match come first, and count as a failure.
    """
    from local_panther.instance.server import running

    is_doubtful = has_doubtful_content(_content_folder(context.args), message_console())

    token = secrets.token_urlsafe(24)
    start = "from panther_analysis_tool.main import run; run()"
    with TemporaryDirectory(prefix="local-panther-") as state, running(Path(state), token) as url:
        instance = {"PANTHER_API_HOST": url, "PANTHER_API_TOKEN": token}
        command = [sys.executable, "-c", start, "test", *context.args]
        done = subprocess.run(command, env=os.environ | instance)
    raise typer.Exit(done.returncode or int(is_doubtful))


def _content_folder(arguments: list[str]) -> Path:
    """Return the root of the repository that is tested: this folder, or else the given --path."""
    from local_panther.content.kinds import FOLDERS

    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--path", type=Path, default=Path())
    given: Path = parser.parse_known_args(arguments)[0].path
    is_root = any(Path(folder).is_dir() for folder in FOLDERS.values())
    inside = given.resolve().is_relative_to(Path.cwd())
    return Path() if is_root and inside else given
