"""Processes of commands under test: what they started, and what they cost."""

import os
import signal
from pathlib import Path

from tests.instance.servers import processes_with

STOPS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]


def children(process: int) -> list[int]:
    path = f"/proc/{process}/task/{process}/children"
    try:
        return [int(child) for child in Path(path).read_text().split()]
    except OSError:
        return []


def all_below(process: int) -> list[int]:
    found = children(process)
    return found + [deeper for child in found for deeper in all_below(child)]


def forks_of(process: int) -> list[int]:
    """Return the children of a process that run the same command."""
    command = Path(f"/proc/{process}/cmdline").read_text()
    return [p for p in processes_with(command) if p in children(process)]


def busy_seconds(process: int) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")
