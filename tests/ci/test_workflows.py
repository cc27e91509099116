"""The project's workflows, and the template for users' repositories."""

import re
from pathlib import Path

import pytest
import yaml

from tests.builders.actions import Runner
from tests.builders.events import REPO

pytestmark = [pytest.mark.process, pytest.mark.attack("supply")]

TEMPLATE = REPO / "examples" / "ci" / ".github" / "workflows" / "panther.yml"
WORKFLOWS = [*sorted((REPO / ".github" / "workflows").glob("*.yml")), TEMPLATE]
ACTION = REPO / "action.yml"


def upload(path: Path, folder: Path, **secrets: str) -> Runner:
    """Run the last step of the upload job with these secrets."""
    step = yaml.safe_load(path.read_text())["jobs"]["upload"]["steps"][-1]
    names = ("PANTHER_API_HOST", "PANTHER_API_TOKEN")
    context = {f"secrets.{name}": secrets.get(name, "") for name in names}
    tools = folder / "bin"
    tools.mkdir()
    for name in ("pip", "panther_analysis_tool"):
        (tools / name).write_text(f'#!/bin/sh\necho "{name} $*"\n')
        (tools / name).chmod(0o755)
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(tools)
    job = Runner(folder, folder, {"PATH": f"{tools}:/usr/bin:/bin"}, context)
    job.run([step])
    return job


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION], ids=lambda path: path.name)
def test_actions_of_others_are_pinned_by_commit_with_their_version(path):
    used = re.findall(r"uses: (.*)", path.read_text())
    own = ("./", "your-organisation/local-panther@" + 40 * "0")
    others = [use for use in used if not use.startswith(own)]
    assert others and all(re.fullmatch(r"\S+@[0-9a-f]{40} # v[0-9.]+", use) for use in others)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_jobs_have_only_the_rights_that_they_list(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"] == {"contents": "read"} and job["timeout-minutes"] <= 90
        checkouts = [s for s in job["steps"] if s.get("uses", "").startswith("actions/checkout")]
        assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
@pytest.mark.parametrize("there", [[], ["PANTHER_API_HOST"], ["PANTHER_API_TOKEN"]])
def test_without_secrets_the_upload_is_skipped_and_says_so(path, there, tmp_path):
    job = upload(path, tmp_path, **dict.fromkeys(there, "x"))
    (output,) = job.outputs.values()
    assert not job.failed and output.startswith("::notice title=Not uploaded::")
    assert "panther_analysis_tool upload" not in output


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_with_both_secrets_it_uploads(path, tmp_path):
    job = upload(path, tmp_path, PANTHER_API_HOST="x", PANTHER_API_TOKEN="y")
    (output,) = job.outputs.values()
    assert not job.failed and "panther_analysis_tool upload" in output


def template_inputs(text):
    steps = yaml.safe_load(text)["jobs"]["test"]["steps"]
    (own,) = (step for step in steps if "local-panther@" in step["uses"])
    return own["with"]


def test_the_template_names_only_inputs_of_the_action_and_files_of_its_example():
    inputs = template_inputs(TEMPLATE.read_text())
    assert inputs.keys() <= yaml.safe_load(ACTION.read_text())["inputs"].keys()
    example = REPO / "examples" / "ci"
    assert (example / inputs["replay"].strip()).is_dir() and (example / inputs["expect"]).is_file()
