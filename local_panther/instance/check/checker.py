"""Runs the check of an upload in processes of its own, which a hostile upload cannot outlive."""

from pathlib import Path

from local_panther.errors import Problem
from local_panther.instance.check.guarded import Guarded, GuardedError
from local_panther.instance.check.model import CheckedUpload

# A thousand items take 17 s of processor time; a busy machine may give a tenth of a processor.
CHECK_SECONDS = 180


class Checker:
    """Checks uploads, one at a time."""

    def __init__(self, *, trust: bool = False) -> None:
        """Start with no check under way; code that is trusted runs without the box."""
        self._guarded = Guarded("check", trust=trust)

    def check(self, work: Path, unpacked: Path, stored: Path, candidate: Path) -> CheckedUpload:
        """Check an upload; see `local_panther.instance.check.check`.

        Args:
            work: A folder for what the check writes.
            unpacked: The unpacked archive.
            stored: The content so far.
            candidate: An empty folder that gets both together.

        Raises:
            OSError: The disk is full.
        """
        module, folders = "local_panther.instance.check.check", (unpacked, stored, candidate)
        try:
            return self._guarded.run(work, module, folders, CHECK_SECONDS, CheckedUpload.from_json)
        except GuardedError as error:
            return CheckedUpload(problems=[Problem("", str(error))])

    def stop(self) -> None:
        """Stop a check that is under way, whose upload is not stored, and check no more."""
        self._guarded.stop()
