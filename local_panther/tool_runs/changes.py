"""Finds what differs from a git revision, by the names that dependencies of files use."""

import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from panther_analysis_tool.constants import CONFIG_FILE

from local_panther.content.dependencies import Dependencies, file_of
from local_panther.content.facts import facts_of


class NoChanges(Exception):
    """An error that makes differences unknown; the message says why."""


def changed_names(dependencies: Dependencies, revision: str) -> set[str]:
    """Return the names of all that differs from a revision, both the old and the new names.

    Files that git does not track count as new, including those that it ignores.

    Args:
        dependencies: Dependencies of the present files.
        revision: Revision in git's notation, such as `HEAD` or `origin/main`.

    Raises:
        NoChanges: Git, the repository or the revision does not exist.
    """
    git = _Git(dependencies.folder, revision)
    tracked = git.tracked()
    names = {f"file:{path}" for path in git.changed()}
    for path in _present(dependencies):
        if path not in tracked:
            names.add(f"file:{path}")
    before = [path for name in names if (path := name.removeprefix("file:")) in tracked]
    contents = dict(git.contents(before))
    for path, facts in facts_of(contents).items():
        names |= file_of(path, facts, contents[path]).gives
    for name in list(names):
        if file := dependencies.files.get(name.removeprefix("file:")):
            names |= file.gives
    return names


def _present(dependencies: Dependencies) -> Iterator[str]:
    """Yield the existing files that are content or that content depends on."""
    yield from dependencies.files
    needed = {name for file in dependencies.files.values() for name in file.needs}
    for path in (CONFIG_FILE, *(name.removeprefix("file:") for name in needed)):
        if path not in dependencies.files and dependencies.exists(path):
            yield path


class _Git:
    """A git repository, seen from a folder in it."""

    def __init__(self, folder: Path, revision: str) -> None:
        """Find the repository and the revision.

        Raises:
            NoChanges: The repository or the revision does not exist.
        """
        self._folder = folder
        try:
            top = self._run("rev-parse", "--show-toplevel")
        except NoChanges as error:
            place = folder.resolve()
            raise NoChanges(f"{place} is not in a git repository ({error})") from error
        self._top = Path(os.fsdecode(top.rstrip(b"\n")))
        try:
            given = f"{revision}^{{commit}}"
            found = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", given)
        except NoChanges as error:
            raise NoChanges(f"this repository has no revision {revision!r}") from error
        self._commit = found.decode().strip()

    def tracked(self) -> set[str]:
        """Return the files of the revision."""
        listed = self._run("ls-tree", "-r", "-z", "--name-only", "--full-tree", self._commit)
        return set(self._paths(listed))

    def changed(self) -> set[str]:
        """Return the tracked files that differ from the revision, or that were removed."""
        options = ("--name-only", "-z", "--no-renames", "--no-ext-diff")
        return set(self._paths(self._run("diff", *options, self._commit, "--")))

    def contents(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the path and content of files at the revision."""
        wanted = [path for path in paths if "\n" not in path]
        top = self._folder.resolve()
        lines = [
            f"{self._commit}:{os.path.relpath(top / path, self._top)}\n".encode(
                errors="surrogateescape"
            )
            for path in wanted
        ]
        found = self._run("cat-file", "--batch", given=b"".join(lines)) if wanted else b""
        for path in wanted:
            head, _, rest = found.partition(b"\n")
            if not head.endswith(b" missing"):
                size = int(head.rsplit(b" ", 1)[1])
                yield path, rest[:size]
                rest = rest[size + 1 :]
            found = rest

    def _paths(self, listed: bytes) -> Iterator[str]:
        """Yield the paths in a list from git, relative to the folder."""
        inside = os.path.relpath(self._folder.resolve(), self._top)
        for name in filter(None, listed.split(b"\0")):
            yield os.path.relpath(os.fsdecode(name), inside)

    def _run(self, *arguments: str, given: bytes = b"") -> bytes:
        command = ["git", "-c", "core.fsmonitor=false", *arguments]
        try:
            done = subprocess.run(
                command, cwd=self._folder, input=given, capture_output=True, check=False
            )
        except OSError as error:
            raise NoChanges(f"git cannot be run: {error.strerror}") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise NoChanges(said[-1] if said else f"git {arguments[0]} failed")
        return done.stdout
