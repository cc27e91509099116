"""The work that processes and machines do: looking through files for wanted records."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from local_panther.records.containers import Opener
from local_panther.records.s3 import S3
from local_panther.records.scan import Scan, Scanner
from local_panther.records.selection import Selection

MAX_RESULT_BYTES = 256 * 1024 * 1024  # bytes of the result of a batch; more is read in pieces


class Look(NamedTuple):
    """What to look for, and how.

    Attributes:
        wanted: The eventNames that some rule may want; None for all.
        requester_pays: Accept to pay for requests to buckets that ask for it.
        folder: What relative paths are relative to.
        selection: What is needed of wanted records; None for all.
        with_added: Make the fields that Panther adds.
    """

    wanted: frozenset[str] | None
    requester_pays: bool = False
    folder: str = ""
    selection: Selection | None = None
    with_added: bool = True


def look_through(files: list[str], look: Look) -> list[Scan] | None:
    """Return what files hold; None if it is so much that it has to be read in pieces."""
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
    """Return why this machine is of no use; "" if it is.

    Args:
        files: Some of those that are to be read.
        look: What to look for.
        expected: The fingerprint of the asking machine.
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
    """Return what is the same on machines whose results are."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def _scanner(look: Look) -> tuple[Scanner, S3]:
    s3 = S3(requester_pays=look.requester_pays)
    scanner = Scanner(look.wanted, s3, look.folder, look.selection, with_added=look.with_added)
    return scanner, s3
