"""Content code that hangs, exits or prints affects nothing but itself."""

import contextlib
import os
import signal
import sys
import threading
import time
from textwrap import dedent, indent

import pytest

from local_panther import containment
from local_panther.containment import ContentCodeError, call, contained
from local_panther.detection.rule_engine import Engine
from tests.builders.content import EACH_EVENT, write_calls, write_rules
from tests.builders.replays import replayed
from tests.scale import FULL

pytestmark = [pytest.mark.attack("rules"), pytest.mark.process]

FAILING = {
    "loop": "while True: pass",
    "loop that catches what stops it": """
        while True:
            try:
                sum(range(100))
            except BaseException:
                continue""",
    "loop that catches everything in a function": """
        def work():
            try:
                return [i for i in range(1000)]
            except BaseException:
                return 1
        while True: work()""",
    "catastrophic regular expression": """
        import re
        re.match(r"(a+)+$", "a" * 50 + "b")""",
    "waiting": """
        import time
        time.sleep(3600)""",
    "exit": "raise SystemExit(0)",
    "exit of the process": """
        import os
        os._exit(0)""",
    "exit with a message": """
        import sys
        sys.exit('bye')""",
    "interrupt of its own": "raise KeyboardInterrupt",
    "exception of its own": """
        class Odd(BaseException): pass
        raise Odd('odd')""",
    "recursion": """
        def again(): return again()
        again()""",
    "memory": "return 'x' * 2**62",
}
QUICK = {
    "loop that catches what stops it",
    "catastrophic regular expression",
    "exit of the process",
}
CHOSEN = sorted(FAILING if FULL else QUICK)  # a second each


def indented(body, spaces=4):
    return indent(dedent(body.strip("\n")), " " * spaces)


@pytest.fixture
def trail(tmp_path):
    return write_calls(tmp_path / "trail.jsonl", 3)


@pytest.fixture
def short_limit(monkeypatch):
    monkeypatch.setattr(containment, "TIME_LIMIT_SECONDS", 0.2)


@pytest.mark.usefixtures("short_limit")
class TestRule:
    @pytest.mark.parametrize("name", CHOSEN)
    def test_a_failing_rule_affects_no_other(self, tmp_path, trail, name):
        bad = f"def rule(event):\n{indented(FAILING[name])}\n    return True\n"
        content = write_rules(tmp_path / "content", bad=bad, good=EACH_EVENT)
        outcome = replayed(trail, content=content)
        assert outcome.errors.counts == {"Test.bad": 3}
        assert outcome.signals == {"Test.bad": 0, "Test.good": 3}
        kinds = [alert.kind for alert in outcome.alerts]
        assert sorted(kinds) == ["RULE", "RULE", "RULE", "RULE_ERROR"]
        assert not outcome.complete and not outcome.interrupted

    @pytest.mark.parametrize("name", ["loop", "loop that catches what stops it", "waiting"])
    def test_the_error_names_the_time_limit_and_the_record(self, tmp_path, trail, name):
        bad = f"def rule(event):\n{indented(FAILING[name])}\n"
        outcome = replayed(trail, content=write_rules(tmp_path / "content", bad=bad))
        assert "time limit of 0.2 s" in outcome.errors.examples[0].message
        assert outcome.errors.examples[0].where == f"{trail}, line 1"

    def test_the_error_of_a_rule_that_exits_names_its_status(self, tmp_path, trail):
        bad = "import os\ndef rule(event):\n    os._exit(3)\n"
        outcome = replayed(trail, content=write_rules(tmp_path / "content", bad=bad))
        assert "tried to end the process with status 3" in outcome.errors.examples[0].message

    @pytest.mark.parametrize("function", ["title", "dedup", "alert_context", "severity", "unique"])
    def test_a_rule_that_matches_and_then_hangs_is_a_match_and_an_error(
        self, tmp_path, trail, function
    ):
        bad = f"def rule(event):\n    return True\ndef {function}(event):\n    while True: pass\n"
        outcome = replayed(trail, content=write_rules(tmp_path / "content", bad=bad))
        assert outcome.errors.counts == {"Test.bad": 3}
        assert outcome.signals == {"Test.bad": 3}

    @pytest.mark.parametrize("name", [name for name in CHOSEN if name != "memory"])
    def test_a_rule_that_fails_while_it_is_imported_is_reported_by_file(
        self, tmp_path, trail, name
    ):
        body = indented(FAILING[name], 0) + "\ndef rule(event):\n    return True\n"
        content = write_rules(tmp_path / "content", bad=body, good=EACH_EVENT)
        outcome = replayed(trail, content=content)
        (problem,) = outcome.content.problems
        assert "bad.yml" in problem.where and outcome.signals == {"Test.good": 3}


class TestCall:
    def test_a_call_returns_the_result_or_the_error(self):
        with contained():
            assert call(int, "7") == (7, None)
            assert isinstance(call(int, "seven").error, ValueError)

    def test_a_call_outside_a_containment_can_be_interrupted_by_ctrl_c(self):
        assert call(int, "7").unwrap() == 7
        with pytest.raises(KeyboardInterrupt):
            call(_raise, KeyboardInterrupt())

    def test_a_call_in_another_thread_is_not_interrupted(self):
        found = []

        def run():
            with contained(0.01):
                found.append(call(time.sleep, 0.05).error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert found == [None]

    def test_no_alarm_is_left_after_the_containment(self):
        with contained(0.05):
            call(int, "7")
            time.sleep(0.1)
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)

    def test_a_containment_restores_handlers_and_functions(self):
        before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
        exit_function, out = os._exit, sys.stdout
        with contained(), contained():
            pass
        after = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
        assert (after, os._exit, sys.stdout) == (before, exit_function, out)

    def test_a_call_may_fork_a_process_that_exits_by_itself(self):
        def fork():
            if not (child := os.fork()):
                os._exit(7)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        with contained():
            assert call(fork).unwrap() == 7

    def test_each_call_has_the_whole_time_limit(self):
        with contained(0.2):
            assert all(call(time.sleep, 0.08).error is None for _ in range(4))

    def test_a_call_that_catches_the_interruption_is_interrupted_again(self):
        def stubborn():
            for _ in range(20):
                with contextlib.suppress(BaseException):
                    time.sleep(5)

        with contained(0.05):
            assert isinstance(call(stubborn).error, ContentCodeError)


def _raise(error):
    raise error


class TestRun:
    """A run with an unexpected error in local-panther itself."""

    def test_an_unexpected_error_loses_one_record_only(self, tmp_path, trail, monkeypatch):
        run = Engine.run

        def failing(self, record, *arguments):
            if b"event-1" in record.raw:
                raise OverflowError("date value out of range")
            return run(self, record, *arguments)

        monkeypatch.setattr(Engine, "run", failing)
        outcome = replayed(trail, content=write_rules(tmp_path / "content", good=EACH_EVENT))
        assert outcome.signals == {"Test.good": 2}
        assert outcome.errors.counts == {"local-panther": 1}
        (problem,) = outcome.errors.examples
        assert problem.where == f"{trail}, line 2" and "OverflowError" in problem.message
