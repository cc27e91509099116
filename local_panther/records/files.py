"""Finds the files to read and sorts them."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from local_panther.records.containers import STANDARD_INPUT, AsNamed
from local_panther.records.dated import file_stamp, may_hold
from local_panther.records.model import Tally
from local_panther.records.s3 import S3, S3Error, is_s3
from local_panther.times import ALWAYS, Period

OTHER_TIMES = "files outside the period by their names"


def find_files(
    paths: Iterable[str], tally: Tally, s3: S3 | None = None, period: Period = ALWAYS
) -> list[str]:
    """List the files to read, in the order in which AWS delivered them.

    A folder stands for all regular files in it, whatever their names; a prefix in S3 stands for all
    objects under it. Files are sorted by the delivery time in the name, so that the regions and
    accounts of a bucket run side by side, then by path. Links to folders are not followed. A pipe
    is read only if it is named itself, like `<(…)` of a shell.

    Args:
        paths: Files, folders, `s3://bucket/prefix`, or "-" for standard input.
        tally: Collects paths that are missing or empty, and files that are set aside.
        s3: Lists objects in S3.
        period: The period of the wanted records: files in folders that AWS delivered long before or
            after it are set aside.
    """
    found: list[str] = []
    for path in paths:
        if is_s3(path):
            found.extend(_objects(path, tally, s3 or S3(), period))
        elif path == STANDARD_INPUT:
            found.append(path)
        elif Path(path).is_dir():
            found.extend(_files(path, tally, period))
        elif Path(path).exists():
            found.append(AsNamed(path))
        else:
            tally.skip(path, "no such file or folder")
    return sorted(found, key=in_order_of_delivery)


def in_order_of_delivery(path: str) -> tuple[str, str]:
    """Return the sort key of a file: its delivery time, if known, and its path."""
    return file_stamp(path), path


def _objects(url: str, tally: Tally, s3: S3, period: Period) -> Iterator[str]:
    is_empty = True
    try:
        for found in s3.objects(url, period):
            is_empty = False
            if found.rpartition("/")[2].startswith("."):
                tally.set_aside("hidden files")
            elif not may_hold(period, file_stamp(found)):
                tally.set_aside(OTHER_TIMES)
            else:
                yield found
    except S3Error as error:
        tally.skip(url, "cannot be listed", str(error.strerror))
        return
    if is_empty:
        limits = "" if period == ALWAYS else " of this period"
        tally.skip(url, f"no objects{limits} under this prefix")


def _files(folder: str, tally: Tally, period: Period) -> Iterator[str]:
    is_empty = True
    for path in _search(folder, tally):
        is_empty = False
        if may_hold(period, file_stamp(path)):
            yield path
        else:
            tally.set_aside(OTHER_TIMES)
    if is_empty:
        tally.skip(folder, "folder without CloudTrail files")


def _search(folder: str, tally: Tally) -> Iterator[str]:
    folders = [folder]
    while folders:
        parent = folders.pop()
        try:
            with os.scandir(parent) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif _must_be_read(entry, tally):
                        yield entry.path
        except OSError as error:
            tally.skip(parent, "unreadable folder", error.strerror or str(error))


def _must_be_read(entry: os.DirEntry[str], tally: Tally) -> bool:
    if entry.name.startswith("."):
        tally.set_aside("hidden files")
        return False
    try:
        if entry.is_file():
            return True
        is_folder = entry.is_dir()
        entry.stat()
    except OSError:
        return True  # a broken link, or one without permission, is reported when it is read
    tally.set_aside("links to folders" if is_folder else "named pipes, devices and sockets")
    return False
