"""Changes of files."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """A change of one file.

    Attributes:
        path: Path from the root of the repository.
        old: Present content; None if the file does not exist.
        new: New content; None if the file is removed.
    """

    path: str
    old: bytes | None
    new: bytes | None

    def diff(self, before: str = "yours", after: str = "local-panther") -> Iterator[str]:
        """Yield the lines of a unified diff from the present content to the new one.

        Args:
            before: Label of the present content.
            after: Label of the new content.
        """
        old, new = ((b or b"").decode(errors="replace").splitlines() for b in (self.old, self.new))
        names = (f"{self.path} ({before})", f"{self.path} ({after})")
        return difflib.unified_diff(old, new, *names, lineterm="")
