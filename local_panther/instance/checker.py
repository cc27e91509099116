"""Runs the check of an upload in a process of its own, which a hostile upload cannot outlive."""

import json
import subprocess
import sys
from pathlib import Path

from local_panther.errors import Problem
from local_panther.instance.model import CheckedUpload

CHECK_SECONDS = 60


class Checker:
    """Checks uploads, one at a time."""

    def __init__(self) -> None:
        """Start with no check under way."""
        self._process: subprocess.Popen[bytes] | None = None

    def check(self, unpacked: Path, stored: Path, candidate: Path, result: Path) -> CheckedUpload:
        """Check an upload; see `local_panther.instance.check`.

        Args:
            unpacked: The unpacked archive.
            stored: The content so far.
            candidate: An empty folder that gets both together.
            result: The file for the outcome.
        """
        arguments = map(str, (unpacked, stored, candidate, result))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local_panther.instance.check", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            _, errors = self._process.communicate(timeout=CHECK_SECONDS)
        except subprocess.TimeoutExpired:
            self.stop()
            return _failed(f"the check took more than {CHECK_SECONDS} s: does a body loop?")
        try:
            return CheckedUpload.from_json(json.loads(result.read_text(encoding="utf-8")))
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            last = (errors.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
            return _failed(f"the check failed (status {self._process.returncode}): {last}")

    def stop(self) -> None:
        """Stop a check that is under way; its upload is not stored."""
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def _failed(message: str) -> CheckedUpload:
    return CheckedUpload(problems=[Problem("", message)])
