"""The work of worker processes and machines: scans files for wanted records."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from local_panther.records.containers import Opener
from local_panther.records.s3 import S3
from local_panther.records.scan import Scan, Scanner
from local_panther.records.selection import Selection

MAX_RESULT_BYTES = 256 * 1024 * 1024  # largest result; the caller reads larger batches in chunks


class Look(NamedTuple):
    """A scan request: wanted names, selected fields, and how to open files.

    Attributes:
        wanted: The eventNames that some rule may want; None for all.
        requester_pays: Accept charges for requester-pays buckets.
        folder: The folder that relative paths start from.
        selection: The wanted records and fields that are needed; None for all.
        with_added: Compute the fields that Panther adds.
    """

    wanted: frozenset[str] | None
    requester_pays: bool = False
    folder: str = ""
    selection: Selection | None = None
    with_added: bool = True


def look_through(files: list[str], look: Look) -> list[Scan] | None:
    """Return the wanted records of files; None if they are too large for one result."""
    scanner, s3 = _scanner(look)
    found, size = [], 0
    s3.start_fetching(files)
    for path in files:
        for scan in scanner.scan(path):
            found.append(scan)
            size += scan.size
            if size > MAX_RESULT_BYTES:
                return None
    return found


def hindrance(files: Sequence[str], look: Look, expected: str) -> str:
    """Return why this machine cannot be used; "" if it can.

    Args:
        files: A sample of the files to read.
        look: The scan request.
        expected: The fingerprint of the machine that asks.
    """
    if fingerprint() != expected:
        return "has another version of local-panther"
    opener = Opener(_scanner(look)[1], look.folder)
    for path in files:
        try:
            with opener.open(path):
                pass
        except OSError as error:
            return f"cannot read {path}: {error.strerror}"
    return ""


@cache
def fingerprint() -> str:
    """Return a fingerprint of this code; machines with equal ones give equal results."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def _scanner(look: Look) -> tuple[Scanner, S3]:
    s3 = S3(requester_pays=look.requester_pays)
    scanner = Scanner(look.wanted, s3, look.folder, look.selection, with_added=look.with_added)
    return scanner, s3
