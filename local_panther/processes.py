"""What outlives a command must not: its signals, its workers and its temporary folders.

A command that is killed (SIGKILL) cannot clean up. So each worker watches its parent, and each
temporary folder has a small process that removes it as soon as its owner is gone.
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
GARBAGE_THRESHOLD = 100_000  # new objects; a file of records has thousands, and no cycles

# Waits until its standard input ends, which is when no process holds the other end any more. It
# removes the folder twice, since a worker that is about to die can still write into it.
# A folder whose rights content code took away cannot be emptied without them.
REMOVE_AFTERWARDS = (
    'cat > /dev/null; rm -rf -- "$1"; [ -e "$1" ] || exit 0; sleep 0.5; '
    'chmod -R u+rwx -- "$1"; rm -rf -- "$1"'
)


# By which a further process of Python finds this package, wherever it runs
OWN_CODE = {"PYTHONPATH": str(Path(__file__).parents[1])}


def collect_garbage_rarely() -> None:
    """Look for cycles of objects seldom: by default that takes an eighth of a short run."""
    gc.set_threshold(GARBAGE_THRESHOLD)


def stop_as_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does, unless they are ignored (nohup)."""
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def keep_interruptions() -> None:
    """Let Ctrl-C do its work also where Python drops what is raised, as in a `__del__`."""

    def again(dropped: "sys.UnraisableHookArgs") -> None:
        if isinstance(dropped.exc_value, KeyboardInterrupt):
            _thread.interrupt_main()
        else:
            sys.__unraisablehook__(dropped)

    sys.unraisablehook = again


def ignore_interruptions() -> None:
    """Let nothing interrupt the last steps of a command: it is as good as at its end."""
    for number in END_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def signals_held_back() -> Iterator[None]:
    """Let the signals that end a command wait: a process that starts has its parent's handlers.

    Ctrl-C in a terminal reaches all its processes. Those that start here get the signals when they
    call `start_worker`, and threads that start here never.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker(parent: int | None = None) -> None:
    """Prepare a worker process: Ctrl-C is for its parent, SIGTERM and the parent's end end it.

    Args:
        parent: The process that started it; None for who is its parent now.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, END_SIGNALS)
    end_with_parent(parent)


def end_with_parent(parent: int | None = None) -> None:
    """End this process as soon as the process that started it has ended, however that ended.

    Linux does it itself, even within a call that holds Python's lock; elsewhere a thread looks.

    Args:
        parent: The process that started it; None for who is its parent now.
    """
    parent = parent or os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended in between
        os._exit(1)


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_SECONDS)
    os._exit(1)


class TemporaryFolder:
    """A folder that is removed by `cleanup`, and also if this process is killed.

    As a context manager it returns the path and cleans up at the end.

    Attributes:
        path: The folder.
    """

    def __init__(self, prefix: str, inside: Path | None = None) -> None:
        """Make the folder.

        Args:
            prefix: What its name begins with.
            inside: Where to make it; by default where the system keeps temporary files.
        """
        name = prefix + secrets.token_hex(8)
        self.path = (Path(inside or tempfile.gettempdir()) / name).absolute()
        # Before the folder: a process that is killed in between has made none.
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
        """Give every folder its owner's rights again, as content code can have taken them away."""
        with contextlib.suppress(OSError):  # gone meanwhile, or another user's
            self.path.chmod(0o700)
        for folder, folders, _ in os.walk(self.path):
            for path in (Path(folder, name) for name in folders):
                with contextlib.suppress(OSError):
                    if not path.is_symlink():
                        path.chmod(0o700)

    def _stop_remover(self) -> None:
        # It is not left to end by itself: a worker may hold the other end of its pipe.
        self._remover.kill()
        self._remover.communicate()

    def __enter__(self) -> Path:
        """Return the path."""
        return self.path

    def __exit__(self, *exc_info: object) -> None:
        """Remove the folder."""
        self.cleanup()


def link(file: Path, target: Path) -> None:
    """Let a file that does not change any more have another path, too."""
    try:
        os.link(file, target)
    except OSError:  # on a file system that has no such links
        shutil.copyfile(file, target)
