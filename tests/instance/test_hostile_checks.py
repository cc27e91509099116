"""Hostile bodies in uploads harm their own upload and nothing else."""

import json
import os
import signal
import subprocess
import time

import pytest
import yaml

from local_panther.instance.check import checker
from local_panther.instance.http.server import running
from tests.instance.conftest import TOKEN, Client, archive
from tests.instance.servers import eventually, is_running, processes_with, server
from tests.instance.test_uploads import BODY, RULE, one_rule
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


FORGE = """
import atexit, json, os, sys
result = sys.argv[4]
def forge():
    {action}
    os._exit(0)
atexit.register(forge)
def rule(event):
    return True
"""
ITEM = {"kind": "rule", "spec": "rules/Test.Rule.yml", "body": "rules/Test.Rule.py", "digest": "x"}


def forged(action: str) -> bytes:
    return archive(one_rule(FORGE.format(action=action)))


def forged_result(**changes) -> bytes:
    result = {"problems": [], "items": {"Test.Rule": ITEM | changes}, "files": {}}
    return forged(f"open(result, 'w').write({json.dumps(result)!r})")


class TestForgedResults:
    """Results that uploaded code has written itself: no path in them is trusted."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"spec": "../../outside.yml"},
            {"spec": "/etc/hostname"},
            {"spec": "rules/../../outside.yml"},
            {"body": "../state.json"},
            {"body": "rules/.."},
            {"body": "rules/./Test.Rule.py"},
            {"body": "queries/Test.Rule.py"},
            {"spec": "rules/Test.Rule.py"},
            {"spec": "rules/a\0b.yml"},
            {"spec": ""},
            {"kind": "nonsense"},
            {"kind": "policy"},
            {"spec": 7},
            {"digest": []},
        ],
        ids=str,
    )
    def test_a_forged_result_with_invalid_fields_is_refused(self, instance, changes):
        assert instance.upload(archive({"queries/q.yml": QUERY}))["status"] == "COMPLETED"
        message = instance.refused(forged_result(**changes))
        assert "invalid result" in message or "the check failed" in message
        assert set(stored(instance)) == {"q"}

    def test_a_body_that_replaces_a_file_by_a_link_is_refused(self, instance, tmp_path):
        (tmp_path / "secret").write_text("a secret")
        action = (
            "path = os.path.join(sys.argv[3], 'rules', 'Test.Rule.py'); os.remove(path); "
            f"os.symlink({str(tmp_path / 'secret')!r}, path)"
        )
        assert "cannot be stored" in instance.refused(forged(action))

    def test_a_body_that_replaces_a_folder_by_a_link_is_refused(self, instance, tmp_path):
        (tmp_path / "rules").mkdir()
        action = (
            "import shutil; path = os.path.join(sys.argv[3], 'rules'); shutil.rmtree(path); "
            f"os.symlink({str(tmp_path / 'rules')!r}, path)"
        )
        assert "cannot be stored" in instance.refused(forged(action))

    @pytest.mark.parametrize("what", ["os.mkfifo(result)", "os.symlink('/dev/zero', result)"])
    def test_a_result_that_is_not_a_file_is_not_waited_for(self, instance, what):
        action = f"os.path.lexists(result) and os.remove(result); {what}"
        assert "the check failed" in instance.refused(forged(action))

    def test_a_body_cannot_change_other_stored_items(self, instance):
        """A body that changes and removes other items in the candidate."""
        body = BODY + "\n# the original\n"
        assert instance.upload(archive(one_rule(body)))["status"] == "COMPLETED"
        action = (
            "other = os.path.join(sys.argv[3], 'rules', 'Test.Rule.py'); "
            "open(other, 'w').write('# changed'); "
            "os.remove(other.replace('.py', '.yml'))"
        )
        files = one_rule(FORGE.format(action=action), RuleID="Other.Rule")
        instance.upload(archive(files))
        query = '{rulePythonBody(input: "Test.Rule") {pythonBody}}'
        assert instance.ask(query)["pythonBody"] == body


QUERY = yaml.safe_dump({"AnalysisType": "saved_query", "QueryName": "q", "Query": "select 1"})


def stored(instance) -> dict:
    return json.loads(instance.files()["state.json"])["items"]


class TestMergeKeys:
    """YAML that is small once loaded, but expands exponentially while it is loaded."""

    def bomb(self) -> str:
        lines = ["a0: &a0 {x: 1, y: 2}"]
        lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12)]
        return "\n".join(lines)

    def test_merge_keys_that_expand_without_end_are_refused_in_an_upload(self, instance):
        text = yaml.safe_dump(RULE) + self.bomb()
        found = instance.refused(archive(one_rule() | {"rules/rule.yml": text}))
        assert "rules/rule.yml: has too many values" in found

    def test_merge_keys_that_expand_without_end_are_refused_in_a_correlation_rule(self, instance):
        text = "mutation($i: TestCorrelationRuleYAMLInput!) "
        text += "{testCorrelationRuleYAML(input: $i) {results {name}}}"
        started = time.monotonic()
        (error,) = instance.send(text, i={"yaml": self.bomb()})["errors"]
        assert "has too many values" in error["message"]
        assert (
            time.monotonic() - started < 20
        )  # not a test of speed: without the limit it takes hours

    def test_deeply_nested_yaml_is_refused(self, instance):
        text = "mutation($i: TestCorrelationRuleYAMLInput!) "
        text += "{testCorrelationRuleYAML(input: $i) {results {name}}}"
        (error,) = instance.send(text, i={"yaml": "[" * 100_000})["errors"]
        assert "nested more than" in error["message"]

    def test_ordinary_merge_keys_are_loaded(self, instance):
        text = yaml.safe_dump({k: v for k, v in RULE.items() if k != "Severity"})
        text += "Tests:\n  - &t {Name: a, ExpectedResult: true, Log: {a: 1}}\n"
        text += "  - {<<: *t, Name: b}\nSeverity: Low\n"
        found = instance.upload(archive(one_rule() | {"rules/rule.yml": text}))
        assert found["status"] == "COMPLETED", found


def test_an_upload_after_many_hostile_ones_is_accepted(instance, monkeypatch):
    monkeypatch.setattr(checker, "CHECK_SECONDS", 3)
    bodies = ["import os; os.kill(os.getpid(), 9)", "import os; os._exit(0)", "while True: pass"]
    bodies += ["import os, signal; os.kill(0, signal.SIGKILL)", "import sys; sys.exit(0)"]
    for number in range(examples(5, 25)):
        instance.refused(archive(one_rule(bodies[number % len(bodies)])))
    assert instance.upload(archive(one_rule()))["result"]["rules"]["new"] == 1
