"""Jobs that clients start, poll and cancel while the server works on them in the background."""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(eq=False, kw_only=True)
class Job(Generic[T]):
    """A job and its outcome.

    Attributes:
        id: The ID by which a client polls it.
        started: When the client started it, in seconds since 1970.
        completed: When it ended, in seconds since 1970; None until then.
        outcome: Its result, error or cancellation; None until it has ended.
    """

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: float = field(default_factory=time.time)
    completed: float | None = None
    outcome: T | None = None

    @property
    def is_running(self) -> bool:
        """True until it has ended, also while it waits for its turn."""
        return self.outcome is None


J = TypeVar("J", bound=Job[Any])


class JobRefusedError(Exception):
    """A refusal to start a job; the message says why."""


class Jobs(Generic[J]):
    """A bounded table of jobs and the threads that run them. Any thread may use it."""

    def __init__(
        self,
        name: str,
        failed: Callable[[Exception], Any],
        *,
        workers: int,
        most_running: int,
        most_remembered: int,
    ) -> None:
        """Start without jobs.

        Args:
            name: The noun for the jobs in messages, in the plural.
            failed: Returns the outcome of a job whose work raised an exception.
            workers: Number of jobs that run at the same time; the others wait, in order.
            most_running: Highest number of jobs that run or wait; a further one is refused.
            most_remembered: Number of jobs to keep; if it is exceeded, the oldest that have ended
                are forgotten.
        """
        self._name = name
        self._failed = failed
        self._most_running = most_running
        self._most_remembered = most_remembered
        self._jobs: dict[str, J] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix=name)

    def start(self, job: J, work: Callable[[], Any]) -> J:
        """Start a job and return it.

        Args:
            job: A new job.
            work: Does the job and returns its outcome, which is not None.

        Raises:
            JobRefusedError: Too many jobs run already, or the table is closed.
        """
        with self._lock:
            if self._is_closed:
                raise JobRefusedError(f"the server is stopping and starts no more {self._name}")
            running = sum(known.is_running for known in self._jobs.values())
            if running >= self._most_running:
                message = f"{running} {self._name} run already; try again when one has ended"
                raise JobRefusedError(message)
            self._jobs[job.id] = job
            self._forget_oldest()
            self._threads.submit(self._run, job, work)
        return job

    def poll(self, job_id: str) -> J | None:
        """Return a job; None if its ID is unknown or it is forgotten."""
        return self._jobs.get(job_id)

    def latest(self) -> list[J]:
        """Return the remembered jobs, the latest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def cancel(self, job: J, outcome: Any) -> bool:
        """End a job with an outcome and return True; return False if it has ended already.

        Work that has begun is not interrupted, but what it returns is ignored.
        """
        return self._end(job, outcome)

    def close(self, stop: Callable[[J], object] | None = None) -> None:
        """Refuse further jobs and drop those that wait.

        Args:
            stop: Called with each job that has not ended; the work of all of them is then waited
                for. Without it, work that has begun continues and is not waited for.
        """
        with self._lock:
            self._is_closed = True
        if stop:
            for job in self.latest():
                if job.is_running:
                    stop(job)
        self._threads.shutdown(wait=stop is not None, cancel_futures=True)

    def _run(self, job: J, work: Callable[[], Any]) -> None:
        if not job.is_running:  # cancelled while it waited
            return
        try:
            outcome = work()
        except Exception as error:
            logging.exception("%s: a job failed", self._name)
            outcome = self._failed(error)
        self._end(job, outcome)

    def _end(self, job: J, outcome: Any) -> bool:
        with self._lock:
            if not job.is_running:
                return False
            job.completed = time.time()
            job.outcome = outcome
            return True

    def _forget_oldest(self) -> None:
        surplus = max(0, len(self._jobs) - self._most_remembered)
        ended = [job.id for job in self._jobs.values() if not job.is_running]
        for job_id in ended[:surplus]:
            del self._jobs[job_id]
