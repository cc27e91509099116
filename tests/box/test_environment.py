"""Content gets only harmless variables of the environment, and commands those that they need."""

import os
import subprocess
import sys

import pytest

from tests.builders.events import REPO

pytestmark = [pytest.mark.attack("content"), pytest.mark.process]
GIVEN = {
    "PATH": os.environ["PATH"],
    "HOME": "/nowhere",
    "LC_ALL": "C.UTF-8",
    "PANTHER_API_TOKEN": "x",
    "PANTHER_WEBHOOK_SECRET": "x",
    "PANTHER_FILTER": "RuleID=A",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_PROFILE": "x",
    "GITHUB_TOKEN": "x",
    "SSH_AUTH_SOCK": "x",
    "HTTPS_PROXY": "x",
    "SOMETHING": "x",
}
KEPT = {"PATH", "HOME", "LC_ALL"}
SETTINGS = {"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED"}


def left(more: str) -> set[str]:
    """Return the names of the variables that a process has after `forget_secrets`."""
    code = "import os; from local_panther.box import environment as e; "
    code += f"e.forget_secrets({more}); print(*os.environ, sep='\\n')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPO, env=GIVEN, capture_output=True, text=True, check=True)
    return {*done.stdout.split()}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("()", KEPT | SETTINGS),
        ("e.of_the_tool()", KEPT | SETTINGS | {"PANTHER_FILTER"}),
        ("e.OF_S3", KEPT | {"AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "HTTPS_PROXY"}),
        ("e.OF_A_CLUSTER", KEPT | SETTINGS | {"HTTPS_PROXY"}),
    ],
)
def test_only_listed_variables_and_those_that_the_command_needs_are_kept(more, expected):
    assert left(more) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_proc_shows_nothing_of_the_first_environment():
    code = "from local_panther.box.environment import forget_secrets; forget_secrets(); "
    code += "import os; print(open('/proc/self/environ').read().strip(chr(0)), os.getenv('HOME'))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPO, env=GIVEN, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["/nowhere"]
