"""Keeps lines of records on disk, unread, until a query needs them."""

import math
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from local_panther.lake.reach import Reach
from local_panther.processes import link

FILE_BYTES = 4 * 1024 * 1024


class _File(NamedTuple):
    path: Path
    first: float
    last: float


class UnreadLines:
    """Lines of records in order of arrival, in files of a few megabytes."""

    def __init__(self, folder: Path) -> None:
        """Start without lines.

        Args:
            folder: The folder for the files.
        """
        self._folder = folder
        self._files: deque[_File] = deque()
        self._written = 0
        self._begin()

    def _begin(self) -> None:
        self._lines: list[bytes] = []
        self._size = 0
        self._first, self._last = math.inf, -math.inf

    def __bool__(self) -> bool:
        """Return whether there are any lines."""
        return bool(self._lines or self._files)

    def add(self, line: bytes, time: float) -> bool:
        """Add the line of a record, and return whether that filled a file.

        Args:
            line: The line.
            time: The event time of the record, in seconds since 1970.
        """
        self._lines.append(line)
        self._size += len(line)
        if time < self._first:
            self._first = time
        if time > self._last:
            self._last = time
        is_full = self._size >= FILE_BYTES
        if is_full:
            path = self._folder / f"unread-{self._written}.lines"
            path.write_bytes(b"\n".join(self._lines))
            self._files.append(_File(path, self._first, self._last))
            self._written += 1
            self._begin()
        return is_full

    def move(self, folder: Path) -> None:
        """Continue in another folder, as a forked process must: its parent keeps the files.

        Args:
            folder: The other folder.
        """
        files = deque(file._replace(path=folder / file.path.name) for file in self._files)
        for old, new in zip(self._files, files, strict=True):
            link(old.path, new.path)
        self._folder, self._files = folder, files

    def forget(self, reach: Reach) -> None:
        """Drop the files with records that no query can see any more."""
        kept: deque[_File] = deque()
        for file in self._files:
            spans = [(reach.horizon, math.inf), *reach.spans]
            if any(first <= file.last and file.first <= last for first, last in spans):
                kept.append(file)
            else:
                file.path.unlink()
        self._files = kept

    def take(self) -> Iterator[list[bytes]]:
        """Yield all lines, a few thousand at a time, and remove them."""
        while self._files:
            file = self._files.popleft()
            lines = file.path.read_bytes().split(b"\n")
            file.path.unlink()
            yield lines
        lines = self._lines
        self._begin()
        if lines:
            yield lines
