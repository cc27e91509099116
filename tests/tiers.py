"""Two tiers of tests: those that stay within their process, and those that start programs.

`make test` runs the first, for a quick answer, and `make test-all` both, as CI does. A test that
starts programs (commands, servers, browsers) says so with the mark `process`; `make test` fails one
that does not. At the end of a run stands what the dearest files cost.
"""

import resource
import sys
from collections import Counter

import pytest

from local_panther.processes import REMOVE_AFTERWARDS
from tests.scale import QUICK

STARTS = ("subprocess.Popen", "os.posix_spawn")  # audit events
UNAME = "uname"  # by which `platform` finds the processor, once a process
FIXTURES = {"browser", "dynalite", "s3_endpoint", "scheduler"}  # that start one for many tests
SECONDS = "processor seconds"
SHOWN = 10


class Tiers:
    """The plugin."""

    def __init__(self) -> None:
        self._started: list[str] = []  # since the last phase of a test
        self._before = _processor_seconds()
        self._by_file = Counter[str]()
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in STARTS or arguments[0] == UNAME:
            return
        # What removes a temporary folder is no part of what is tested.
        if REMOVE_AFTERWARDS not in str(arguments[1:2]):
            self._started.append(f"{event} {arguments[:2]}"[:200])

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark the tests that use a program which runs for many tests."""
        for item in items:
            if isinstance(item, pytest.Function) and FIXTURES.intersection(item.fixturenames):
                item.add_marker("process")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> object:
        """Note what a phase of a test cost, and fail it if it started what it does not say."""
        report: pytest.TestReport = yield
        before, self._before = self._before, _processor_seconds()
        report.user_properties.append((SECONDS, self._before - before))
        started, self._started = self._started, []
        if QUICK and started and report.passed and not item.get_closest_marker("process"):
            report.outcome = "failed"
            report.longrepr = f"starts a program, and is not marked `process`: {started[0]}"
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add what a phase cost to its file."""
        file = report.nodeid.partition("::")[0]
        self._by_file[file] += sum(v for name, v in report.user_properties if name == SECONDS)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the dearest files."""
        terminalreporter.section(f"dearest files, {SECONDS}")
        for file, seconds in self._by_file.most_common(SHOWN):
            terminalreporter.line(f"{seconds:6.1f}  {file}")


def _processor_seconds() -> float:
    """Return what this process and those that it has started and that have ended took."""
    own, others = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
