"""The example repositories: they do what their READMEs show, here and on an instance."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from local_panther.content.files import names_with
from tests.builders.environments import clean_environment
from tests.builders.events import CONTENT_FOLDERS, REPO
from tests.ci.test_action import STEPS, replayed, runner
from tests.instance.conftest import TOKEN
from tests.serving.conftest import fed

pytestmark = pytest.mark.process

EXAMPLES = REPO / "examples"
READMES = sorted(EXAMPLES.glob("*/README.md"))
BIN = Path(sys.executable).parent
WORKFLOW = ".github/workflows/panther.yml"

MALLORY = "arn:aws:iam::123456789012:user/mallory"
SCHEMA = "schemas/payroll_audit.yml"
CUSTOM = ("--log-type", "Custom.Payroll.Audit", "--schema", SCHEMA)
# By example: its records, the options of their replay, and the severity and title of each alert
REPLAYS = {
    "rule": (
        "records.jsonl",
        (),
        {
            ("MEDIUM", "bob signed in to the console of 123456789012 without MFA"),
            ("CRITICAL", "root signed in to the console of 123456789012 without MFA"),
        },
    ),
    "correlation": (
        "records.jsonl",
        (),
        {("HIGH", f"AWS Bucket Deleted After a Trail Was Disabled: {MALLORY}")},
    ),
    "scheduled-query": (
        "records.jsonl",
        (),
        {("HIGH", "New access key of bob in 123456789012, who made no call for 30 days")},
    ),
    "custom-log-type": (
        "audit.jsonl",
        CUSTOM,
        {("HIGH", "carol changed the bank details of several employees")},
    ),
    "ci": (
        "test_trails",
        (),
        {
            ("HIGH", f"{MALLORY} shared snap-0aaaaaaaaaaaaaaa2 with everyone"),
            ("HIGH", f"{MALLORY} shared snap-0aaaaaaaaaaaaaaa3 with everyone"),
        },
    ),
}
OF_CLOUDTRAIL = [name for name, (_, options, _) in REPLAYS.items() if options != CUSTOM]


def run(program: str, *arguments: str | Path, cwd: Path, **environment: str) -> str:
    """Run a program that must succeed; return its output."""
    done = subprocess.run(
        [BIN / program, *arguments],
        cwd=cwd,
        env=clean_environment(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def copied(tmp_path):
    """Copy an example as a user does."""
    return lambda name: shutil.copytree(EXAMPLES / name, tmp_path / name)


def test_every_example_has_a_row_in_the_table_a_replay_and_records():
    table = re.findall(r"\]\(([\w-]+)/README\.md\)", (EXAMPLES / "README.md").read_text())
    folders = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
    assert sorted(table) == sorted(REPLAYS) == folders
    assert [readme.parent.name for readme in READMES] == folders


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.parent.name)
def test_commands_print_what_the_readme_shows(readme):
    text = readme.read_text()
    assert "$ local-panther replay " in text and " test --show-failures-only\n" in text
    assert "Passed: " in text and not re.search(r"(Failed|Invalid): [^0]", text)
    run("python", REPO / "docs" / "tools" / "outputs.py", "--check", readme, cwd=REPO)


def test_a_replay_of_the_custom_log_type_finds_the_alert_and_no_other(copied):
    records, options, expected = REPLAYS["custom-log-type"]
    arguments = (records, *options, "--quiet", "--format", "json")
    output = run("local-panther", "replay", *arguments, cwd=copied("custom-log-type"))
    alerts = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert {(alert["severity"], alert["title"]) for alert in alerts} == expected
    assert len(alerts) == len(expected)


@pytest.mark.parametrize("name", OF_CLOUDTRAIL)
def test_an_instance_runs_the_unit_tests_accepts_the_upload_and_shows_the_alerts(
    name, copied, tmp_path
):
    content = copied(name)
    records, _, expected = REPLAYS[name]
    with fed(tmp_path / "state", content / records, until="waits for content") as instance:
        variables = {"PANTHER_API_HOST": instance.url, "PANTHER_API_TOKEN": TOKEN}
        upload = ("panther_analysis_tool", "upload", "--minimum-tests", "2", "--out", tmp_path)
        output = run(*upload, cwd=content, **variables)
        assert "Skipped: 0\n\tFailed: 0\n\tInvalid: 0" in output
        instance.messages.wait_for("new alerts")
        alerts = instance.get("/alerts")["results"]
    assert {(alert["severity"], alert["title"]) for alert in alerts} == expected
    assert len(alerts) == len(expected)


def test_an_instance_accepts_the_schema_and_the_content_of_the_custom_log_type(copied, tmp_path):
    content = copied("custom-log-type")
    with fed(tmp_path / "state", until="") as instance:
        variables = {"PANTHER_API_HOST": instance.url, "PANTHER_API_TOKEN": TOKEN}
        tool = ("panther_analysis_tool", "update-custom-schemas", "--path", "schemas")
        assert "Successfully created schema" in run(*tool, cwd=content, **variables)
        run("panther_analysis_tool", "upload", "--out", tmp_path, cwd=content, **variables)
        assert [rule["id"] for rule in instance.get("/rules")["results"]] == [
            "Example.Payroll.BankDetailsChanged"
        ]


def test_the_workflow_replays_what_the_ci_example_has(copied, tmp_path):
    workflow = yaml.safe_load((EXAMPLES / "ci" / WORKFLOW).read_text())
    (own,) = (s for s in workflow["jobs"]["test"]["steps"] if "local-panther@" in s["uses"])
    job = runner(tmp_path, **own["with"])
    shutil.copytree(EXAMPLES / "ci", job.workspace, dirs_exist_ok=True)
    output = replayed(job, BIN / "local-panther")
    assert not job.failed and "expected-alerts.yml: 2 alerts, as expected" in output
    rule = job.workspace / "aws_snapshot_shared_publicly.py"
    rule.write_text(rule.read_text().replace('"all"', '"nobody"'))
    job.run([step for step in STEPS if step.get("name") == "Replay CloudTrail"])
    assert job.failed == ["Replay CloudTrail"]


def test_examples_are_not_part_of_the_content_of_this_repository():
    """The tool reads each folder with a name such as rules, however deep, and would upload it."""
    assert [name for name in names_with(REPO, "") if name.startswith("examples/")] == []
    assert not [path for path in EXAMPLES.rglob("*") if path.name in CONTENT_FOLDERS]
