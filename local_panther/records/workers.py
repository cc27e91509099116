"""Looks through files at several places at once, with results in the order of the files.

A place is where work can be handed to: processes of this machine, or the machines of a cluster.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain, islice
from typing import NamedTuple

from local_panther.records.containers import STANDARD_INPUT
from local_panther.records.looking import Look
from local_panther.records.s3 import S3, is_s3
from local_panther.records.scan import CANNOT_BE_OPENED, Scan, Scanner
from local_panther.records.selection import Selection

BATCH_BYTES = 1024 * 1024  # of small files that a worker gets at once
S3_BATCH_BYTES = 8 * BATCH_BYTES  # which a worker fetches side by side
BATCH_FILES = 64
BATCHES_AHEAD = 3  # for each worker
LARGE_FILE_BYTES = 32 * 1024 * 1024  # read in pieces, which only one process can do

Found = list[Scan] | None  # None for what this process has to read itself


class FileBatch(NamedTuple):
    """Files that are read together, and their size in bytes."""

    files: list[str]
    size: int


@dataclass(frozen=True)
class Place:
    """Where files are looked through.

    Attributes:
        submit: Takes a batch of files; None if it can take no more.
        slots: How many batches it works on at once.
        result: Waits for a batch; None if it was lost with its worker.
        largest: Bytes of a file beyond which this process reads it itself.
    """

    submit: Callable[[list[str], Look], Future[Found] | None]
    slots: int
    result: Callable[[Future[Found]], Found]
    largest: float


Places = Callable[[Look, list[str]], AbstractContextManager[Place]]


def usable_cores() -> int:
    """Return the number of processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def scans(
    files: Iterable[str],
    wanted: frozenset[str] | None,
    s3: S3,
    places: Places | None,
    selection: Selection | None = None,
    *,
    with_added: bool = True,
) -> Iterator[Scan]:
    """Yield what files hold, in their order.

    Args:
        files: Paths, taken as they are needed.
        wanted: The eventNames that some rule may want; None for all.
        s3: Opens files that are in S3.
        places: Opens the place where files are looked through; if it is None, and for fewer than
            two batches, this process reads itself.
        selection: What is needed of wanted records; None for all.
        with_added: Make the fields that Panther adds.
    """
    scanner = Scanner(wanted, s3, selection=selection, with_added=with_added)
    rest = _batches(files, s3)
    first = list(islice(rest, 2))
    batches = chain(first, rest)
    if places is None or len(first) < 2:
        for batch in _fetched_ahead(batches, s3):
            yield from _scanned(batch, scanner)
        return
    folder = os.getcwd()  # noqa: PTH109 - as text
    look = Look(wanted, s3.requester_pays, folder, selection, with_added)
    samples = [batch.files[0] for batch in first if batch.files[0] != STANDARD_INPUT]
    waiting: deque[tuple[FileBatch, Future[Found] | None]] = deque()
    with places(look, samples) as place:
        for batch in batches:
            waiting.append((batch, _submitted(place, batch, look)))
            if len(waiting) > place.slots * BATCHES_AHEAD:
                yield from _result(place, *waiting.popleft(), scanner)
        while waiting:
            yield from _result(place, *waiting.popleft(), scanner)


def _fetched_ahead(batches: Iterable[FileBatch], s3: S3) -> Iterator[FileBatch]:
    """Yield batches while those of the next one that are in S3 are being fetched."""
    previous = None
    for batch in batches:
        s3.start_fetching(batch.files)
        if previous:
            yield previous
        previous = batch
    if previous:
        yield previous


def _submitted(place: Place, batch: FileBatch, look: Look) -> Future[Found] | None:
    if batch.size > place.largest or STANDARD_INPUT in batch.files:
        return None
    return place.submit(batch.files, look)


def _result(
    place: Place, batch: FileBatch, future: Future[Found] | None, scanner: Scanner
) -> Iterator[Scan]:
    """Yield what a batch holds; this process reads it if no worker did.

    A worker can die, as when the system is short of memory: this process alone needs less of it.
    Another machine may not have a file that this one has.
    """
    try:
        found = place.result(future) if future else None
    except CancelledError:
        found = None
    if found is None or any(CANNOT_BE_OPENED in scan.tally.skipped for scan in found):
        yield from _scanned(batch, scanner)
    else:
        yield from found


def _scanned(batch: FileBatch, scanner: Scanner) -> Iterator[Scan]:
    for path in batch.files:
        yield from scanner.scan(path)


def _batches(files: Iterable[str], s3: S3) -> Iterator[FileBatch]:
    """Group files, as a small one alone is too little for a worker; a large one stays alone."""
    batch = FileBatch([], 0)
    for path in files:
        size, limit = (s3.size(path), S3_BATCH_BYTES) if is_s3(path) else (_size(path), BATCH_BYTES)
        is_full = batch.size + size > limit or len(batch.files) == BATCH_FILES
        if batch.files and (is_full or path == STANDARD_INPUT):
            yield batch
            batch = FileBatch([], 0)
        batch = FileBatch([*batch.files, path], batch.size + size)
    if batch.files:
        yield batch


def _size(path: str) -> int:
    if path == STANDARD_INPUT:
        return LARGE_FILE_BYTES + 1  # so that it is alone in its batch
    try:
        return os.stat(path).st_size  # noqa: PTH116 - twice as fast on big folders
    except OSError:
        return 0  # that it is missing is reported when it is read
