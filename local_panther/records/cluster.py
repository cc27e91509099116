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
from local_panther.records.looking import Look, fingerprint, hindrance
from local_panther.records.workers import Found, Place, Places

RETRIES = 2  # of a batch whose worker failed
POLL_SECONDS = 5.0  # between looks at whether there are workers left
CONNECT_SECONDS = 10
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
            waiting = _Waiting(client, frozenset(usable))
            yield Place(executor, sum(usable.values()), waiting.result, float("inf"))

    return opened


class _Waiting:
    """Waits for results as long as there are workers that could give them."""

    def __init__(self, client: Client, usable: frozenset[str]) -> None:
        self._client = client
        self._usable = usable
        self._told = False

    def result(self, future: Future[Found]) -> Found:
        while True:
            try:
                return future.result(POLL_SECONDS)
            except TimeoutError:
                if not self._are_any_left():
                    self._tell("no worker is left")
                    return None
            except Exception as error:  # of the cluster: a batch of files itself raises nothing
                self._tell(f"{type(error).__name__}: {error}")
                return None

    def _are_any_left(self) -> bool:
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        return not self._usable.isdisjoint(workers)

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
        client.close(timeout=POLL_SECONDS)


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
