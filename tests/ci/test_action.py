"""The composite action: its steps, run as on a GitHub runner in a user's repository."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.builders import hostile
from tests.builders.actions import Runner
from tests.builders.events import CONTENT_FOLDERS, REPO
from tests.builders.replays import simulated
from tests.builders.wheels import SYSTEM
from tests.scale import FULL

pytestmark = pytest.mark.process

ACTION = yaml.safe_load((REPO / "action.yml").read_text())
STEPS = ACTION["runs"]["steps"]
RULE = "rules/aws_cloudtrail_rules/aws_iam_list_roles.yml"


CHECKS = "Check the inputs"


def runner(folder: Path, **inputs: str) -> Runner:
    given = {name: spec.get("default", "") for name, spec in ACTION["inputs"].items()} | inputs
    workspace, temp = folder / "workspace", folder / "temp"
    for path in (workspace, temp):
        path.mkdir()
    path = f"{Path(sys.executable).resolve().parent}:{SYSTEM}"
    environment = {"PATH": path, "HOME": str(temp), "LANG": "C.UTF-8"}
    context = {f"inputs.{name}": value for name, value in given.items()}
    return Runner(workspace, temp, environment, context)


@pytest.mark.skipif(not FULL, reason="make test-users runs it")
def test_the_template_is_green_at_its_first_run_in_a_repository_without_trails(tmp_path):
    template = yaml.safe_load((REPO / "examples/ci/.github/workflows/panther.yml").read_text())
    (own,) = (s for s in template["jobs"]["test"]["steps"] if "local-panther@" in s["uses"])
    job = runner(tmp_path, **own["with"] | {"replay": "", "expect": ""})  # as its comment says
    for name in CONTENT_FOLDERS:
        shutil.copytree(REPO / name, job.workspace / name)
    job.run(STEPS, GITHUB_ACTION_PATH=str(REPO))
    assert not job.failed, job.outputs
    assert "Replay CloudTrail" not in job.outputs
    assert "### Tests of the content" in job.summary


@pytest.mark.skipif(not FULL, reason="make test-users runs it")
class TestRun:
    """One run, from the installation to the summary, with content that has a failing test."""

    @pytest.fixture(scope="class")
    def job(self, tmp_path_factory) -> Runner:
        job = runner(tmp_path_factory.mktemp("action"), path="panther", replay="trails/\n\n")
        for name in CONTENT_FOLDERS:
            shutil.copytree(REPO / name, job.workspace / "panther" / name)
        rule = job.workspace / "panther" / RULE
        rule.write_text(rule.read_text().replace("ExpectedResult: true", "ExpectedResult: false"))
        (job.workspace / "trails").mkdir()
        simulated(job.workspace / "trails" / "attack.jsonl")
        job.run(STEPS, GITHUB_ACTION_PATH=str(REPO))
        return job

    def test_a_failed_test_fails_the_job_and_is_marked_in_its_file(self, job):
        assert job.failed == ["Test the content"], job.outputs
        assert f"::error file=panther/{RULE},line=" in job.outputs["Test the content"]

    def test_the_replay_runs_even_if_a_test_fails(self, job):
        assert "1 incident (1 HIGH)" in job.outputs["Replay CloudTrail"]

    def test_the_summary_shows_both_and_no_text_can_end_its_blocks(self, job):
        assert "### Tests of the content" in job.summary
        assert re.search(r"### Replay\n\n    read \d+ records in 1 file", job.summary)
        text = [line for line in job.summary.splitlines() if line and not line.startswith("#")]
        assert all(line.startswith("    ") for line in text)
        assert "\x1b" not in job.summary

    def test_the_artifact_has_the_report_and_the_results(self, job):
        upload = job.used[-1]
        assert upload["uses"].startswith("actions/upload-artifact@")
        names = {path.name for path in Path(upload["path"]).iterdir()}
        assert names == {"tests.xml", "tests.txt", "report.html", "replay.txt"}


def replayed(job: Runner, program: Path | None = None) -> str:
    """Run the replay step as if the action were installed, and return its output."""
    binaries = job.temp / "local-panther" / "bin"
    binaries.mkdir(parents=True)
    if program:
        (binaries / "local-panther").symlink_to(program)
    else:
        (binaries / "local-panther").write_text('#!/bin/sh\nprintf "<%s>" "$@"\n')
        (binaries / "local-panther").chmod(0o755)
    results = {"steps.install.outputs.results": str(job.temp)}
    job.context |= {"steps.install.outcome": "success", **results}
    job.run([step for step in STEPS if step.get("name") == "Replay CloudTrail"])
    return job.outputs["Replay CloudTrail"]


@pytest.mark.parametrize("value", ["$(touch hacked)", "`touch hacked`", "x'; touch hacked; '"])
def test_inputs_are_data_for_the_shell(tmp_path, value):
    job = runner(tmp_path, replay=f"{value}\nsecond file", expect=value, **{"fail-on": value})
    checks = f"<--expect={value}><--fail-on={value}>"
    assert f"{checks}<--><{value}><second file>" in replayed(job)
    assert not (job.workspace / "hacked").exists()


@pytest.mark.attack("output")
@pytest.mark.parametrize("text", [*hostile.COMMANDS, "::stop-commands::own"])
@pytest.mark.parametrize("status", [0, 1])
def test_texts_of_records_are_not_commands_of_the_runner(tmp_path, text, status):
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' '{text}'\nexit {status}\n")
    program.chmod(0o755)
    job = runner(tmp_path, replay="trails")
    first, *shown, last = replayed(job, program).splitlines()
    token = first.removeprefix("::stop-commands::")
    assert first != token and len(token) == 32 and last == f"::{token}::"
    assert shown == text.splitlines() and bool(job.failed) == bool(status)


def test_a_replay_without_checks_gets_none(tmp_path):
    assert "<--expect" not in (output := replayed(runner(tmp_path, replay="trails")))
    assert "<--fail-on" not in output


@pytest.mark.parametrize(
    ("inputs", "fails"),
    [
        ({"expect": "expected.yml"}, False),
        ({"expect": "none.yml"}, True),
        ({"fail-on": "critical"}, False),
        ({"fail-on": "HIGH"}, True),
        ({"expect": "expected.yml", "fail-on": "HIGH"}, True),
    ],
)
def test_the_replay_fails_the_job_by_its_alerts(tmp_path, inputs, fails):
    job = runner(tmp_path, path="panther", replay="trail.jsonl", **inputs)
    simulated(job.workspace / "trail.jsonl")
    for name in CONTENT_FOLDERS:
        shutil.copytree(REPO / name, job.workspace / "panther" / name)
    (job.workspace / "expected.yml").write_text(
        "alerts: [{rule: AWS.CloudTrail.RoleSearch, severity: HIGH, "
        "principal: 'arn:aws:iam::123456789012:user/mallory'}]"
    )
    (job.workspace / "none.yml").write_text("alerts: []")
    output = replayed(job, Path(sys.executable).with_name("local-panther"))
    assert bool(job.failed) == fails, output
    assert "1 incident (1 HIGH)" in output


@pytest.mark.parametrize(
    ("inputs", "fails"),
    [
        ({}, False),
        ({"expect": "expected.yml"}, True),
        ({"fail-on": "HIGH"}, True),
        ({"expect": "expected.yml", "replay": "trails/"}, False),
    ],
)
def test_a_check_without_a_replay_fails_the_job_before_anything_is_installed(
    tmp_path, inputs, fails
):
    job = runner(tmp_path, **inputs)
    job.run([step for step in STEPS if step.get("name") == CHECKS])
    assert STEPS[0]["name"] == CHECKS
    assert job.failed == [CHECKS] * fails
    assert not fails or job.outputs[CHECKS].startswith("::error title=Nothing to replay::")


@pytest.mark.parametrize("begins", ["read 15 records in 1 file", "no such option"])
def test_the_summary_of_a_long_answer_begins_with_what_was_read(tmp_path, begins):
    job = runner(tmp_path)
    (job.temp / "replay.txt").write_text(f"{begins}\n" + "an alert\n" * 100_000 + "the end\n")
    results = {"steps.install.outputs.results": str(job.temp)}
    job.context |= {"steps.install.outcome": "success", **results}
    job.run([step for step in STEPS if step.get("name") == "Summarise"])
    first = job.summary.splitlines()[2].strip()
    assert not job.failed and job.summary.rstrip().endswith("the end")
    assert (first == begins) == begins.startswith("read")


@pytest.mark.parametrize("step", [s for s in STEPS if "run" in s], ids=lambda step: step["name"])
def test_no_expression_is_pasted_into_a_script_and_shellcheck_finds_nothing(step):
    assert "${{" not in step["run"]
    command = [Path(sys.executable).with_name("shellcheck"), "--shell=bash", "-"]
    done = subprocess.run(command, input=step["run"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_input_and_output_is_described():
    for spec in (*ACTION["inputs"].values(), *ACTION["outputs"].values()):
        assert re.match(r"[A-Z].*[.;]", spec["description"])
