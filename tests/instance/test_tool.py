"""The unmodified panther_analysis_tool against a running instance, and `local-panther test`."""

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from local_panther.errors import ContentError
from local_panther.instance.store.index import stored_content
from local_panther.instance.store.library import Library
from tests.builders.correlations import FIELD, sequence
from tests.builders.environments import clean_environment
from tests.builders.replays import replayed, search_alerts, simulated, started
from tests.instance.conftest import TOKEN, archive
from tests.instance.servers import server

pytestmark = pytest.mark.process

BIN = Path(sys.executable).parent
RULE = """
AnalysisType: rule
RuleID: A
Enabled: true
Filename: a.py
LogTypes: [AWS.CloudTrail]
Severity: Info
"""
HUNT = "aws_role_escalation_hunt_query"
SUCCEEDED = "aws_role_escalation_succeeded_query"
CORRELATION = "correlation_rules/aws_list_roles_with_multiple_failed_role_attempts.yml"


def run(*command, cwd, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        [BIN / command[0], *map(str, command[1:])],
        cwd=cwd,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def tool(instance, content_copy, tmp_path):
    """Run panther_analysis_tool on the content with the instance's address and token."""

    def tool(*arguments, token=TOKEN):
        out = ["--out", str(tmp_path / "out")] if arguments[0] == "upload" else []
        instance_of = {"PANTHER_API_HOST": instance.url, "PANTHER_API_TOKEN": token}
        done = run("panther_analysis_tool", *arguments, *out, cwd=content_copy, **instance_of)
        return done.returncode, done.stdout + done.stderr

    return tool


def test_content_is_validated_uploaded_replayed_and_deleted(tool, instance, tmp_path):
    status, out = tool("check-connection")
    assert status == 0 and "connection successful" in out

    status, out = tool("validate")
    assert status == 0 and "Validation success" in out

    status, out = tool("upload")
    assert status == 0 and "Upload succeeded" in out
    assert "Skipped: 0" in out and "New: 5" in out and "Correlation Rules" in out

    status, out = tool("upload")
    assert status == 0 and "New: 0" in out and "Total: 5" in out and "New: 5" not in out

    content = stored_content(instance.state)
    for last in (False, True):  # by the streaming rule, and by the correlation rule
        trail = simulated(tmp_path / f"trail-{last}", discovery_last=last)
        (alert,) = search_alerts(replayed(trail, content=content))
        assert (alert.metadata.analysis_type == "correlation_rule") == last

    rule = "AWS.CloudTrail.IAMListRoles"
    status, out = tool("delete", "--no-confirm", "--analysis-id", rule)
    assert status == 0 and "1 detections" in out
    assert not (stored_content(instance.state) / "rules" / f"{rule}.yml").exists()


def test_a_problem_is_reported_with_file_and_field(tool, content_copy):
    rule = content_copy / "rules" / "aws_cloudtrail_rules" / "aws_iam_list_roles.py"
    rule.write_text("import no_such_module\n")
    for command in ("validate", "upload"):
        skip = ["--skip-tests"] if command == "upload" else []
        status, out = tool(command, *skip)
        assert status == 1
        assert "rules/aws_cloudtrail_rules/aws_iam_list_roles.yml" in out
        assert "Filename: import failed: ModuleNotFoundError" in out


def alone(name, content) -> list[str]:
    """Put a query, or the macros, into a folder of its own; return the options that select it."""
    folder = content / name / "queries"
    folder.mkdir(parents=True)
    shutil.copy(content / "queries" / f"{name}.yml", folder)
    return ["--path", name]


@pytest.mark.parametrize(
    "name, chosen",
    [
        (SUCCEEDED, lambda _: ["--filter", "AnalysisType=scheduled_query"]),
        (HUNT, lambda content: alone(HUNT, content)),
    ],
)
def test_a_query_without_the_macros_that_it_imports_is_refused(
    tool, instance, content_copy, name, chosen
):
    arguments = chosen(content_copy)
    for command in (["validate"], ["upload", "--skip-tests"]):
        status, out = tool(*command, *arguments)
        assert status == 1 and not instance.files() and f"queries/{name}.yml" in out
        missing = r"SnowflakeQuery, line \d+: imports role_settings, role_calls, role_windows"
        assert re.search(missing, out)
        assert "from the query 'aws_role_macros', which is missing" in " ".join(out.split())


def test_a_query_alone_is_accepted_once_its_macros_are_stored(tool, instance, content_copy):
    for name in ("aws_role_macros", HUNT):
        status, out = tool("upload", "--skip-tests", *alone(name, content_copy))
        assert status == 0 and "Upload succeeded" in out
    assert (stored_content(instance.state) / "queries/AWS Role Escalation Hunt.yml").is_file()


def test_a_wrong_token_is_reported(tool, instance):
    status, out = tool("upload", "--skip-tests", token="wrong")
    assert status == 1 and "token is missing or wrong" in out and not instance.files()


class TestLocalTest:
    def test_the_tests_of_every_correlation_rule_run(self, content_copy):
        done = run("local-panther", "test", cwd=content_copy)
        assert done.returncode == 0
        assert "Passed: 7" in done.stdout and "Skipped: 0" in done.stdout
        assert "Several principals, one of which does both" in done.stdout

    def test_a_correlation_test_with_a_wrong_expectation_fails(self, content_copy):
        path = content_copy / CORRELATION
        spec = yaml.safe_load(path.read_text())
        spec["Tests"][0]["ExpectedResult"] = False
        path.write_text(yaml.safe_dump(spec))
        done = run("local-panther", "test", cwd=content_copy)
        assert done.returncode == 1
        assert "FAIL" in done.stdout and "Failed: 1" in done.stdout

    def test_an_invalid_correlation_rule_fails_with_the_reason(self, content_copy):
        path = content_copy / CORRELATION
        text = path.read_text()
        text = re.sub(r"LookbackWindowMinutes: \d+", "LookbackWindowMinutes: 9", text)
        path.write_text(text)
        done = run("local-panther", "test", cwd=content_copy)
        assert done.returncode == 1
        assert "LookbackWindowMinutes: 9 is not between 15 and 21600" in done.stdout

    def test_arguments_of_test_are_passed_to_the_tool(self, content_copy):
        done = run("local-panther", "test", "--filter", "Severity=Info", cwd=content_copy)
        assert done.returncode == 0 and "Passed: 1" in done.stdout
        helped = run("local-panther", "test", "--help", cwd=content_copy)
        assert "Validate analysis specifications" in helped.stdout

    def test_another_content_repository_can_be_tested(self, tmp_path):
        """Simple detections, inline filters and sequences of another repository."""
        rules = tmp_path / "rules"
        rules.mkdir()
        simple = {
            "AnalysisType": "rule",
            "RuleID": "Rule.a",
            "Enabled": True,
            "LogTypes": ["Okta.SystemLog"],
            "Severity": "Low",
            "Detection": [{"KeyPath": "actor.id", "Condition": "Equals", "Value": "x"}],
            "InlineFilters": [{"KeyPath": "kind", "Condition": "Equals", "Value": "login"}],
            "Tests": [
                {
                    "Name": "hit",
                    "ExpectedResult": True,
                    "Log": {"kind": "login", "actor": {"id": "x"}},
                },
                {"Name": "kept out", "ExpectedResult": False, "Log": {"actor": {"id": "x"}}},
            ],
        }
        matches = [{"ID": s, "Matches": {FIELD: {"eve": [i]}}} for i, s in enumerate("ab")]
        tests = [{"Name": "chain", "ExpectedResult": True, "RuleOutputs": matches}]
        chain = sequence("a", "b") | {"Tests": tests}
        (rules / "simple.yml").write_text(yaml.safe_dump(simple))
        other = {key: value for key, value in simple.items() if key != "Tests"}
        (rules / "other.yml").write_text(yaml.safe_dump(other | {"RuleID": "Rule.b"}))
        (tmp_path / "correlation_rules").mkdir()
        (tmp_path / "correlation_rules" / "chain.yml").write_text(yaml.safe_dump(chain))
        done = run("local-panther", "test", cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Passed: 3" in done.stdout and "Skipped: 0" in done.stdout
        assert "kept out" in done.stdout


class TestServe:
    def start(self, folder, *arguments, token=None):
        command = [BIN / "local-panther", "serve", "--port", "0", *arguments]
        environment = {k: v for k, v in os.environ.items() if k != "PANTHER_API_TOKEN"}
        environment |= {"PANTHER_API_TOKEN": token} if token else {}
        return started(command, cwd=folder, env=environment, text=True)

    def upload_to(self, process, state, content):
        """Start an upload, and return while the server is working on it."""
        host = process.stdout.readline().strip().split("=", 1)[1]
        environment = os.environ | {"PANTHER_API_HOST": host, "PANTHER_API_TOKEN": "token"}
        command = [BIN / "panther_analysis_tool", "upload", "--max-retries", "0"]
        command += ["--out", content.parent]
        upload = started(command, cwd=content, env=environment, text=True)
        deadline = time.monotonic() + 60
        while not list(state.glob(".upload-*/unpacked/*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        return upload

    @pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
    def test_a_stop_during_an_upload_keeps_the_whole_upload_or_nothing(
        self, tmp_path, content_copy, stop
    ):
        state = tmp_path / "kept"
        process = self.start(tmp_path, "--state", "kept", token="token")
        upload = self.upload_to(process, state, content_copy)
        process.send_signal(stop)
        process.communicate(timeout=30)
        upload.communicate(timeout=60)
        left = {path.name for path in state.glob("[!a]*")}  # without the alerts
        assert "state.json" in left or upload.returncode != 0
        if stop == signal.SIGINT:
            assert process.returncode == 0 and left in (set(), {"state.json", ".content-1"})

        process = self.start(tmp_path, "--state", "kept", token="token")
        upload = self.upload_to(process, state, content_copy)
        out, _ = upload.communicate(timeout=60)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert "Total: 5" in out and upload.returncode == 0
        assert len(list(state.glob(".content-*"))) == 1 and len(list(state.glob("[!a]*"))) == 2

    @pytest.mark.parametrize("name", ["build", "rules"])
    def test_a_state_inside_a_repository_is_not_content_of_it(self, tmp_path, content_copy, name):
        state = content_copy / name / "state"
        state.parent.mkdir(exist_ok=True)
        with server(state) as running:
            for _ in range(2):
                done = run(
                    *("panther_analysis_tool", "upload", "--skip-tests", "--out", tmp_path),
                    cwd=content_copy,
                    PANTHER_API_HOST=running.client.url,
                    PANTHER_API_TOKEN=TOKEN,
                )
                assert done.returncode == 0, done.stdout + done.stderr
        done = run("local-panther", "test", "--show-failures-only", cwd=content_copy)
        assert done.returncode == 0 and "Invalid: 0" in done.stdout, done.stdout + done.stderr
        outcome = replayed(simulated(tmp_path / "trail", ordinary=0), content=content_copy)
        assert outcome.complete and not outcome.content.unread

    def test_a_content_folder_of_an_older_version_is_read(self, tmp_path):
        state = tmp_path / "state"
        library = Library(state)
        archived = archive({"rules/a.yml": RULE, "rules/a.py": "def rule(_):\n    return True\n"})
        assert not library.upload(base64.b64encode(archived).decode()).problems
        library.close()
        (content,) = state.glob(".content-*")
        older = state / content.name.removeprefix(".")
        content.rename(older)
        index = (state / "state.json").read_text()
        (state / "state.json").write_text(index.replace(content.name, older.name))
        library = Library(state)
        assert stored_content(state) == older and list(library.items) == ["A"]
        library.close()

    def test_a_folder_that_is_not_a_state_is_left_unchanged(self, tmp_path):
        (tmp_path / "content-1").mkdir()
        (tmp_path / "content-1" / "mine").write_text("")
        with pytest.raises(ContentError, match="holds files but no uploads"):
            Library(tmp_path)
        assert (tmp_path / "content-1" / "mine").exists()

    @pytest.mark.parametrize("index", ["{", "[]", '{"items": 7, "content": "content-1"}'])
    def test_serve_with_an_invalid_index_exits_with_2_and_leaves_it_unchanged(
        self, tmp_path, index
    ):
        (tmp_path / "state.json").write_text(index)
        done = run("local-panther", "serve", "--port", "0", "--state", tmp_path, cwd=tmp_path)
        assert done.returncode == 2 and "invalid index of uploads" in done.stderr
        assert (tmp_path / "state.json").read_text() == index

    def test_a_given_token_is_not_printed(self, tmp_path):
        process = self.start(tmp_path, token="my token")
        assert process.stdout.readline().startswith("export PANTHER_API_HOST=")
        process.send_signal(signal.SIGINT)
        assert "my token" not in "".join(process.communicate(timeout=20))

    def test_two_lines_to_copy_are_printed_and_the_server_stops_cleanly(self, tmp_path):
        process = self.start(tmp_path, "--state", "kept")
        lines = [process.stdout.readline() for _ in range(2)]
        settings = dict(line.strip().removeprefix("export ").split("=", 1) for line in lines)
        assert settings["PANTHER_API_HOST"].startswith("http://127.0.0.1:")
        done = run("panther_analysis_tool", "check-connection", cwd=tmp_path, **settings)
        assert done.returncode == 0
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=20)
        assert process.returncode == 0 and "stopped; uploads are in kept" in messages
        assert "Traceback" not in messages

    def test_a_missing_token_is_generated(self, tmp_path):
        process = self.start(tmp_path)
        process.stdout.readline()
        token = process.stdout.readline().split("=")[1].strip()
        process.terminate()
        process.communicate(timeout=20)
        assert len(token) >= 32

    def test_serve_on_a_port_in_use_exits_with_2(self, tmp_path, instance):
        port = instance.url.split(":")[2].split("/")[0]
        done = run("local-panther", "serve", "--port", port, cwd=tmp_path)
        assert done.returncode == 2 and f"port {port}" in done.stderr


def test_a_copied_repository_needs_no_git_and_no_settings(content_copy):
    (content_copy / ".panther_settings.yml").unlink()
    shutil.rmtree(content_copy / "data_models")
    done = run("local-panther", "test", cwd=content_copy)
    assert done.returncode == 0, done.stdout
