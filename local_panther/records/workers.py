"""Scans many files concurrently, with results in the order of the files.

The scans run at a place: in processes of this machine, or on the machines of a cluster.
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

BATCH_BYTES = 1024 * 1024  # largest batch of small files
S3_BATCH_BYTES = 8 * BATCH_BYTES  # larger, as a worker fetches objects concurrently
BATCH_FILES = 64
BATCHES_AHEAD = 3  # for each worker
LARGE_FILE_BYTES = 32 * 1024 * 1024  # larger files are read in chunks by this process

Found = list[Scan] | None  # None if this process has to read the files itself


class FileBatch(NamedTuple):
    """Files that are read together, and their size in bytes."""

    files: list[str]
    size: int


@dataclass(frozen=True)
class Place:
    """A place where files are scanned.

    Attributes:
        submit: Submits a batch of files; returns None if it accepts no more.
        slots: Number of batches that it processes at once.
        result: Waits for the result of a batch; returns None if it was lost with its worker.
        largest: Size in bytes above which this process reads a batch itself.
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
    """Yield the wanted records of files, in the order of the files.

    Args:
        files: Paths, consumed as they are needed.
        wanted: The eventNames that some rule may want; None for all.
        s3: Opens files in S3.
        places: Opens the place where files are scanned. If it is None, or for fewer than two
            batches, this process scans.
        selection: The wanted records and fields that are needed; None for all.
        with_added: Compute the fields that Panther adds.
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
    """Yield batches, each after starting to fetch the S3 objects of the next one."""
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
    """Yield the wanted records of a batch; this process scans it if no worker did.

    A worker can die if memory runs out, where this process alone needs less. Another machine can
    lack a file that this one has.
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
    """Group small files, as one alone is too little work for a worker; a large one stays alone."""
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
        return 0  # a missing file is reported when it is read
