"""Exits of commands: no process and no folder is left, and broken streams give a message."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from local_panther.processes import TemporaryFolder
from tests.builders.events import REPO
from tests.builders.processes import STOPS, all_below, assert_stops, children
from tests.builders.replays import simulated, started
from tests.cli.test_command_line import COMMAND
from tests.instance.servers import eventually, is_running
from tests.scale import examples

pytestmark = [pytest.mark.attack("processes"), pytest.mark.process]


class TestReplay:
    @pytest.mark.parametrize("stop", STOPS)
    def test_a_stopped_replay_leaves_no_worker_and_no_folder(self, tmp_path, stop):
        temporary = tmp_path / "tmp"
        temporary.mkdir()
        lines = simulated(tmp_path / "t.jsonl").read_bytes()
        for number in range(150):
            (tmp_path / f"{number}.jsonl").write_bytes(lines)
        command = [COMMAND, "replay", tmp_path, "-", "--workers", 2]
        environment = os.environ | {"TMPDIR": str(temporary)}
        process = started(command, cwd=REPO, stdin=subprocess.PIPE, env=environment)
        assert eventually(lambda: list(temporary.iterdir()), 30)
        assert eventually(lambda: len(children(process.pid)) >= 4, 30)  # workers and removers
        time.sleep(0.5)
        assert_stops(process, stop, temporary)


@pytest.mark.parametrize("number", range(examples(4, 25)))
@pytest.mark.parametrize("command", ["query", "summary", "replay"])
def test_ctrl_c_twice_stops_a_command_at_once(tmp_path, command, number):
    lines = simulated(tmp_path / "t.jsonl").read_bytes()
    for copy in range(100):
        (tmp_path / f"{copy}.jsonl").write_bytes(lines)
    name = ["AWS Role Escalation Hunt"] if command == "query" else []
    process = started(
        [COMMAND, command, *name, tmp_path, "-", "--workers", 2], cwd=REPO, stdin=subprocess.PIPE
    )
    assert eventually(lambda: len(children(process.pid)) >= 2, 60)  # the workers
    below = all_below(process.pid)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.01 * number)
    _, err = process.communicate(timeout=60)
    assert b"Traceback" not in err
    assert process.returncode == 1
    assert eventually(lambda: not any(map(is_running, below)), 5)


def test_signals_that_are_ignored_stay_ignored(tmp_path):
    """`nohup local-panther serve` survives its terminal being closed."""
    command = ["sh", "-c", 'trap "" HUP; exec "$0" "$@"', COMMAND, "serve", "--port", 0]
    process = started(command, cwd=tmp_path)
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0


class TestStreams:
    def shell(self, line, cwd=REPO):
        script = line.replace("local-panther", str(COMMAND))
        return subprocess.run(
            ["bash", "-c", script], cwd=cwd, capture_output=True, text=True, timeout=120
        )

    @pytest.mark.parametrize("form", ["text", "json"])
    def test_a_command_exits_silently_if_its_output_is_closed(self, tmp_path, form):
        trail = simulated(tmp_path / "t.jsonl")
        line = f"(sleep 0.1; local-panther replay {trail} --format {form}; echo status $? >&2)"
        done = self.shell(f"{line} | true")
        lines = [line for line in done.stderr.splitlines() if not line.startswith("read 115")]
        assert lines == ["status 1"]

    @pytest.mark.parametrize("command", ["simulate -", "replay {trail}", "replay -h", "--version"])
    def test_an_output_on_a_full_disk_is_a_message(self, tmp_path, command):
        trail = simulated(tmp_path / "t.jsonl")
        done = self.shell(f"local-panther {command.format(trail=trail)} > /dev/full")
        assert done.returncode in (1, 2), done.stderr
        assert "No space left on device" in done.stderr and "Traceback" not in done.stderr

    @pytest.mark.parametrize("command", ["simulate -", "serve --port 0", "replay x"])
    def test_a_closed_standard_output_is_a_message(self, tmp_path, command):
        done = self.shell(f"local-panther {command} >&-", cwd=tmp_path)
        assert done.returncode == 2 and "standard output is closed" in done.stderr
        assert not list(tmp_path.iterdir())

    def test_a_closed_standard_input_is_a_message(self, tmp_path):
        trail = simulated(tmp_path / "t.jsonl")
        done = self.shell(f"local-panther replay - {trail} <&-")
        assert done.returncode == 1 and "standard input" in done.stdout
        assert "1 incident (1 HIGH)" in done.stdout and "Traceback" not in done.stderr

    def test_a_closed_standard_input_does_not_matter_if_it_is_not_read(self, tmp_path):
        trail = simulated(tmp_path / "t.jsonl")
        done = self.shell(f"local-panther replay {trail} <&-")
        assert done.returncode == 0 and "1 incident (1 HIGH)" in done.stdout


def test_a_command_runs_what_is_registered_for_its_exit(tmp_path):
    code = (
        "import atexit, sys; from local_panther.cli import main\n"
        "atexit.register(lambda: print('at exit'))\n"
        "sys.argv = ['local-panther', *sys.argv[1:]]\n"
        "main()\n"
    )
    command = [sys.executable, "-c", code, "replay", str(tmp_path / "missing")]
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        command, cwd=REPO, env=buffered, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and done.stdout.splitlines()[-1] == "at exit"


class TestTemporaryFolder:
    def test_a_temporary_folder_is_removed_at_the_end(self):
        with TemporaryFolder("test-") as folder:
            (folder / "a").mkdir()
            (folder / "a" / "b").write_text("")
        assert not folder.exists()

    def test_a_temporary_folder_is_removed_if_its_process_is_killed(self, tmp_path):
        script = (
            "import sys; from pathlib import Path; from local_panther.processes import *\n"
            "while True:\n"
            "    with TemporaryFolder('x-', Path(sys.argv[1])) as folder:\n"
            "        print(end='.', flush=True)\n"
            "        [(folder / str(i)).write_text('') for i in range(20)]\n"
        )
        for number in range(examples(5, 200)):
            process = started([sys.executable, "-c", script, tmp_path], cwd=REPO)
            process.stdout.read(20)
            time.sleep(0.003 * number)
            process.kill()
            process.communicate()
        assert eventually(lambda: not list(tmp_path.iterdir()), 3)

    @pytest.mark.parametrize("end", ["pass", "os.kill(os.getpid(), 9)"])
    def test_a_temporary_folder_is_removed_despite_missing_permissions(self, end):
        script = (
            "import os, sys; from pathlib import Path; from local_panther.processes import *\n"
            "if os.geteuid() == 0: os.setuid(65534)\n"  # root needs no rights
            "with TemporaryFolder('x-', Path(sys.argv[1])) as folder:\n"
            "    (folder / 'a' / 'b').mkdir(parents=True)\n"
            "    (folder / 'a' / 'b' / 'file').write_text('')\n"
            "    (folder / 'link').symlink_to(sys.argv[2])\n"
            "    (folder / 'a' / 'b').chmod(0), (folder / 'a').chmod(0)\n"
            f"    {end}\n"
        )
        with tempfile.TemporaryDirectory() as name:  # other users cannot reach tmp_path
            place = Path(name)
            place.chmod(0o777)
            (outside := place / "outside").mkdir(mode=0o500)
            subprocess.run([sys.executable, "-c", script, place, outside], cwd=REPO, check=False)
            assert eventually(lambda: list(place.iterdir()) == [outside], 5)
            assert outside.stat().st_mode & 0o777 == 0o500

    def test_a_temporary_folder_with_any_name_is_removed(self, tmp_path):
        for name in ("-rf ", "a b", "a'b", 'a"b', "a\nb", "$HOME", "*"):
            with TemporaryFolder(name, tmp_path) as folder:
                assert folder.parent == tmp_path
        assert not list(tmp_path.iterdir())
