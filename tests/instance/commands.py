"""Runs commands of the environment, and the unmodified panther_analysis_tool with an instance."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.builders.environments import clean_environment
from tests.instance.conftest import TOKEN, Client

BIN = Path(sys.executable).parent


def run(*command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / str(command[0]), *map(str, command[1:])],
        cwd=cwd,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=120,
    )


def tool_for(instance: Client, content: Path) -> Callable[..., tuple[int, str]]:
    """Return a function that runs the tool on a content, with an instance's address and token."""

    def tool(*arguments: object, token: str = TOKEN) -> tuple[int, str]:
        out = ["--out", content.parent / "out"] if arguments[0] == "upload" else []
        instance_of = {"PANTHER_API_HOST": instance.url, "PANTHER_API_TOKEN": token}
        done = run("panther_analysis_tool", *arguments, *out, cwd=content, **instance_of)
        return done.returncode, done.stdout + done.stderr

    return tool
