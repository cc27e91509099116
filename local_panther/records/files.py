"""Finds the files to read, and their order."""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import cast

from isal import igzip

from local_panther.records.model import Tally

SUFFIXES = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")
STANDARD_INPUT = "-"
GZIP_MAGIC = b"\x1f\x8b"

# 123456789012_CloudTrail_us-east-1_20260105T1005Z_Ab12Cd34Ef56Gh78.json.gz
DELIVERY_TIME = re.compile(r"_(\d{8}T\d{4}Z)_")


def find_files(paths: Iterable[str], tally: Tally) -> list[str]:
    """List the files to read, in the order in which AWS delivered them.

    Folders are searched for CloudTrail's usual names; a file that is named itself is read whatever
    its name. The delivery time in the name comes first, so that the regions and accounts of a
    bucket run side by side, then the path. Links to folders are not followed.

    Args:
        paths: Files, folders, or "-" for standard input.
        tally: Takes paths that are missing or hold nothing to read.
    """
    found: list[str] = []
    for path in paths:
        if path == STANDARD_INPUT or Path(path).is_file():
            found.append(path)
        elif Path(path).is_dir():
            inside = list(_search(path))
            found.extend(inside)
            if not inside:
                tally.skip(path, "folder without CloudTrail files", " ".join(SUFFIXES))
        else:
            tally.skip(path, "no such file or folder")
    return sorted(found, key=_order)


@contextmanager
def opened(path: str) -> Iterator[BufferedIOBase]:
    """Open a file for reading, decompressed where it begins as gzip does, whatever its name.

    Raises:
        OSError: The file cannot be opened.
    """
    if path == STANDARD_INPUT:
        yield _plain(cast("BufferedReader", sys.stdin.buffer))
        return
    with Path(path).open("rb") as file:
        yield _plain(file)


def _plain(file: BufferedReader) -> BufferedIOBase:
    is_gzip = file.peek(2)[:2] == GZIP_MAGIC
    return igzip.IGzipFile(fileobj=file, mode="rb") if is_gzip else file  # type: ignore[no-untyped-call]


def _search(folder: str) -> Iterator[str]:
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield os.path.join(parent, name)  # noqa: PTH118 - twice as fast on big folders


def _order(path: str) -> tuple[str, str]:
    delivered = DELIVERY_TIME.search(path)
    return (delivered.group(1) if delivered else "", path)
