"""Looks through files in several processes at once, with results in the order of the files."""

import gc
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import NamedTuple

from local_panther.processes import start_worker
from local_panther.records.containers import STANDARD_INPUT
from local_panther.records.s3 import S3, is_s3
from local_panther.records.scan import Scan, Scanner

BATCH_BYTES = 1024 * 1024  # of small files that a worker gets at once
S3_BATCH_BYTES = 8 * BATCH_BYTES  # which a worker fetches side by side
BATCH_FILES = 64
BATCHES_AHEAD = 3  # for each worker
LARGE_FILE_BYTES = 32 * 1024 * 1024  # read in pieces, which only one process can do
GARBAGE_THRESHOLD = 100_000  # new objects; a file has thousands, and next to no cycles
MAX_RESULT_BYTES = 256 * 1024 * 1024  # bytes of the result of a batch; more is read in pieces


class FileBatch(NamedTuple):
    """Files that are read together, and their size in bytes."""

    files: list[str]
    size: int

    @property
    def is_large(self) -> bool:
        """True for a file that this process has to read itself."""
        return self.size > LARGE_FILE_BYTES


def usable_cores() -> int:
    """Return the number of processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def scans(
    files: Iterable[str], wanted: frozenset[str] | None, workers: int, s3: S3
) -> Iterator[Scan]:
    """Yield what files hold, in their order.

    Args:
        files: Paths, taken as they are needed.
        wanted: The eventNames that some rule may want; None for all.
        workers: Processes; with 1, for large files, and for fewer than two batches, this process
            reads itself.
        s3: Opens files that are in S3.
    """
    scanner = Scanner(wanted, s3)
    rest = _batches(files, s3)
    first = list(islice(rest, 2))
    batches = chain(first, rest)
    if workers == 1 or len(first) < 2:
        for batch in _fetched_ahead(batches, s3):
            yield from _result(batch, None, scanner)
        return
    gc.freeze()  # or each garbage collection of a worker would copy all that this process holds
    pool = ProcessPoolExecutor(workers, initializer=_start, initargs=(wanted, s3))
    waiting: deque[tuple[FileBatch, Future[list[Scan] | None] | None]] = deque()
    try:
        for batch in batches:
            waiting.append((batch, _submitted(pool, batch)))
            if len(waiting) > workers * BATCHES_AHEAD:
                yield from _result(*waiting.popleft(), scanner)
        while waiting:
            yield from _result(*waiting.popleft(), scanner)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        gc.unfreeze()


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


def _submitted(pool: ProcessPoolExecutor, batch: FileBatch) -> Future[list[Scan] | None] | None:
    try:
        return None if batch.is_large else pool.submit(_scan, batch.files)
    except BrokenProcessPool:
        return None


def _result(
    batch: FileBatch, future: Future[list[Scan] | None] | None, scanner: Scanner
) -> Iterator[Scan]:
    """Yield what a batch holds; this process reads it if no worker did.

    A worker can die, as when the system is short of memory: this process alone needs less of it.
    """
    try:
        found = future.result() if future else None
    except BrokenProcessPool:
        found = None
    if found is not None:
        yield from found
        return
    for path in batch.files:
        yield from scanner.scan(path)


def _batches(files: Iterable[str], s3: S3) -> Iterator[FileBatch]:
    """Group files, as a small one alone is too little for a worker; a large one stays alone."""
    batch = FileBatch([], 0)
    for path in files:
        size, limit = (s3.size(path), S3_BATCH_BYTES) if is_s3(path) else (_size(path), BATCH_BYTES)
        is_full = batch.size + size > limit or len(batch.files) == BATCH_FILES
        if batch.files and is_full:
            yield batch
            batch = FileBatch([], 0)
        batch = FileBatch([*batch.files, path], batch.size + size)
    if batch.files:
        yield batch


def _size(path: str) -> int:
    if path == STANDARD_INPUT:
        return LARGE_FILE_BYTES + 1  # which no worker has
    try:
        return os.stat(path).st_size  # noqa: PTH116 - twice as fast on big folders
    except OSError:
        return 0  # that it is missing is reported when it is read


# In the worker:

_scanner: Scanner
_s3: S3


def _start(wanted: frozenset[str] | None, s3: S3) -> None:
    global _scanner, _s3
    _s3 = s3.in_worker()
    _scanner = Scanner(wanted, _s3)
    start_worker()
    gc.set_threshold(GARBAGE_THRESHOLD)


def _scan(files: list[str]) -> list[Scan] | None:
    """Return what files hold; None if it is so much that it has to be read in pieces."""
    found, size = [], 0
    _s3.start_fetching(files)
    for path in files:
        for scan in _scanner.scan(path):
            found.append(scan)
            size += scan.size
            if size > MAX_RESULT_BYTES:
                return None
    return found
