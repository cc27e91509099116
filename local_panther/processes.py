"""Cleans up signals, workers and temporary folders when a command ends.

A command that is killed (SIGKILL) cannot clean up. So each worker watches its parent, and each
temporary folder has a small process that removes it as soon as its owner is gone; it takes 3 ms to
start and stop.
"""

import _thread
import contextlib
import ctypes
import gc
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
END_SIGNALS = (signal.SIGINT, *STOP_SIGNALS)
PARENT_POLL_SECONDS = 0.25
PR_SET_PDEATHSIG = 1  # linux/prctl.h
GARBAGE_THRESHOLD = 100_000  # new objects; a file of records makes thousands, without cycles

# Waits for the end of its standard input, which comes when no process holds the other end any more.
# It removes the folder twice, since a worker that is about to die can still write into it. It
# restores the rights of folders in between, as content code can have taken them away.
REMOVE_AFTERWARDS = (
    'cat > /dev/null; rm -rf -- "$1"; [ -e "$1" ] || exit 0; sleep 0.5; '
    'chmod -R u+rwx -- "$1"; rm -rf -- "$1"'
)

# Lets another Python process import this package, wherever it runs
OWN_CODE = {"PYTHONPATH": str(Path(__file__).parents[1])}


def collect_garbage_rarely() -> None:
    """Run the cyclic garbage collector less often: it took 7 % of a replay of 5,000 records."""
    gc.set_threshold(GARBAGE_THRESHOLD)


def stop_as_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP stop a command as Ctrl-C does, unless they are ignored (nohup)."""
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def keep_interruptions() -> None:
    """Repeat Ctrl-C where Python drops the exception that it raised, as in a `__del__`."""

    def again(dropped: "sys.UnraisableHookArgs") -> None:
        if isinstance(dropped.exc_value, KeyboardInterrupt):
            _thread.interrupt_main()
        else:
            sys.__unraisablehook__(dropped)

    sys.unraisablehook = again


def ignore_interruptions() -> None:
    """Ignore signals during the last steps of a command, which is about to exit."""
    for number in END_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def signals_held_back() -> Iterator[None]:
    """Delay the signals that stop a command, as a new process starts with its parent's handlers.

    Ctrl-C in a terminal reaches all processes of a command. Processes started inside the context
    get the signals once they call `start_worker`; threads started inside it never get them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker(parent: int | None = None) -> None:
    """Prepare a worker process: it ignores Ctrl-C and exits on SIGTERM or when its parent exits.

    Args:
        parent: ID of the process that started it; None for its present parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, END_SIGNALS)
    end_with_parent(parent)


def end_with_parent(parent: int | None = None) -> None:
    """Exit as soon as the process that started this one has exited, even if it was killed.

    Linux does this itself, even during a call that holds Python's lock; elsewhere a thread checks.

    Args:
        parent: ID of the process that started it; None for its present parent.
    """
    parent = parent or os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it has exited already
        os._exit(1)


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_SECONDS)
    os._exit(1)


class TemporaryFolder:
    """A temporary folder that is removed by `cleanup`, and also if this process is killed.

    As a context manager, it returns the path and cleans up on exit.

    Attributes:
        path: The folder.
    """

    def __init__(self, prefix: str, inside: Path | None = None) -> None:
        """Make the folder.

        Args:
            prefix: Start of its name.
            inside: The parent folder; by default the system's folder for temporary files.
        """
        name = prefix + secrets.token_hex(8)
        self.path = (Path(inside or tempfile.gettempdir()) / name).absolute()
        # Started before the folder exists, so that a kill in between leaves no folder behind.
        self._remover = subprocess.Popen(
            ["/bin/sh", "-c", REMOVE_AFTERWARDS, "remover", str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": os.defpath},
            start_new_session=True,  # Ctrl-C in a terminal reaches the whole group
        )
        try:
            self.path.mkdir(mode=0o700)
        except BaseException:
            self._stop_remover()
            raise

    def cleanup(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.path.exists():
            self._give_rights()
            shutil.rmtree(self.path, ignore_errors=True)
        self._stop_remover()

    def _give_rights(self) -> None:
        """Restore the owner's rights on every folder, as content code can have removed them."""
        with contextlib.suppress(OSError):  # removed in between, or another user's
            self.path.chmod(0o700)
        for folder, folders, _ in os.walk(self.path):
            for path in (Path(folder, name) for name in folders):
                with contextlib.suppress(OSError):
                    if not path.is_symlink():
                        path.chmod(0o700)

    def _stop_remover(self) -> None:
        # Do not wait for it to exit: a worker may still hold the other end of its pipe.
        self._remover.kill()
        self._remover.communicate()

    def __enter__(self) -> Path:
        """Return the path."""
        return self.path

    def __exit__(self, *exc_info: object) -> None:
        """Remove the folder."""
        self.cleanup()


def link(file: Path, target: Path) -> None:
    """Give a file that no longer changes a second path."""
    try:
        os.link(file, target)
    except OSError:  # on a file system without hard links
        shutil.copyfile(file, target)
