"""Looks through files in several processes at once, with results in the order of the files."""

import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from local_panther.records.files import STANDARD_INPUT
from local_panther.records.scan import Scan, Scanner

LOAD_BYTES = 1024 * 1024  # of files that a worker gets at once
LOAD_FILES = 64
LOADS_AHEAD = 3  # for each worker
LARGE_FILE = 32 * 1024 * 1024  # read in pieces, which only one process can do
MAX_RESULT = 256 * 1024 * 1024  # bytes that a load may come to; more is read in pieces

Load = list[str]


def usable_cores() -> int:
    """Return the number of processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def scans(files: Iterable[str], wanted: frozenset[str] | None, workers: int) -> Iterator[Scan]:
    """Yield what files hold, in their order.

    Args:
        files: Paths, taken as they are needed.
        wanted: The eventNames that some rule may want; None for all.
        workers: Processes; with 1, and for large files, this process reads itself.
    """
    scanner = Scanner(wanted)
    if workers == 1:
        for path in files:
            yield from scanner.scan(path)
        return
    pool = ProcessPoolExecutor(workers, initializer=_start, initargs=(wanted,))
    waiting: deque[tuple[Load, Future[list[Scan] | None] | None]] = deque()
    try:
        for load in _loads(files):
            waiting.append((load, None if _is_large(load[0]) else _submitted(pool, load)))
            if len(waiting) > workers * LOADS_AHEAD:
                yield from _result(*waiting.popleft(), scanner)
        while waiting:
            yield from _result(*waiting.popleft(), scanner)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submitted(pool: ProcessPoolExecutor, load: Load) -> Future[list[Scan] | None] | None:
    try:
        return pool.submit(_scan, load)
    except BrokenProcessPool:
        return None


def _result(
    load: Load, future: Future[list[Scan] | None] | None, scanner: Scanner
) -> Iterator[Scan]:
    """Yield what a load holds; this process reads it where no worker did.

    A worker can die, as when the system is short of memory: this process alone needs less of it.
    """
    try:
        found = future.result() if future else None
    except BrokenProcessPool:
        found = None
    if found is not None:
        yield from found
        return
    for path in load:
        yield from scanner.scan(path)


def _loads(files: Iterable[str]) -> Iterator[Load]:
    """Group files, as one alone is too little for a worker; a large one stays alone."""
    load: Load = []
    size = 0
    for path in files:
        if load and (_is_large(path) or size > LOAD_BYTES or len(load) == LOAD_FILES):
            yield load
            load, size = [], 0
        load.append(path)
        size += _size(path)
        if _is_large(path):
            yield load
            load, size = [], 0
    if load:
        yield load


def _is_large(path: str) -> bool:
    return path == STANDARD_INPUT or _size(path) > LARGE_FILE


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - twice as fast on big folders
    except OSError:
        return 0  # it is missed, and told, when it is read


# In the worker:

_scanner: Scanner


def _start(wanted: frozenset[str] | None) -> None:
    global _scanner
    _scanner = Scanner(wanted)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to take


def _scan(load: Load) -> list[Scan] | None:
    """Return what a load holds; None where it is so much that it has to be read in pieces."""
    found, size = [], 0
    for path in load:
        for scan in _scanner.scan(path):
            found.append(scan)
            size += scan.size
            if size > MAX_RESULT:
                return None
    return found
