"""Scans files on the workers of a Dask cluster.

Only file names are sent, and only wanted records come back. Each worker opens files itself, with
its own AWS configuration. If a worker dies, Dask gives its batches to another one; this process
scans the batches that no worker can.
"""

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

from local_panther.errors import UnusableCluster
from local_panther.records.looking import Look, fingerprint, hindrance, look_through
from local_panther.records.workers import Found, Place, Places

RETRIES = 2  # for a batch whose worker failed
POLL_SECONDS = 5.0  # between checks that workers are left
CONNECT_SECONDS = 10
ANSWER_SECONDS = 30.0  # a busy scheduler answers late
CLOSE_SECONDS = 5.0
PROBE_SECONDS = 60.0
NOT_INSTALLED = "needs Dask: pip install 'local-panther[cluster]'"
NOT_THERE = "does not have this version of local-panther"

Client = Any  # Dask's client, which has no types

log = logging.getLogger(__name__)


def cluster(address: str) -> Places:
    """Return the workers of a cluster as a place.

    Args:
        address: Address of the scheduler, for example tcp://scheduler:8786.
    """

    @contextmanager
    def opened(look: Look, samples: list[str]) -> Iterator[Place]:
        with _client(address) as client:
            usable = _usable_workers(client, address, look, samples)
            executor: Executor = client.get_executor(
                pure=False, retries=RETRIES, workers=list(usable), allow_other_workers=False
            )
            batches = _Batches(client, executor, frozenset(usable))
            yield Place(batches.submit, sum(usable.values()), batches.result, float("inf"))

    return opened


class _Batches:
    """The batches of a run; their results are awaited as long as a worker is left."""

    def __init__(self, client: Client, executor: Executor, usable: frozenset[str]) -> None:
        self._client = client
        self._executor = executor
        self._usable = usable
        self._has_warned = False
        self._is_lost = False

    def submit(self, files: list[str], look: Look) -> Future[Found] | None:
        if self._is_lost:
            return None
        try:
            return self._executor.submit(look_through, files, look)
        except Exception as error:  # Dask's errors have no common class
            self._warn(f"{type(error).__name__}: {error}")
            return None

    def result(self, future: Future[Found]) -> Found:
        while not self._is_lost or future.done():
            try:
                return future.result(POLL_SECONDS)
            except TimeoutError:
                self._look_for_workers()
            except Exception as error:  # an error of the cluster: scanning itself raises nothing
                self._warn(f"{type(error).__name__}: {error}")
                return None
        return None

    def _look_for_workers(self) -> None:
        """Stop waiting for results if the scheduler, or all workers, are gone."""
        try:
            identity = self._client.scheduler.identity
            known = self._client.sync(identity, n_workers=-1, callback_timeout=ANSWER_SECONDS)
        except (OSError, TimeoutError) as error:
            self._is_lost = True
            self._warn(f"the scheduler does not answer: {type(error).__name__}: {error}")
            return
        if self._usable.isdisjoint(known["workers"]):
            self._is_lost = True
            self._warn("no worker is left")

    def _warn(self, reason: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning("cluster: %s; this machine reads the remaining files", reason)


@contextmanager
def _client(address: str) -> Iterator[Client]:
    try:
        import distributed
    except ImportError as error:
        raise UnusableCluster(f"--cluster {address}: {NOT_INSTALLED}") from error
    try:
        client: Client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UnusableCluster(f"--cluster {address}: cannot be reached: {error}") from error
    try:
        yield client
    finally:
        _close(client)


def _close(client: Client) -> None:
    """Close a client; that its scheduler is busy or gone is not an error."""
    try:
        client.close(timeout=CLOSE_SECONDS)
    except (OSError, TimeoutError) as error:
        log.info("cluster: the connection did not close: %s", error)


def _usable_workers(
    client: Client, address: str, look: Look, samples: list[str]
) -> Mapping[str, int]:
    """Return the number of threads of each usable worker; report the others, with the reason."""
    threads: dict[str, int] = client.nthreads()
    answers: dict[str, Any] = client.run(
        hindrance, samples, look, fingerprint(), on_error="return", workers=list(threads)
    )
    usable = {}
    for worker, answer in answers.items():
        reason = answer if isinstance(answer, str) else f"{NOT_THERE}: {answer}"
        if reason:
            log.warning("cluster: worker %s is not used: %s", worker, reason)
        else:
            usable[worker] = threads[worker]
    if not usable:
        raise UnusableCluster(f"--cluster {address}: it has no usable worker")
    return usable
