"""Merges a user's and a new version's changes of a file."""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from local_panther.bundle.settings import carried_over, changed_settings, without

MOST_CONFLICTS = 127  # a higher exit status of git merge-file is an error


@dataclass(frozen=True)
class Merged:
    """The result of a merge.

    Attributes:
        text: Merged text, with git's conflict markers.
        has_edits: True if the user changed more than settings.
        conflicts: Number of conflicts.
        notes: Notes for the user.
    """

    text: bytes
    has_edits: bool = False
    conflicts: int = 0
    notes: tuple[str, ...] = ()


def merged(path: str, mine: bytes, base: bytes, new: bytes, names: tuple[str, str]) -> Merged:
    """Merge three texts of a file.

    Args:
        path: Path of the file.
        mine: Text of the user.
        base: Text that both started from.
        new: Text of the new version.
        names: Versions of `base` and `new`.
    """
    try:
        texts = [data.decode() for data in (mine, base, new)]
    except UnicodeDecodeError:
        return Merged(mine, has_edits=True, conflicts=1, notes=("is not UTF-8",))
    has_crlf = "\r\n" in texts[0] and "\r\n" not in texts[1]
    if has_crlf:  # git on Windows checks files out with these line ends
        texts[0] = texts[0].replace("\r\n", "\n")
    ours, shipped, theirs = texts
    settings = changed_settings(path, ours, shipped)
    plain = without(path, ours, settings)
    text, conflicts, notes = theirs, 0, list[str]()
    if plain != shipped:
        text, conflicts, notes = _merge(plain, shipped, theirs, names)
    text, more = carried_over(path, text, settings)
    if has_crlf:
        text = text.replace("\n", "\r\n")
    return Merged(text.encode(), plain != shipped, conflicts, tuple(notes + more))


def _merge(mine: str, base: str, new: str, names: tuple[str, str]) -> tuple[str, int, list[str]]:
    """Return the merged text, the number of conflicts, and notes for the user."""
    if base == new or mine == new:
        return mine, 0, []
    with tempfile.TemporaryDirectory(prefix="local-panther-") as folder:
        paths = [Path(folder) / name for name in ("yours", "base", "new")]
        for path, text in zip(paths, (mine, base, new), strict=True):
            path.write_text(text, encoding="utf-8", newline="")
        labels = [f"-L{label}" for label in ("yours", *names)]
        command = ["git", "merge-file", "--stdout", *labels, *map(str, paths)]
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except FileNotFoundError:
            return mine, 1, ["git is not installed, which merges files"]
    if not 0 <= done.returncode <= MOST_CONFLICTS:
        return mine, 1, [f"git merge-file failed: {done.stderr.decode(errors='replace').strip()}"]
    return done.stdout.decode(), done.returncode, []
