"""Exits of commands: no process and no folder is left, and broken streams give a message."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml

from local_panther.processes import TemporaryFolder
from tests.builders.content import write_rules
from tests.builders.events import REPO
from tests.builders.replays import simulated, started
from tests.cli.test_command_line import COMMAND
from tests.instance.servers import eventually, is_running, processes_with
from tests.scale import examples

pytestmark = [pytest.mark.attack("processes"), pytest.mark.process]

STOPS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]


def children(process: int) -> list[int]:
    path = f"/proc/{process}/task/{process}/children"
    try:
        return [int(child) for child in Path(path).read_text().split()]
    except OSError:
        return []


def all_below(process: int) -> list[int]:
    found = children(process)
    return found + [deeper for child in found for deeper in all_below(child)]


def forks_of(process: int) -> list[int]:
    """Return the children of a process that run the same command."""
    command = Path(f"/proc/{process}/cmdline").read_text()
    return [p for p in processes_with(command) if p in children(process)]


def busy_seconds(process: int) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")


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
        below = all_below(process.pid)
        process.send_signal(stop)
        _, err = process.communicate(timeout=30)
        assert b"Traceback" not in err
        assert process.returncode == (-9 if stop == signal.SIGKILL else 1)
        assert eventually(lambda: not any(map(is_running, below)), 2)
        assert eventually(lambda: not list(temporary.iterdir()), 2)


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


class TestOneCallOfDuckDB:
    """Queries during which DuckDB notices no interrupt, and one during which it does."""

    TABLE = "panther_logs.public.aws_cloudtrail"
    ONE_CALL = "SELECT EDITDISTANCE({0}, REVERSE({0})) AS n FROM " + TABLE
    QUERIES = {  # noqa: RUF012
        "of one call": ONE_CALL.format("REPEAT(eventID, 100000)"),
        "of constants, in one call": ONE_CALL.format("REPEAT('ab', 1000000)"),
        "that generates rows": f"SELECT COUNT(*) AS n FROM {TABLE} a, {TABLE} b, {TABLE} c, "
        f"{TABLE} d, {TABLE} e WHERE a.eventID || b.eventID || c.eventID <> d.eventID || e.eventID",
    }

    @pytest.mark.parametrize("stop", STOPS)
    @pytest.mark.parametrize(
        ("command", "query"),
        [*(("query", query) for query in QUERIES), ("replay", "of constants, in one call")],
    )
    def test_a_query_can_be_stopped_at_any_time(self, tmp_path, command, query, stop):
        (temporary := tmp_path / "tmp").mkdir()
        trail = simulated(tmp_path / "t.jsonl")
        content = write_rules(tmp_path / "content", a="def rule(event):\n    return False\n")
        (content / "queries").mkdir()
        spec = {"QueryName": "Endless", "SnowflakeQuery": self.QUERIES[query]}
        if command == "query":
            spec |= {"AnalysisType": "saved_query"}
        else:
            schedule = {"RateMinutes": 60, "TimeoutMinutes": 5}
            spec |= {"AnalysisType": "scheduled_query", "Enabled": True, "Schedule": schedule}
        (content / "queries/endless.yml").write_text(yaml.safe_dump(spec))
        name = ["Endless"] if command == "query" else []
        process = started(
            [COMMAND, command, *name, trail, "--content", content],
            cwd=REPO,
            env=os.environ | {"TMPDIR": str(temporary)},
        )
        assert eventually(lambda: busy_seconds(process.pid) > 3 or process.poll() is not None, 60)
        assert process.poll() is None, process.communicate()
        below = all_below(process.pid)
        process.send_signal(stop)
        _, err = process.communicate(timeout=10)
        if stop != signal.SIGKILL:
            assert err.splitlines()[-1] == b"interrupted" and b"Traceback" not in err
        assert process.returncode == (-9 if stop == signal.SIGKILL else 1)
        assert eventually(lambda: not any(map(is_running, below)), 2)
        assert eventually(lambda: not list(temporary.iterdir()), 2)


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
        below = all_below(process.pid)
        process.send_signal(stop)
        _, err = process.communicate(timeout=30)
        assert b"Traceback" not in err
        assert process.returncode == (-9 if stop == signal.SIGKILL else 1)
        assert eventually(lambda: not any(map(is_running, below)), 2)
        assert eventually(lambda: not list(temporary.iterdir()), 2)

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


@pytest.mark.attack("kills")
def test_the_report_and_cache_of_a_killed_replay_are_valid(tmp_path, record_property):
    """The report is the old or the new one, and the cache is right or empty."""
    trail = simulated(tmp_path / "t.jsonl")
    report = tmp_path / "out" / "report.html"
    report.parent.mkdir()
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [COMMAND, "replay", trail, "--report", report, "--format", "json"]

    def run() -> bytes:
        done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    begun = time.monotonic()
    right = run()
    takes, moments = time.monotonic() - begun, random.Random(5)
    record_property("tried", tries := examples(5, 200))
    for _ in range(tries):
        report.write_text("old")
        process = started(command, cwd=REPO, env=environment)
        time.sleep(moments.uniform(0.2, 1) * takes)
        process.kill()
        process.communicate(timeout=30)
        assert eventually(lambda: len(list(report.parent.iterdir())) == 1)
        text = report.read_text()
        assert text == "old" or text.rstrip().endswith("</html>")
    assert run() == right


@pytest.mark.attack("kills")
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["simulate", "trail.jsonl", "--force", "--background", "3000"], "trail.jsonl"),
        (["replay", "t.jsonl", "--write-expected", "expected.yml"], "expected.yml"),
        (["test", "--junit", "junit.xml"], "junit.xml"),
    ],
)
def test_a_file_that_a_killed_command_writes_is_the_old_or_the_new_one(
    tmp_path, arguments, name, record_property
):
    simulated(tmp_path / "t.jsonl")
    write_rules(tmp_path, role="def rule(event):\n    return event.get('errorCode') is not None\n")
    command, file = [COMMAND, *arguments], tmp_path / name
    for _ in range(2):  # the first run fills the cache
        begun = time.monotonic()
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    takes, moments = time.monotonic() - begun, random.Random(29)
    right = file.read_bytes()
    record_property("tried", tries := examples(4, 200))
    for number in range(tries):
        file.write_bytes(b"old")
        before = file.stat(), {*tmp_path.iterdir()}
        process = started(command, cwd=tmp_path)
        if number % 2:  # as soon as something changes in the folder, or a moment later
            while process.poll() is None and before == (file.stat(), {*tmp_path.iterdir()}):
                time.sleep(0.0005)
            time.sleep(moments.uniform(0, 0.002))
        else:
            time.sleep(moments.uniform(0.3, 1.1) * takes)
        process.kill()
        process.communicate(timeout=30)
        # The process that writes for a command in the box may exit a moment after it.
        assert eventually(lambda: file.read_bytes() in (b"old", right))
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    assert file.read_bytes() == right
