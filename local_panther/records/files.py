"""Finds the files to read, and their order."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from local_panther.records.containers import STANDARD_INPUT
from local_panther.records.model import Tally

# 123456789012_CloudTrail_us-east-1_20260105T1005Z_Ab12Cd34Ef56Gh78.json.gz
DELIVERY_TIME = re.compile(r"_(\d{8}T\d{4}Z)_")


def find_files(paths: Iterable[str], tally: Tally) -> list[str]:
    """List the files to read, in the order in which AWS delivered them.

    Of a folder that is every regular file, whatever its name. The delivery time in the name comes
    first, so that the regions and accounts of a bucket run side by side, then the path. Links to
    folders are not followed. A pipe that is named itself is read, as `<(…)` of a shell makes one.

    Args:
        paths: Files, folders, or "-" for standard input.
        tally: Takes paths that are missing or hold nothing to read, and what is set aside.
    """
    found: list[str] = []
    for path in paths:
        if path == STANDARD_INPUT:
            found.append(path)
        elif Path(path).is_dir():
            inside = list(_search(path, tally))
            found.extend(inside)
            if not inside:
                tally.skip(path, "folder without CloudTrail files")
        elif Path(path).exists():
            found.append(path)
        else:
            tally.skip(path, "no such file or folder")
    return sorted(found, key=_order)


def _search(folder: str, tally: Tally) -> Iterator[str]:
    folders = [folder]
    while folders:
        parent = folders.pop()
        try:
            with os.scandir(parent) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif _is_to_be_read(entry, tally):
                        yield entry.path
        except OSError as error:
            tally.skip(parent, "unreadable folder", error.strerror or str(error))


def _is_to_be_read(entry: os.DirEntry[str], tally: Tally) -> bool:
    if entry.name.startswith("."):
        tally.set_aside("hidden files")
        return False
    if entry.is_file() or not Path(entry.path).exists():
        return True  # that a link leads nowhere shows when it is read
    is_folder = entry.is_dir()
    tally.set_aside("links to folders" if is_folder else "named pipes, devices and sockets")
    return False


def _order(path: str) -> tuple[str, str]:
    delivered = DELIVERY_TIME.search(path)
    return (delivered.group(1) if delivered else "", path)
