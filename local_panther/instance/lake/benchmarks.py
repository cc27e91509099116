"""Benchmarks of a rule over the records of the lake, which clients start, poll and stop."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local_panther.content.log_types import CLOUDTRAIL
from local_panther.instance.check.guarded import Guarded, GuardedError
from local_panther.instance.jobs import Job, JobRefusedError, Jobs
from local_panther.instance.lake.measure import Measured
from local_panther.instance.store.archive import ArchiveError, unpack
from local_panther.instance.store.library import Library, too_large

# The states, as panther_analysis_tool names them.
RUNNING, DONE, CANCELED = "EVALUATION_IN_PROGRESS", "DONE", "CANCELED"
FAILED = "ERROR_EVALUATION"
SECONDS = 900.0  # panther_analysis_tool gives up after 13 minutes
MAX_RUNNING = 4  # including those that wait
MAX_REMEMBERED = 100


@dataclass(frozen=True)
class BenchmarkOutcome:
    """The outcome of a benchmark.

    Attributes:
        state: DONE, CANCELED or FAILED.
        measured: What the run took and found.
    """

    state: str
    measured: Measured


@dataclass(eq=False)
class Benchmark(Job[BenchmarkOutcome]):
    """A benchmark.

    Attributes:
        log_type: The log type whose records the rule gets.
        hour: The hour that the client asked for, in seconds since 1970. The rule runs over all
            records, whatever their time.
        process: The process that runs the rule.
    """

    log_type: str
    hour: float
    process: Guarded

    @property
    def state(self) -> str:
        """RUNNING, DONE, CANCELED or FAILED."""
        return self.outcome.state if self.outcome else RUNNING

    @property
    def measured(self) -> Measured:
        """What the run took and found; all zero until it has ended."""
        return self.outcome.measured if self.outcome else Measured()


class Benchmarks:
    """Runs benchmarks, one after the other, and remembers the latest."""

    def __init__(
        self, library: Library, databases: Callable[[], Path | None], *, trust: bool = False
    ) -> None:
        """Prepare to run benchmarks.

        Args:
            library: The stored content, whose helpers and data models a rule may use.
            databases: Returns the folder of the lake's databases, None while there is none.
            trust: Run uploaded code without the box.
        """
        self._trust = trust
        self._library = library
        self._databases = databases
        self._jobs: Jobs[Benchmark] = Jobs(
            "benchmarks",
            _failed,
            workers=1,
            most_running=MAX_RUNNING,
            most_remembered=MAX_REMEMBERED,
        )

    def start(self, data: str, log_type: str, hour: float) -> Benchmark:
        """Start a benchmark.

        Args:
            data: A base64 encoded zip archive with one rule.
            log_type: The log type whose records the rule gets.
            hour: The hour that the client asks for, in seconds since 1970.

        Raises:
            JobRefusedError: There are no such records, or too many benchmarks run.
        """
        if log_type != CLOUDTRAIL or self._databases() is None:
            raise JobRefusedError(f"there are no records of {log_type} to run the rule over")
        benchmark = Benchmark(log_type, hour, Guarded("benchmark", trust=self._trust))
        return self._jobs.start(benchmark, lambda: self._run(benchmark, data))

    def get(self, benchmark_id: str) -> Benchmark | None:
        """Return a benchmark, None if it is not remembered."""
        return self._jobs.poll(benchmark_id)

    def stop(self, benchmark: Benchmark) -> None:
        """Stop a benchmark, unless it has ended."""
        if self._jobs.cancel(benchmark, BenchmarkOutcome(CANCELED, Measured())):
            benchmark.process.stop()

    def close(self) -> None:
        """Stop all benchmarks."""
        self._jobs.close(self.stop)

    def _run(self, benchmark: Benchmark, data: str) -> BenchmarkOutcome:
        failed = FAILED
        try:
            measured = self._measured(benchmark, data)
        except GuardedError as error:
            measured = Measured(problem=str(error))
            failed = CANCELED if error.timed_out else FAILED  # the tool says that it timed out
        except (ArchiveError, OSError) as error:
            measured = Measured(problem=str(error))
        if measured.problem and benchmark.is_running:
            # The tool only says that there was an error.
            logging.error("benchmark failed: %s", measured.problem)
        return BenchmarkOutcome(failed if measured.problem else DONE, measured)

    def _measured(self, benchmark: Benchmark, data: str) -> Measured:
        databases = self._databases()
        if databases is None:
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


def _failed(error: Exception) -> BenchmarkOutcome:
    return BenchmarkOutcome(FAILED, Measured(problem=f"{type(error).__name__}: {error}"))
