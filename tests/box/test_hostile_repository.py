"""A repository that reads secrets, connects, writes, forks and prints leaks and changes nothing."""

import ctypes
import json
import os
import socket
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.builders.content import write_lines
from tests.builders.events import call
from tests.cli.test_command_line import COMMAND
from tests.instance.conftest import archive
from tests.instance.servers import eventually, server

pytestmark = [pytest.mark.attack("content"), pytest.mark.process]
SECRET = "a-secret-of-the-user"
SECRETS = {"PANTHER_WEBHOOK_SECRET": SECRET, "AWS_SECRET_ACCESS_KEY": SECRET, "MY_TOKEN": SECRET}

ACTIONS = {
    "asks": "urllib.request.urlopen('http://127.0.0.1:{port}/')",
    "dials": "socket.create_connection(('127.0.0.1', {port}))",
    "sends": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))",
    "listens": "socket.create_server(('127.0.0.1', 0))",
    "writes": "open('{home}/written', 'w')",
    "removes": "os.remove('{home}/there')",
    "renames": "os.rename('{home}/there', '{home}/elsewhere')",
    "links": "os.symlink('{home}/there', '{home}/linked')",
    "makes": "os.mkdir('{home}/made')",
    "stores": "sqlite3.connect('{home}/stored').execute('CREATE TABLE t (a)')",
    "forks": "os.fork() or os._exit(0)",
    "runs": "subprocess.run(['touch', '{home}/touched'])",
    "shells": "os.system('touch {home}/shelled')",
    "kills": "os.kill(os.getppid(), 0)",
}
PAST_PYTHON = {
    "creates": "ctypes.CDLL(None).creat(b'{home}/created', 0o600)",
    "shells": "ctypes.CDLL(None).system(b'touch {home}/shelled')",
    "opens": "ctypes.CDLL(None).socket(2, 1, 0)",
}
BODY = """import asyncio, ctypes, os, socket, sqlite3, subprocess, sys, urllib.request
def tried(action):
    try:
        return action()
    except Exception:
        return None
{before}
def rule(event):
    print("\\x1b]0;owned\\x07")
    {actions}
    return True
def title(event):
    with open("/proc/self/environ", errors="replace") as file:
        return str(sorted(os.environ.items())) + file.read()
"""
SPEC = {
    "AnalysisType": "rule",
    "RuleID": "Hostile.Rule",
    "Filename": "hostile.py",
    "Enabled": True,
    "Severity": "Info",
    "LogTypes": ["AWS.CloudTrail"],
    "Tests": [{"Name": "one", "ExpectedResult": True, "Log": {"eventName": "ListRoles"}}],
}


class Place:
    """A home folder, a listening socket, and a repository that attacks both."""

    def __init__(self, folder: Path, actions: dict[str, str], *, at_import: bool = False) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / "there").write_text("there")
        self.calls: list[object] = []
        self.environment = os.environ | SECRETS | {"HOME": str(self.home)}
        self._actions, self._at_import = actions, at_import

    @contextmanager
    def open(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            threading.Thread(target=self._listen, args=(listener,), daemon=True).start()
            rules = self.folder / "content" / "rules"
            rules.mkdir(parents=True)
            for name, text in self.files().items():
                (rules.parent / name).write_text(text)
            write_lines(self.folder / "trail.jsonl", [call("ListRoles")])
            yield self
            listener.shutdown(socket.SHUT_RDWR)

    def _listen(self, listener: socket.socket) -> None:
        try:
            while True:
                connection, _ = listener.accept()
                self.calls.append(connection.getpeername())
                connection.close()  # or the client would wait for an answer
        except OSError:
            pass

    def files(self) -> dict[str, str]:
        names = {"port": self.port, "home": self.home}
        lines = [f"tried(lambda: {a.format(**names)})" for a in self._actions.values()]
        before = "\n".join(lines) if self._at_import else ""
        actions = "pass" if self._at_import else "\n    ".join(lines)
        body = BODY.format(before=before, actions=actions)
        return {"rules/hostile.yml": yaml.safe_dump(SPEC), "rules/hostile.py": body}

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *map(str, arguments)],
            cwd=self.folder / "content",
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    @property
    def is_untouched(self) -> bool:
        files = sorted(path.name for path in self.home.iterdir() if path.name != ".cache")
        return files == ["there"] and not self.calls


def has_landlock() -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(444, None, ctypes.c_size_t(0), 1) > 0


@pytest.fixture
def place(tmp_path):
    with Place(tmp_path, ACTIONS).open() as found:
        yield found


class TestReplay:
    def test_a_replay_refuses_and_reports_every_attempt(self, place, record_property):
        record_property("tried", len(ACTIONS))
        done = place.run("replay", place.folder / "trail.jsonl", "--report", "../report.html")
        assert place.is_untouched and done.returncode == 1
        page = (place.folder / "report.html").read_text()
        assert SECRET not in done.stdout + done.stderr + page
        assert "\x1b" not in done.stdout + done.stderr
        refused = [line for line in done.stderr.splitlines() if line.startswith("refused: ")]
        assert len(refused) == len(ACTIONS), done.stderr
        assert all(line.startswith("refused: Hostile.Rule, line ") for line in refused)
        assert any(f"a connection to 127.0.0.1:{place.port}" in line for line in refused)
        assert any(f"writing {place.home}/written" in line for line in refused)

    def test_trusted_content_is_refused_nothing(self, place):
        """Shows that the attempts succeed without the box."""
        done = place.run("replay", place.folder / "trail.jsonl", "--trust-content")
        assert "refused" not in done.stderr and not place.is_untouched
        assert place.calls and (place.home / "touched").exists()

    def test_an_uncaught_refusal_is_an_error_of_the_rule(self, tmp_path):
        with Place(tmp_path, {"dials": "1"}).open() as place:
            body = "import socket\ndef rule(event):\n"
            body += f"    socket.create_connection(('127.0.0.1', {place.port}))\n"
            (tmp_path / "content/rules/hostile.py").write_text(body)
            place.environment["COLUMNS"] = "400"
            done = place.run("replay", tmp_path / "trail.jsonl")
        text = f"a connection to 127.0.0.1:{place.port}: content may not do this"
        assert text in done.stdout and "rules/hostile.py, line 3" in done.stdout

    @pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock")
    def test_the_kernel_refuses_attempts_that_bypass_python(self, tmp_path, record_property):
        record_property("tried", len(PAST_PYTHON))
        with Place(tmp_path, PAST_PYTHON).open() as place:
            place.run("replay", tmp_path / "trail.jsonl")
            assert place.is_untouched
            place.run("replay", tmp_path / "trail.jsonl", "--trust-content")
            assert not place.is_untouched

    def test_only_named_open_files_are_inherited(self, tmp_path):
        actions = {
            "lists": "print([os.path.realpath('/proc/self/fd/' + str(n)) for n in range(3, 20)])"
        }
        with Place(tmp_path, actions).open() as place:
            line = f"{COMMAND} replay /dev/fd/8 7< {place.home}/there 8< {tmp_path}/trail.jsonl"
            done = subprocess.run(
                ["bash", "-c", line],
                cwd=tmp_path / "content",
                env=place.environment,
                capture_output=True,
                text=True,
                timeout=120,
            )
        assert "read 1 record" in done.stdout and "trail.jsonl'" in done.stderr
        assert "there'" not in done.stderr


def test_tune_runs_in_the_box(place):
    place.run("tune", place.folder / "trail.jsonl")
    assert place.is_untouched


def test_unit_tests_are_refused_every_attempt_and_fail(place, record_property):
    record_property("tried", len(ACTIONS))
    done = place.run("test")
    assert place.is_untouched and done.returncode == 1
    assert SECRET not in done.stdout + done.stderr
    refused = [line for line in done.stderr.splitlines() if ": refused: " in line]
    assert len(refused) == len(ACTIONS), done.stderr
    assert place.run("test", "--trust-content").returncode == 0 and not place.is_untouched


SETTINGS = """import os, socket, sqlite3, subprocess, urllib.request
def tried(action):
    try:
        return action()
    except Exception:
        return None
{actions}
THRESHOLD = 6 if "MY_TOKEN" in os.environ else 5
"""


class WithSettings(Place):
    """A place whose rule has a comment about a setting; comparing it runs the settings file."""

    def files(self):
        names = {"port": self.port, "home": self.home}
        lines = [f"tried(lambda: {a.format(**names)})" for a in self._actions.values()]
        comment = "Threshold: 5 # must equal hostile_config.THRESHOLD\n"
        return {
            "rules/quiet.yml": yaml.safe_dump(SPEC | {"Filename": "quiet.py"}) + comment,
            "rules/quiet.py": "def rule(event):\n    return True\n",
            "rules/hostile_config.py": SETTINGS.format(actions="\n".join(lines)),
        }


@pytest.mark.parametrize("command", ["test", "replay", "set"])
def test_settings_files_are_refused_every_attempt_while_they_are_compared(
    tmp_path, command, record_property
):
    record_property("tried", len(ACTIONS))
    with WithSettings(tmp_path, ACTIONS).open() as place:
        trail = [place.folder / "trail.jsonl"] if command == "replay" else []
        done = place.run(command, *trail)
        assert place.is_untouched, done.stderr
        assert "must equal" not in done.stderr  # compared without seeing the token


@pytest.mark.parametrize("command", ["test", "replay"])
def test_settings_files_of_trusted_content_see_the_environment(tmp_path, command):
    with WithSettings(tmp_path, {}).open() as place:
        trail = [place.folder / "trail.jsonl"] if command == "replay" else []
        done = place.run(command, *trail, "--trust-content")
        assert "5 must equal 6, which is hostile_config.THRESHOLD" in done.stderr


def test_content_is_refused_attempts_while_it_is_checked_before_tests(tmp_path, record_property):
    record_property("tried", len(ACTIONS))
    with Place(tmp_path, ACTIONS, at_import=True).open() as place:
        done = place.run("test")
        assert place.is_untouched and done.returncode == 1
        assert f": writing {place.home}/written" in done.stderr


def test_content_that_exits_during_its_check_is_reported(tmp_path):
    actions = {"ends": "ctypes.CDLL(None)._exit(0)"}
    with Place(tmp_path, actions, at_import=True).open() as place:
        done = place.run("test")
        assert done.returncode != 0 and "Traceback" not in done.stderr
        assert "the content ended the process that checks it" in done.stderr


def test_an_upload_is_refused_attempts_while_it_is_imported(tmp_path, record_property):
    record_property("tried", len(ACTIONS))
    with Place(tmp_path, ACTIONS, at_import=True).open() as place:
        with server(tmp_path / "state", **SECRETS, HOME=str(place.home)) as running:
            message = running.client.refused(archive(place.files()))
        assert place.is_untouched
    assert f"writing {place.home}/written" in message and SECRET not in message


def test_an_upload_is_refused_attempts_while_it_is_replayed(place, record_property):
    record_property("tried", len(ACTIONS))
    options = ("--replay", str(place.folder / "trail.jsonl"))
    with server(place.folder / "state", *options, **SECRETS, HOME=str(place.home)) as running:
        assert running.client.upload(archive(place.files()))["status"] == "COMPLETED"
        assert eventually(lambda: running.client.get("/alerts")["results"], 60)
        found = json.dumps(running.client.get("/alerts"))
        _, messages = running.end()
    assert place.is_untouched and SECRET not in found + messages
    assert messages.count("replay: refused: Hostile.Rule, line ") == len(ACTIONS)


LEGITIMATE = """import asyncio, os, tempfile
import boto3, requests
from panther_detection_helpers.caching import get_counter, increment_counter
async def one():
    return 1
def rule(event):
    with tempfile.NamedTemporaryFile("w+") as file:
        file.write("x")
        file.seek(0)
        assert file.read() == "x" and open(os.devnull, "w").write("x")
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="example")
    assert [b["Name"] for b in client.list_buckets()["Buckets"]] == ["example"]
    return increment_counter("example") >= 1 and asyncio.run(one()) == 1
"""


def test_legitimate_content_works_in_the_box(tmp_path):
    with Place(tmp_path, {}).open() as place:
        (tmp_path / "content/rules/hostile.py").write_text(LEGITIMATE)
        done = place.run("replay", tmp_path / "trail.jsonl", "--format", "json")
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["rule_id"] == "Hostile.Rule"


def test_requests_that_a_unit_test_mocks_are_allowed(tmp_path):
    with Place(tmp_path, {}).open() as place:
        test = SPEC["Tests"][0] | {"Mocks": [{"objectName": "asked", "returnValue": "yes"}]}
        rules = tmp_path / "content" / "rules"
        (rules / "hostile.yml").write_text(yaml.safe_dump(SPEC | {"Tests": [test]}))
        body = "import requests\ndef asked():\n    return requests.get('http://example.com').text\n"
        (rules / "hostile.py").write_text(f"{body}def rule(event):\n    return asked() == 'yes'\n")
        done = place.run("test")
        assert done.returncode == 0, done.stdout + done.stderr
