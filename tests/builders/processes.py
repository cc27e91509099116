"""Processes of commands under test: what they started, and what they cost."""

import os
import signal
import subprocess
from pathlib import Path

from tests.instance.servers import eventually, is_running, processes_with

STOPS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]


def assert_stops(
    process: subprocess.Popen[bytes],
    stop: signal.Signals,
    temporary: Path,
    seconds: int = 30,
) -> bytes:
    """Send a signal, and assert that nothing is left of a command; return its standard error.

    Args:
        process: The command.
        stop: The signal.
        temporary: Its folder for temporary files, which must be empty afterwards.
        seconds: The time it may take to exit.
    """
    below = all_below(process.pid)
    process.send_signal(stop)
    _, err = process.communicate(timeout=seconds)
    assert b"Traceback" not in err
    assert process.returncode == (-9 if stop == signal.SIGKILL else 1)
    assert eventually(lambda: not any(map(is_running, below)), 2)
    assert eventually(lambda: not list(temporary.iterdir()), 2)
    return err


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
