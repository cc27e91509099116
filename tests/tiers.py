"""Separates two tiers of tests: quick ones that stay in their process, and all others.

`make test` runs the first tier; `make test-all` and CI run both. A test that starts programs
(commands, servers, browsers) must have the mark `process`; `make test` fails it otherwise. A test
that takes seconds of processor time has the mark `long`. At the end of a run, the most expensive
files are printed.
"""

import resource
import sys
from collections import Counter

import pytest

from local_panther.processes import REMOVE_AFTERWARDS
from tests.scale import QUICK

STARTS = ("subprocess.Popen", "os.posix_spawn")  # audit events
UNAME = "uname"  # `platform` runs it once in each process, to find the processor
FIXTURES = {"browser", "dynalite", "s3_endpoint", "scheduler"}  # each starts a shared program
SECONDS = "processor seconds"
SHOWN = 10


class Tiers:
    """The pytest plugin of the tiers."""

    def __init__(self) -> None:
        self._started: list[str] = []  # since the last phase of a test
        self._before = _processor_seconds()
        self._by_file = Counter[str]()
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in STARTS or arguments[0] == UNAME:
            return
        # The process that removes a temporary folder is not part of the test.
        if REMOVE_AFTERWARDS not in str(arguments[1:2]):
            self._started.append(f"{event} {arguments[:2]}"[:200])

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark the tests that use a shared program."""
        for item in items:
            if isinstance(item, pytest.Function) and FIXTURES.intersection(item.fixturenames):
                item.add_marker("process")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> object:
        """Record the cost of a phase of a test, and fail it if it started a program unmarked."""
        report: pytest.TestReport = yield
        before, self._before = self._before, _processor_seconds()
        report.user_properties.append((SECONDS, self._before - before))
        started, self._started = self._started, []
        if QUICK and started and report.passed and not item.get_closest_marker("process"):
            report.outcome = "failed"
            report.longrepr = f"starts a program, and is not marked `process`: {started[0]}"
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the cost of a phase to that of its file."""
        file = report.nodeid.partition("::")[0]
        self._by_file[file] += sum(v for name, v in report.user_properties if name == SECONDS)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the most expensive files."""
        terminalreporter.section(f"most expensive files, {SECONDS}")
        for file, seconds in self._by_file.most_common(SHOWN):
            terminalreporter.line(f"{seconds:6.1f}  {file}")


def _processor_seconds() -> float:
    """Return the processor time of this process and of its children that have exited."""
    own, others = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
