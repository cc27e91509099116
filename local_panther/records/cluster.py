"""A Dask cluster as a place where files are looked through.

Files go by their names, and only wanted records come back. Each worker opens files itself, with its
own AWS configuration. A worker that dies costs the time of its batches: Dask gives them to another,
and what no worker can do this process does.
"""

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

from local_panther.errors import UnusableCluster
from local_panther.records.looking import Look, fingerprint, hindrance, look_through
from local_panther.records.workers import Found, Place, Places

RETRIES = 2  # of a batch whose worker failed
POLL_SECONDS = 5.0  # between looks at whether there are workers left
CONNECT_SECONDS = 10
ANSWER_SECONDS = 30.0  # for a scheduler that is busy
CLOSE_SECONDS = 5.0
PROBE_SECONDS = 60.0
NOT_INSTALLED = "needs Dask: pip install 'local-panther[cluster]'"
NOT_THERE = "does not have this version of local-panther"

Client = Any  # Dask's, which has no types

log = logging.getLogger(__name__)


def cluster(address: str) -> Places:
    """Return the workers of a cluster as a place.

    Args:
        address: Of its scheduler, such as tcp://scheduler:8786.
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
    """Hands batches out and waits for results as long as there are workers that could give them."""

    def __init__(self, client: Client, executor: Executor, usable: frozenset[str]) -> None:
        self._client = client
        self._executor = executor
        self._usable = usable
        self._told = False
        self._is_lost = False

    def submit(self, files: list[str], look: Look) -> Future[Found] | None:
        if self._is_lost:
            return None
        try:
            return self._executor.submit(look_through, files, look)
        except Exception as error:  # Dask's, which have no class of their own
            self._tell(f"{type(error).__name__}: {error}")
            return None

    def result(self, future: Future[Found]) -> Found:
        while not self._is_lost or future.done():
            try:
                return future.result(POLL_SECONDS)
            except TimeoutError:
                self._look_for_workers()
            except Exception as error:  # of the cluster: a batch of files itself raises nothing
                self._tell(f"{type(error).__name__}: {error}")
                return None
        return None

    def _look_for_workers(self) -> None:
        """Note that nothing comes any more if the workers, or the scheduler, are gone."""
        try:
            identity = self._client.scheduler.identity
            known = self._client.sync(identity, n_workers=-1, callback_timeout=ANSWER_SECONDS)
        except (OSError, TimeoutError) as error:
            self._is_lost = True
            self._tell(f"the scheduler does not answer: {type(error).__name__}: {error}")
            return
        if self._usable.isdisjoint(known["workers"]):
            self._is_lost = True
            self._tell("no worker is left")

    def _tell(self, reason: str) -> None:
        if not self._told:
            self._told = True
            log.warning("cluster: %s; what it does not do is read here", reason)


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
    """Close a client; one whose scheduler is busy or gone takes no answer back with it."""
    try:
        client.close(timeout=CLOSE_SECONDS)
    except (OSError, TimeoutError) as error:
        log.info("cluster: the connection did not close: %s", error)


def _usable_workers(
    client: Client, address: str, look: Look, samples: list[str]
) -> Mapping[str, int]:
    """Return the threads of each worker that can do the work; tell which cannot, and why."""
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
        raise UnusableCluster(f"--cluster {address}: it has no worker that can be used")
    return usable
