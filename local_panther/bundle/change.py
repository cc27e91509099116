"""A change of one file."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """What becomes of one file.

    Attributes:
        path: Where, from the root of the repository.
        old: The present content; None if there is no such file.
        new: The new content; None if the file is removed.
    """

    path: str
    old: bytes | None
    new: bytes | None

    def diff(self, before: str = "there", after: str = "local-panther") -> Iterator[str]:
        """Yield the lines of a unified diff from the present content to the new one.

        Args:
            before: What the present content is called.
            after: What the new one is called.
        """
        old, new = ((b or b"").decode(errors="replace").splitlines() for b in (self.old, self.new))
        names = (f"{self.path} ({before})", f"{self.path} ({after})")
        return difflib.unified_diff(old, new, *names, lineterm="")
