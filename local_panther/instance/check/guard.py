"""Runs a command, and kills all its processes when the command or the caller exits.

    python -I -S guard.py SECONDS COMMAND...

SECONDS is the time limit of a check, or "replay" for a command that may run for any time and write
files of any size.

Standard input is a pipe from the caller. The command and everything that it started are killed when
that pipe closes (also because the caller was killed), after SECONDS, and when the command itself
exits. A daemon cannot escape by starting a session of its own or orphaning itself: orphans become
children of this process, and where the system lets any user create a process namespace, the command
runs in one that ends with its first process.

This protects against mistakes and against code that is not written to evade it. What a command can
reach, it limits itself: see `local_panther.box`. This file imports only the standard library, since
it starts for every check.

Exit status: that of the command, or one of those below.
"""

import contextlib
import ctypes
import math
import os
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

TOO_LONG, TOO_MANY, STOPPED = 124, 125, 126
REPLAY = "replay"
KILLED = 137  # status of a command that a signal ended, as shells report it

MAX_MEMORY_BYTES = 4 * 1024**3  # of one process
MAX_FILE_BYTES = 100 * 1024 * 1024  # of one file
MAX_OPEN_FILES = 512
MAX_PROCESSES = 16
MAX_REPLAY_PROCESSES = 256  # a replay has one worker for each core
MAX_THREADS = 128  # of all its processes
POLL_SECONDS = 0.05
END_SECONDS = 5  # to wait until killed processes are gone

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
CLONE_NEWUSER, CLONE_NEWPID = 0x10000000, 0x20000000  # linux/sched.h


def run(seconds: float | None, command: list[str]) -> int:
    """Run a command within the limits and return its exit status.

    Args:
        seconds: Time limit; None for a replay, which has other limits.
        command: The command with its arguments.
    """
    _adopt_orphans()
    threads = _threads_of_user() + MAX_THREADS
    _own_process_namespace()
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: _limit(seconds, threads),
    )
    try:
        if seconds is None:
            return _outcome(child, math.inf, MAX_REPLAY_PROCESSES)
        return _outcome(child, time.monotonic() + seconds, MAX_PROCESSES)
    finally:
        _kill_all(child.pid)


def _outcome(child: "subprocess.Popen[bytes]", deadline: float, processes: int) -> int:
    while True:
        status = child.poll()
        if status is not None:
            return status if status >= 0 else KILLED
        if time.monotonic() > deadline:
            return TOO_LONG
        if len(_descendants(os.getpid())) > processes:
            return TOO_MANY
        readable, _, _ = select.select([0], [], [], POLL_SECONDS)
        if readable and not os.read(0, 4096):
            return STOPPED


def _adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent exits."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _own_process_namespace() -> None:
    """Make the next child the first process of a namespace, if the system allows it."""
    if sys.platform != "linux":
        return
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0:
        return
    with contextlib.suppress(OSError):  # files belong to the user without the mapping too
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with contextlib.suppress(OSError):
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")


def _limit(seconds: float | None, threads: int) -> None:
    limits = [(resource.RLIMIT_AS, MAX_MEMORY_BYTES), (resource.RLIMIT_CORE, 0)]
    if seconds is not None:
        limits += [
            (resource.RLIMIT_FSIZE, MAX_FILE_BYTES),
            (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
            (resource.RLIMIT_CPU, int(seconds) + 1),
            (resource.RLIMIT_NPROC, threads),
        ]
    for limit, value in limits:
        _, highest = resource.getrlimit(limit)
        allowed = value if highest == resource.RLIM_INFINITY else min(value, highest)
        with contextlib.suppress(OSError, ValueError):  # macOS does not support RLIMIT_AS
            resource.setrlimit(limit, (allowed, allowed))


def _threads_of_user() -> int:
    """Return how many threads the user has: RLIMIT_NPROC counts all of them."""
    count, user = 0, os.getuid()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.stat().st_uid == user:
                count += sum(1 for _ in (process / "task").iterdir())
    return count


def _descendants(process: int) -> list[int]:
    """Return the descendants of a process; none on systems without /proc."""
    found, waiting = [], [process]
    while waiting:
        tasks = Path(f"/proc/{waiting.pop()}/task")
        with contextlib.suppress(OSError):
            for task in tasks.iterdir():
                children = [int(child) for child in (task / "children").read_text().split()]
                found += children
                waiting += children
    return found


def _kill_all(first: int) -> None:
    """Kill the command's group and every descendant, and wait until all are gone."""
    deadline = time.monotonic() + END_SECONDS
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(first, signal.SIGKILL)
    while time.monotonic() < deadline:
        for process in _descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:  # all are gone
            return
        time.sleep(0.005)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # only the caller stops it, by closing the pipe
    limits = None if sys.argv[1] == REPLAY else float(sys.argv[1])
    sys.exit(run(limits, sys.argv[2:]))
