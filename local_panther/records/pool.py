"""Scans files in processes of this machine.

Each process has its own pipe, and a thread here that waits for it. So a process that is killed,
even while it writes, loses only its batch. In the standard library's pool all processes write into
one pipe: if one is killed while it writes, the others and the reader wait for ever.
"""

import gc
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from queue import SimpleQueue

from local_panther.processes import collect_garbage_rarely, signals_held_back, start_worker
from local_panther.records import aws
from local_panther.records.looking import Look, look_through
from local_panther.records.s3 import S3
from local_panther.records.workers import LARGE_FILE_BYTES, Found, Place, Places


def processes(workers: int, s3: S3) -> Places | None:
    """Return processes of this machine as a place; None for one worker, which is this process."""

    @contextmanager
    def opened(_: Look, __: list[str]) -> Iterator[Place]:
        gc.freeze()  # or a worker's garbage collection would copy all memory that it shares
        pool = _Pool(workers, s3.environment)
        threads = ThreadPoolExecutor(workers, thread_name_prefix="worker")
        try:
            submit = lambda files, look: threads.submit(pool.look, files, look)  # noqa: E731
            yield Place(submit, workers, Future.result, LARGE_FILE_BYTES)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            pool.end()
            gc.unfreeze()

    return None if workers == 1 else opened


class _Worker:
    """A process that scans one batch after the other."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._connection, theirs = multiprocessing.Pipe()
        arguments = (theirs, environment, os.getpid())
        self._process = multiprocessing.Process(target=_work, args=arguments, daemon=True)
        self._process.start()
        theirs.close()  # or the next process would inherit it and keep the pipe open

    def look(self, files: list[str], look: Look) -> Found:
        """Return the wanted records of files; None if they are too large for one result.

        Raises:
            EOFError, OSError: The process has exited.
        """
        self._connection.send((files, look))
        found: Found = self._connection.recv()
        return found

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()

    def join(self) -> None:
        """Wait until the killed process has exited."""
        self._process.join()


class _Pool:
    """The workers of a run; each has at most one batch at a time."""

    def __init__(self, workers: int, environment: dict[str, str]) -> None:
        with signals_held_back():
            self._workers = [_Worker(environment) for _ in range(workers)]
        self._lost: list[_Worker] = []
        self._idle: SimpleQueue[_Worker | None] = SimpleQueue()  # None: all workers are lost
        for worker in self._workers:
            self._idle.put(worker)

    def look(self, files: list[str], look: Look) -> Found:
        """Return the wanted records of files; None if the worker dies, or if none is left."""
        worker = self._idle.get()
        if worker is None:
            self._idle.put(None)
            return None
        try:
            found = worker.look(files, look)
        except (EOFError, OSError):
            self._lost.append(worker)
            if len(self._lost) == len(self._workers):
                self._idle.put(None)
            return None
        self._idle.put(worker)
        return found

    def end(self) -> None:
        """Kill the workers and wait for them."""
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.join()


def _work(requests: Connection, environment: dict[str, str], parent: int) -> None:
    """Answer scan requests until the parent closes the pipe or kills this process."""
    aws.restore_environment(environment)
    start_worker(parent)
    collect_garbage_rarely()
    while True:
        try:
            files, look = requests.recv()
        except EOFError:
            return
        try:
            requests.send(look_through(files, look))
        except MemoryError:
            requests.send(None)  # the parent reads the files in chunks
