"""Finds files that are delivered to folders and buckets."""

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from local_panther.records.files import find_files
from local_panther.records.model import Tally
from local_panther.records.s3 import is_s3, s3_for

BUCKET_SECONDS = 60.0  # between two listings of a bucket, which cost requests


class Stamp(NamedTuple):
    """The size of a file in bytes, with its time in nanoseconds or its ETag."""

    size: int
    change: int | str


Files = dict[str, Stamp]  # by path


class Watched:
    """The files in some folders and buckets.

    Attributes:
        problems: Why buckets and folders could not be listed at the latest search.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        """Prepare the search.

        Args:
            paths: Files, folders and `s3://bucket/prefix`.
        """
        self._folders = [path for path in paths if not is_s3(path)]
        self._buckets = [path for path in paths if is_s3(path)]
        self._s3 = s3_for(paths)
        self._looked = -BUCKET_SECONDS
        self._objects: dict[str, Files] = {}  # by bucket, at its latest successful listing
        self.problems: list[str] = []
        self._bucket_problems: list[str] = []

    def close(self) -> None:
        """Close the connections."""
        self._s3.close()

    def found(self) -> Files:
        """Return the current files.

        A bucket is listed every BUCKET_SECONDS. If that fails, its known files are returned and the
        reason is in `problems`.
        """
        if time.monotonic() - self._looked >= BUCKET_SECONDS:
            self._look_at_buckets()
        files: Files = {}
        tally = Tally()
        for path in find_files(self._folders, tally):
            with contextlib.suppress(OSError):
                status = Path(path).stat()
                files[path] = Stamp(status.st_size, status.st_mtime_ns)
        for objects in self._objects.values():
            files |= objects
        unreadable = [p for p in tally.problems if "unreadable folder" in p.message]
        self.problems = [*self._bucket_problems, *map(str, unreadable)]
        return files

    def _look_at_buckets(self) -> None:
        self._bucket_problems = []
        for url in self._buckets:
            tally = Tally()
            objects = find_files([url], tally, self._s3)
            if tally.skipped["cannot be listed"]:
                self._bucket_problems += map(str, tally.problems)
                continue
            self._objects[url] = {
                path: Stamp(self._s3.size(path), self._s3.tag(path)) for path in objects
            }
        self._looked = time.monotonic()
