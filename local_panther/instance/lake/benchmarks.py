"""Benchmarks of a rule over the records of the lake, which clients start, look after and stop."""

import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from local_panther.content.log_types import CLOUDTRAIL
from local_panther.instance.check.guarded import Guarded, GuardedError
from local_panther.instance.lake.measure import Measured
from local_panther.instance.store.archive import ArchiveError, unpack
from local_panther.instance.store.library import Library, too_large

# What panther_analysis_tool calls them.
RUNNING, DONE, CANCELED = "EVALUATION_IN_PROGRESS", "DONE", "CANCELED"
FAILED = "ERROR_EVALUATION"
SECONDS = 900.0  # panther_analysis_tool gives up after 13 minutes
MAX_WAITING = 4
MAX_REMEMBERED = 100


@dataclass
class Benchmark:
    """A benchmark and what became of it.

    Attributes:
        hour: The hour that was asked for, in seconds since 1970. All records are run over.
        created: When it was asked for, in seconds since 1970, and `completed` when it ended.
        measured: What it found, once it has ended.
    """

    log_type: str
    hour: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: str = RUNNING
    created: float = field(default_factory=time.time)
    completed: float | None = None
    measured: Measured = field(default_factory=Measured)
    process: Guarded = field(default_factory=lambda: Guarded("benchmark"))


class BenchmarkError(Exception):
    """A benchmark cannot be started; the message says why."""


class Benchmarks:
    """Runs benchmarks, one after the other, and remembers the latest."""

    def __init__(
        self, library: Library, databases: Callable[[], Path | None], *, trust: bool = False
    ) -> None:
        """Take the content, what returns the folder of the lake's databases, and whom to trust."""
        self._trust = trust
        self._library = library
        self._databases = databases
        self._known: OrderedDict[str, Benchmark] = OrderedDict()
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="benchmark")

    def start(self, data: str, log_type: str, hour: float) -> Benchmark:
        """Start a benchmark.

        Args:
            data: A base64 encoded zip archive with one rule.
            log_type: What the rule gets.
            hour: The hour that the client asks for, in seconds since 1970.

        Raises:
            BenchmarkError: There are no such records, or too many benchmarks run.
        """
        if log_type != CLOUDTRAIL or self._databases() is None:
            raise BenchmarkError(f"there are no records of {log_type} to run the rule over")
        with self._lock:
            waiting = sum(known.state == RUNNING for known in self._known.values())
            if waiting >= MAX_WAITING:
                raise BenchmarkError(f"{waiting} benchmarks run already; wait or stop one")
            process = Guarded("benchmark", trust=self._trust)
            started = Benchmark(log_type, hour, process=process)
            self._known[started.id] = started
            while len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
        self._worker.submit(self._run, started, data)
        return started

    def get(self, benchmark_id: str) -> Benchmark | None:
        """Return a benchmark, None if it is not remembered."""
        return self._known.get(benchmark_id)

    def stop(self, benchmark: Benchmark) -> None:
        """Stop a benchmark, unless it has ended."""
        if self._end(benchmark, CANCELED, Measured()):
            benchmark.process.stop()

    def close(self) -> None:
        """Stop what runs."""
        for benchmark in list(self._known.values()):
            self.stop(benchmark)
        self._worker.shutdown(cancel_futures=True)

    def _end(self, benchmark: Benchmark, state: str, measured: Measured) -> bool:
        """Note how a benchmark ended, and return whether it had not."""
        with self._lock:
            if benchmark.state != RUNNING:
                return False
            benchmark.measured, benchmark.completed = measured, time.time()
            benchmark.state = state
            return True

    def _run(self, benchmark: Benchmark, data: str) -> None:
        failed = FAILED
        try:
            measured = self._measured(benchmark, data)
        except GuardedError as error:
            measured = Measured(problem=str(error))
            failed = CANCELED if error.timed_out else FAILED  # the tool says that it timed out
        except (ArchiveError, OSError) as error:
            measured = Measured(problem=str(error))
        except Exception as error:
            logging.exception("a benchmark failed")
            measured = Measured(problem=f"{type(error).__name__}: {error}")
        state = failed if measured.problem else DONE
        if self._end(benchmark, state, measured) and measured.problem:
            # The tool only says that there was an error.
            logging.error("benchmark failed: %s", measured.problem)

    def _measured(self, benchmark: Benchmark, data: str) -> Measured:
        databases = self._databases()
        if benchmark.state != RUNNING or databases is None:
            return Measured(problem="there is no lake any more")
        with self._library.work_folder() as work:
            unpacked, stored, candidate = (work / name for name in ("unpacked", "stored", "both"))
            for folder in (unpacked, stored, candidate):
                folder.mkdir()
            unpack(data, unpacked)
            if problems := too_large(unpacked):
                return Measured(problem="; ".join(map(str, problems)))
            self._library.copy_shared_to(stored)
            arguments = (unpacked, stored, candidate, databases, benchmark.log_type)
            module = "local_panther.instance.lake.measure"
            return benchmark.process.run(work, module, arguments, SECONDS, Measured.from_json)
