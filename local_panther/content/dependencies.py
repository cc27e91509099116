"""Dependencies between the files of a repository: what a change affects, and what a test needs.

Files are identified by their paths relative to the root of the content (`../…` for folders of
helpers beside it). They depend on each other by the names that `facts` finds.
"""

import hashlib
import os
import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from panther_analysis_tool.constants import CONFIG_FILE

from local_panther.content.facts import ANYTHING, Facts, facts_of
from local_panther.content.files import names_with, shared_beside

SUFFIXES = (".yml", ".yaml", ".py", ".sql")


@dataclass(frozen=True)
class _File:
    """A file of a repository.

    Attributes:
        facts: The facts in its text.
        digest: The digest of its content.
        gives: All names by which others find it, including its path.
        needs: All names that it needs.
    """

    facts: Facts
    digest: str
    gives: frozenset[str]
    needs: frozenset[str]


class Dependencies:
    """The files of a repository and their dependencies on each other."""

    def __init__(self, folder: Path) -> None:
        """Read all files of the content.

        Args:
            folder: The root of a content repository.
        """
        self.folder = folder
        self.files: dict[str, _File] = {}
        new = dict(_content_files(folder))
        while new:
            added = self._add(new)
            # A helper can import a file outside the folders of content.
            needed = {name for path in added for name in self.files[path].needs}
            paths = {name.removeprefix("file:") for name in needed if name.startswith("file:")}
            new = {path: f"{folder}/{path}" for path in paths if self._is_more(path)}

    def _add(self, places: Mapping[str, str]) -> Iterable[str]:
        contents = {name: _content(place) for name, place in places.items()}
        for name, facts in facts_of(contents).items():
            self.files[name] = file_of(name, facts, contents[name])
        return contents

    def _is_more(self, path: str) -> bool:
        return path.endswith(".py") and path not in self.files and self.exists(path)

    def exists(self, path: str) -> bool:
        """Return whether a file exists at a path, be it content or not."""
        return path.split("/")[0] in self._top and (self.folder / path).is_file()

    @cached_property
    def _top(self) -> frozenset[str]:
        try:
            return frozenset(os.listdir(self.folder))  # noqa: PTH208 - only names are needed
        except OSError:
            return frozenset()

    @cached_property
    def _givers(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for path, file in self.files.items():
            for name in file.gives:
                found[name].append(path)
        return found

    def items(self, ids: Iterable[str]) -> set[str]:
        """Return the files of items, by their IDs."""
        return {path for item in ids for path in self._givers.get(f"id:{item}", ())}

    def places(self, paths: Iterable[str]) -> set[str]:
        """Return the absolute paths of files, with symbolic links in the root resolved and not."""
        return {os.path.normpath(f"{root}/{path}") for root in self._roots for path in paths}

    @cached_property
    def _roots(self) -> set[str]:
        return {os.path.abspath(self.folder), str(self.folder.resolve())}  # noqa: PTH100

    def touched(self, names: Iterable[str]) -> set[str]:
        """Return the files that depend on any of the given names, directly or through others.

        Args:
            names: Names of what has changed: the files, and what they provide or provided.
        """
        takers: dict[str, list[str]] = defaultdict(list)
        for path, file in self.files.items():
            for name in file.needs | file.gives | {f"id:{item}" for item in file.facts.lists}:
                takers[name].append(path)
        found, seen = set[str](), set(names)
        if not seen:
            return found
        if f"file:{CONFIG_FILE}" in seen:
            return set(self.files)
        waiting = [*seen, ANYTHING]
        while waiting:
            for path in takers.get(waiting.pop(), ()):
                if path not in found:
                    found.add(path)
                    new = self.files[path].gives - seen
                    seen |= new
                    waiting += new
        return found

    def needed(self, paths: Iterable[str]) -> set[str]:
        """Return some files, all files that their tests need, and the items that packs list."""
        found = self.closed(paths)
        listed = {item for path in found for item in self.files[path].facts.lists}
        return found | self.items(listed)

    def closed(self, paths: Iterable[str]) -> set[str]:
        """Return some files and all files that they depend on."""
        waiting = [path for path in paths if path in self.files]
        found = set(waiting)
        while waiting:
            for path in self._direct[waiting.pop()]:
                if path not in found:
                    found.add(path)
                    waiting.append(path)
        return found

    @cached_property
    def _direct(self) -> dict[str, set[str]]:
        return {
            path: {giver for name in file.needs for giver in self._givers.get(name, ())}
            for path, file in self.files.items()
        }

    def digest(self, path: str) -> str:
        """Return a digest of a file and of all files that it depends on: their paths and bytes."""
        found = self.closed([path])
        if any(ANYTHING in self.files[each].needs for each in found):
            found = set(self.files)
        digest = hashlib.sha256(path.encode(errors="replace"))
        for each in sorted(found):
            digest.update(f"\n{each}\n{self.files[each].digest}".encode(errors="replace"))
        return digest.hexdigest()


def file_of(name: str, facts: Facts, content: bytes) -> _File:
    """Return a file with all names that it provides and needs.

    Args:
        name: Its path, relative to the root of the content.
        facts: The facts in its text.
        content: Its bytes.
    """
    stem = posixpath.basename(name).rpartition(".")[0]
    gives = {f"file:{name}", *facts.gives}
    needs = set(facts.needs)
    if name.endswith(".py"):
        gives.add(f"stem:{stem}")
    if facts.body:
        needs.add(f"file:{posixpath.normpath(posixpath.join(posixpath.dirname(name), facts.body))}")
    digest = hashlib.sha256(content).hexdigest()
    return _File(facts, digest, frozenset(gives), frozenset(needs))


def _content(place: str) -> bytes:
    try:
        with open(place, "rb") as file:  # noqa: PTH123 - fast
            return file.read()
    except OSError:
        return b""  # reported when the content is loaded


def _content_files(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each file, relative to the root, and a path to it."""
    for name in names_with(folder, *SUFFIXES):
        yield name, f"{folder}/{name}"
    for beside in shared_beside(folder):
        for name in names_with(beside.parent, *SUFFIXES):
            if name.startswith(f"{beside.name}/"):
                path = f"{beside.parent}/{name}"
                yield os.path.relpath(path, folder), path
