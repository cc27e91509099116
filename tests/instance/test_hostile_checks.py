"""Hostile bodies in uploads harm their own upload and nothing else."""

import os
import signal
import subprocess

import pytest

from local_panther.instance.check import checker
from local_panther.instance.http.server import running
from tests.instance.conftest import TOKEN, Client, archive
from tests.instance.servers import eventually, is_running, processes_with, server
from tests.instance.test_uploads import BODY, one_rule
from tests.scale import examples

pytestmark = [pytest.mark.attack("uploads"), pytest.mark.process]

# A usual daemon: two forks, a session of its own, standard streams kept open.
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        {more}
        with open({note!r}, "w") as file:
            file.write("started")
        os.execvp("sleep", ["sleep", {seconds!r}])
    os._exit(0)
os.wait()
while not os.path.exists({note!r}):
    time.sleep(0.01)
{then}
def rule(event):
    return True
"""


@pytest.fixture
def instance(tmp_path):
    """An instance that runs uploads without the box, so that only the guard limits them."""
    with running(tmp_path / "state", TOKEN, trust=True) as url:
        yield Client(url, tmp_path / "state")


def sleepers(seconds: str) -> list[int]:
    return processes_with(f"sleep\0{seconds}\0")


class TestDaemons:
    @pytest.mark.parametrize("more", ["pass", "os.close(0); os.close(1); os.close(2)"])
    def test_a_daemon_is_killed_with_the_check_which_does_not_wait_for_it(
        self, instance, tmp_path, more
    ):
        seconds = f"3{os.getpid()}.{len(more)}"
        note = str(tmp_path / "note")
        body = DAEMON.format(more=more, note=note, seconds=seconds, then="")
        assert instance.upload(archive(one_rule(body)))["result"]["rules"]["new"] == 1
        assert (tmp_path / "note").read_text() == "started"
        assert sleepers(seconds) == []

    @pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
    def test_a_daemon_is_killed_with_the_server(self, tmp_path, stop):
        """However the server stops, all processes of its check are gone two seconds later."""
        seconds = f"4{os.getpid()}.{int(stop)}"
        note = tmp_path / "note"
        then = "import time; time.sleep(300)"
        body = DAEMON.format(more="pass", note=str(note), seconds=seconds, then=then)
        state = tmp_path / "state"
        with server(state, "--trust-content") as found:
            text = "mutation($i: UploadDetectionEntitiesAsyncInput!) "
            text += "{uploadDetectionEntitiesAsync(input: $i) {receiptId}}"
            import base64

            data = base64.b64encode(archive(one_rule(body))).decode()
            found.client.ask(text, i={"data": data})
            assert eventually(note.exists, 30) and eventually(lambda: sleepers(seconds))
            checks = processes_with(str(state))
            status, messages = found.end(stop)
            assert status == (-9 if stop == signal.SIGKILL else 0)
            assert "Traceback" not in messages
            assert eventually(lambda: not sleepers(seconds), 2)
            assert eventually(lambda: not any(map(is_running, checks)), 2)
            assert eventually(lambda: not list(state.glob("[!a]*")), 3)


class TestLimits:
    def test_a_body_that_forks_without_end_is_stopped(self, instance):
        body = "import os, time\nwhile True:\n    os.fork()\n    time.sleep(0.001)\n"
        assert "processes" in instance.refused(archive(one_rule(body)))
        assert instance.upload(archive(one_rule()))["result"]["rules"]["new"] == 1

    def test_a_body_that_prints_without_end_is_stopped(self, instance, monkeypatch):
        monkeypatch.setattr(checker, "CHECK_SECONDS", 8)
        body = "import sys\nwhile True:\n    sys.stderr.write('x' * 10_000_000)\n"
        instance.refused(archive(one_rule(body)))
        assert not list(instance.state.glob(".upload-*"))

    def test_a_body_that_writes_a_file_without_end_is_stopped(self, instance, tmp_path):
        path = tmp_path / "large"
        body = f"with open({str(path)!r}, 'wb') as file:\n"
        body += "    while True:\n        file.write(bytes(10_000_000))\n"
        assert "File too large" in instance.refused(archive(one_rule(body)))
        assert path.stat().st_size <= 100 * 1024 * 1024

    def test_a_body_that_opens_files_without_end_is_stopped(self, instance):
        body = "found = []\nwhile True:\n    found.append(open('/dev/null'))\n"
        assert "Too many open files" in instance.refused(archive(one_rule(body)))

    def test_a_body_sees_no_secret_of_the_environment(self, instance, tmp_path, monkeypatch):
        secrets = ("AWS_SECRET_ACCESS_KEY", "PANTHER_API_TOKEN", "GITHUB_TOKEN", "MY_PASSWORD")
        for name in secrets:
            monkeypatch.setenv(name, "secret-value")
        seen = tmp_path / "seen"
        body = f"import os\nopen({str(seen)!r}, 'w').write(repr(dict(os.environ)))\n{BODY}"
        assert instance.upload(archive(one_rule(body)))["status"] == "COMPLETED"
        assert "PATH" in seen.read_text() and "secret-value" not in seen.read_text()

    def test_a_body_cannot_see_its_guard(self, instance):
        """In a process namespace of its own, the first process has no parent to signal."""
        if subprocess.run(["unshare", "--user", "--pid", "true"], capture_output=True).returncode:
            pytest.skip("this system does not allow process namespaces")
        body = "import os\nraise ValueError(f'the parent is {os.getppid()}')\n"
        assert "ValueError: the parent is 0" in instance.refused(archive(one_rule(body)))


def test_an_upload_after_many_hostile_ones_is_accepted(instance, monkeypatch):
    monkeypatch.setattr(checker, "CHECK_SECONDS", 3)
    bodies = ["import os; os.kill(os.getpid(), 9)", "import os; os._exit(0)", "while True: pass"]
    bodies += ["import os, signal; os.kill(0, signal.SIGKILL)", "import sys; sys.exit(0)"]
    for number in range(examples(5, 25)):
        instance.refused(archive(one_rule(bodies[number % len(bodies)])))
    assert instance.upload(archive(one_rule()))["result"]["rules"]["new"] == 1
