"""Runs the check of an upload in processes of its own, which a hostile upload cannot outlive."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import local_panther
from local_panther.errors import Problem
from local_panther.instance import guard
from local_panther.instance.files import read_file
from local_panther.instance.model import CheckedUpload

# A thousand items take 17 s of processor time; a busy machine may give a tenth of a processor.
CHECK_SECONDS = 180
END_SECONDS = 10  # for the guard to end what the check has started
MAX_RESULT_BYTES = 20 * 1024 * 1024
PROBE_BYTES = 64 * 1024
LAST_BYTES = 8192  # of its messages, to find the last one

# All that a check gets of the environment: no credentials, no token, no proxies.
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
FAILURES = {
    guard.TOO_LONG: "the check took more than {} s: does a body loop?",
    guard.TOO_MANY: f"the check had more than {guard.MAX_PROCESSES} processes: does a body fork?",
    guard.STOPPED: "the check was stopped with the server",
}


class Checker:
    """Checks uploads, one at a time."""

    def __init__(self) -> None:
        """Start with no check under way."""
        self._process: subprocess.Popen[bytes] | None = None

    def check(self, work: Path, unpacked: Path, stored: Path, candidate: Path) -> CheckedUpload:
        """Check an upload; see `local_panther.instance.check`.

        Args:
            work: A folder for what the check writes.
            unpacked: The unpacked archive.
            stored: The content so far.
            candidate: An empty folder that gets both together.

        Raises:
            OSError: The disk is full.
        """
        result, messages, home = work / "result.json", work / "messages.txt", work / "home"
        home.mkdir()
        arguments = map(str, (unpacked, stored, candidate, result))
        check = [sys.executable, "-P", "-m", "local_panther.instance.check", *arguments]
        guarded = [sys.executable, "-I", "-S", guard.__file__, str(CHECK_SECONDS), *check]
        with messages.open("w+b") as file:
            self._process = subprocess.Popen(
                guarded,
                env=_environment(home),
                cwd=work,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=file,
                start_new_session=True,
            )
            try:
                self._process.wait(CHECK_SECONDS + END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
            finally:
                self.stop()
            status = self._process.returncode
            if status in FAILURES:
                return _failed(FAILURES[status].format(CHECK_SECONDS))
            try:
                # Uploaded code can have forged it.
                return CheckedUpload.from_json(json.loads(read_file(result, MAX_RESULT_BYTES)))
            except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
                _check_room(work)
                return _failed(f"the check failed (status {status}): {_last_line(file)}")

    def stop(self) -> None:
        """Stop a check that is under way; its upload is not stored."""
        process = self._process
        if process and process.stdin:
            with contextlib.suppress(OSError):
                process.stdin.close()  # for which the guard waits
            process.wait()


def _environment(home: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    return kept | {
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONPATH": str(Path(local_panther.__file__).parents[1]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_DEFAULT_REGION": "us-east-1",  # bodies that make a client need one
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _check_room(work: Path) -> None:
    """Raise the OSError of a full disk, of which a check cannot even leave a message."""
    probe = work / "probe"
    probe.write_bytes(bytes(PROBE_BYTES))
    probe.unlink()


def _last_line(file: BinaryIO) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - LAST_BYTES))
    lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no message"


def _failed(message: str) -> CheckedUpload:
    return CheckedUpload(problems=[Problem("", message)])
