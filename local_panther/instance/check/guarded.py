"""Runs modules that import uploaded code, within limits of time, memory and processes."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from local_panther.box.entry import enter
from local_panther.box.environment import AWS
from local_panther.instance.check import guard
from local_panther.instance.check.files import read_file
from local_panther.processes import OWN_CODE
from local_panther.remembered import cache_folders

END_SECONDS = 10  # to wait for the guard to kill its processes
MAX_RESULT_BYTES = 20 * 1024 * 1024
PROBE_BYTES = 64 * 1024
LAST_BYTES = 8192  # read from the end of its messages, to find the last one

# The variables that child processes inherit: no credentials, no token, no proxies.
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
FAILURES = {
    guard.TOO_LONG: "the {name} took more than {seconds} s: does a body loop?",
    guard.TOO_MANY: f"the {{name}} had more than {guard.MAX_PROCESSES} processes: "
    "does a body fork?",
    guard.STOPPED: "the {name} was stopped with the server",
}
BOXED, TRUSTED = "boxed", "trusted"
T = TypeVar("T")


def enter_box() -> None:
    """Put this process, started by `Guarded`, into the box before it runs uploaded code."""
    result, box = sys.argv[-2:]
    if box != TRUSTED:
        home = Path(os.environ["TMPDIR"])
        enter(writable=[Path(result).parent], kept=(AWS,), temporary=home)


class GuardedError(Exception):
    """A module exited without a result; the message says why.

    Attributes:
        timed_out: True if it took too long.
    """

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class Guarded:
    """Runs modules one after the other, within the limits of `guard.py`."""

    def __init__(self, name: str, *, trust: bool = False, has_cache: bool = False) -> None:
        """Prepare.

        Args:
            name: The noun for a run in messages, such as "check".
            trust: Run uploaded code without the box.
            has_cache: Let modules find the user's cache. They must `detach` from it before they
                run uploaded code.
        """
        self._name = name
        self._has_cache = has_cache
        self._box = TRUSTED if trust else BOXED
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(
        self,
        work: Path,
        module: str,
        arguments: Sequence[object],
        seconds: float,
        read: Callable[[Any], T],
    ) -> T:
        """Run a module and return its result.

        Args:
            work: A folder for the files of the run.
            module: The name of the module. It gets the arguments, the file for its result, and
                whether to put itself into the box (`enter_box`).
            arguments: Arguments of the module.
            seconds: Time limit.
            read: Turns the JSON that the module wrote into the result. Uploaded code may have
                forged the JSON, so an exception counts as a failed run.

        Raises:
            GuardedError: The module failed, took too long or was stopped.
            OSError: The disk is full.
        """
        result, messages, home = work / "result.json", work / "messages.txt", work / "home"
        home.mkdir()
        command = [sys.executable, "-P", "-m", module, *map(str, arguments), str(result)]
        command.append(self._box)
        with messages.open("w+b") as file:
            status = self._status(command, work, home, file, seconds)
            if status in FAILURES:
                message = FAILURES[status].format(name=self._name, seconds=seconds)
                raise GuardedError(message, timed_out=status == guard.TOO_LONG)
            try:
                return read(json.loads(read_file(result, MAX_RESULT_BYTES)))
            except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
                _check_room(work)
                failed = f"the {self._name} failed (status {status}): {_last_line(file)}"
                raise GuardedError(failed) from None

    def stop(self) -> None:
        """Stop the current run and refuse further ones."""
        with self._lock:
            self._stopped = True
        self._end()

    def _status(
        self, command: list[str], work: Path, home: Path, messages: BinaryIO, seconds: float
    ) -> int:
        guarded = [sys.executable, "-I", "-S", guard.__file__, str(seconds), *command]
        with self._lock:
            if self._stopped:
                return guard.STOPPED
            self._process = process = subprocess.Popen(
                guarded,
                env=_environment(home) | (cache_environment() if self._has_cache else {}),
                cwd=work,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=messages,
                start_new_session=True,
            )
        try:
            process.wait(seconds + END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        finally:
            self._end()
        return process.returncode

    def _end(self) -> None:
        process = self._process
        if process and process.stdin:
            with contextlib.suppress(OSError):
                process.stdin.close()  # tells the guard to stop
            process.wait()


def inherited_environment(*more: str) -> dict[str, str]:
    """Return the environment for a child process: no credentials, no token, no proxies.

    Args:
        more: Names of further variables that it may inherit.
    """
    kept = {name: os.environ[name] for name in (*ENVIRONMENT, *more) if name in os.environ}
    return kept | OWN_CODE


def cache_environment() -> dict[str, str]:
    """Return the variable that leads to the user's cache; none if the user has no cache."""
    found = cache_folders()
    return {"XDG_CACHE_HOME": str(found[0].parent)} if found else {}


def _environment(home: Path) -> dict[str, str]:
    return inherited_environment() | {
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_DEFAULT_REGION": "us-east-1",  # bodies that create a client need one
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _check_room(work: Path) -> None:
    """Raise OSError if the disk is full, since the run could not write a message about it."""
    probe = work / "probe"
    probe.write_bytes(bytes(PROBE_BYTES))
    probe.unlink()


def _last_line(file: BinaryIO) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - LAST_BYTES))
    lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no message"
