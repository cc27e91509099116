"""Runs the check of an upload in a process of its own, which a hostile upload cannot outlive."""

from pathlib import Path

from local_panther.errors import Problem
from local_panther.instance.check.guarded import Guarded, GuardedError
from local_panther.instance.check.model import CheckedUpload

# A thousand items take 17 s of processor time, of which a busy machine may give a tenth.
CHECK_SECONDS = 180


class Checker:
    """Checks uploads, one at a time."""

    def __init__(self, *, trust: bool = False) -> None:
        """Prepare to run checks.

        Args:
            trust: Run uploaded code without the box.
        """
        self._guarded = Guarded("check", trust=trust, has_cache=True)

    def check(self, work: Path, unpacked: Path, stored: Path, candidate: Path) -> CheckedUpload:
        """Check an upload; see `local_panther.instance.check.check`.

        Args:
            work: A folder for what the check writes.
            unpacked: The unpacked archive.
            stored: The folder of the stored content.
            candidate: An empty folder, to which both are copied.

        Raises:
            OSError: The disk is full.
        """
        module, folders = "local_panther.instance.check.check", (unpacked, stored, candidate)
        try:
            return self._guarded.run(work, module, folders, CHECK_SECONDS, CheckedUpload.from_json)
        except GuardedError as error:
            return CheckedUpload(problems=[Problem("", str(error))])

    def stop(self) -> None:
        """Stop the current check, whose upload is then not stored, and refuse further ones."""
        self._guarded.stop()
