"""Runs commands under limits of the machine."""

import os
import resource
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.cli.test_command_line import COMMAND

COMMANDS = ("test", "replay", "tune", "query", "summary", "init", "serve")


@dataclass(frozen=True)
class Shortage:
    """The limits that a command runs under.

    Attributes:
        limits: Limits of the process (RLIMIT_…).
        environment: Environment variables; None for one that is not set.
        within: Command that starts the command.
        is_enough: Whether commands can do all of their work despite the limits.
    """

    limits: dict[int, int] = field(default_factory=dict)
    environment: dict[str, str | None] = field(default_factory=dict)
    within: tuple[str, ...] = ()
    is_enough: bool = True


def arguments(command: str, content: Path, trail: Path, folder: Path) -> list[str | Path]:
    with_content = {
        "replay": [trail, "--report", folder / "report.html"],
        "tune": [trail],
        "query": ["AWS Role Escalation Hunt", trail],
        "summary": [trail],
    }
    if command in with_content:
        return [command, *with_content[command], "--content", content]
    return {
        "test": ["test", "--path", content, "--filter", "RuleID=AWS.CloudTrail.IAMListRoles"],
        "init": ["init", folder / "new"],
        "serve": ["serve", "--port", "0", "--state", folder / "state"],
    }[command]


def run(command: list[str | Path], folder: Path, shortage: Shortage) -> tuple[int, str, str]:
    """Run a command, and stop a server that has started; return status and output."""
    environment = dict(os.environ) | shortage.environment

    def limit() -> None:
        for which, value in shortage.limits.items():
            resource.setrlimit(which, (value, value))

    process = subprocess.Popen(
        [*shortage.within, COMMAND, *map(str, command)],
        cwd=folder,
        env={name: value for name, value in environment.items() if value is not None},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )
    started = process.stdout.readline() if command[0] == "serve" else ""
    if started:
        process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    return process.returncode, started + out, err
