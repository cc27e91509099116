"""`local-panther test` can be stopped, and runs beside another one."""

import os
import time

import pytest

from tests.builders.processes import STOPS, all_below, assert_stops, children, forks_of
from tests.builders.replays import started
from tests.cli.test_command_line import COMMAND
from tests.instance.servers import eventually, is_running, processes_with

pytestmark = [pytest.mark.attack("processes"), pytest.mark.process]


class TestToolRun:
    """`local-panther test` while a unit test of the content runs."""

    @pytest.fixture
    def slow_content(self, content_copy):
        rule = content_copy / "rules" / "aws_cloudtrail_rules" / "aws_iam_list_roles.py"
        text = rule.read_text().replace(
            "def rule(event):", "def rule(event):\n    import time; time.sleep(300)"
        )
        rule.write_text(text)
        return content_copy

    @pytest.mark.parametrize("stop", STOPS)
    def test_a_stopped_test_run_leaves_no_tool_and_no_folder(self, slow_content, tmp_path, stop):
        temporary = tmp_path / "tmp"
        temporary.mkdir()
        environment = os.environ | {"TMPDIR": str(temporary)}
        process = started([COMMAND, "test"], cwd=slow_content, env=environment)
        assert eventually(
            lambda: [
                p
                for p in children(process.pid)
                if p in processes_with("local_panther.tool_runs.process")
            ],
            30,
        )
        time.sleep(2)
        assert_stops(process, stop, temporary)

    @pytest.mark.parametrize("stop", STOPS)
    def test_a_test_run_can_be_stopped_while_content_is_checked(self, content_copy, stop):
        rule = content_copy / "rules" / "aws_cloudtrail_rules" / "aws_iam_list_roles.py"
        rule.write_text("import time\ntime.sleep(300)\n" + rule.read_text())
        process = started([COMMAND, "test"], cwd=content_copy)
        assert eventually(lambda: len(forks_of(process.pid)) == 1, 30)
        time.sleep(0.5)
        below = all_below(process.pid)
        process.send_signal(stop)
        _, err = process.communicate(timeout=30)
        assert b"Traceback" not in err
        assert eventually(lambda: not any(map(is_running, below)), 2)

    def test_two_test_runs_do_not_disturb_each_other(self, content_copy):
        both = [started([COMMAND, "test"], cwd=content_copy) for _ in range(2)]
        for process in both:
            out, err = process.communicate(timeout=120)
            assert process.returncode == 0, err
            assert b"Failed: 0" in out
