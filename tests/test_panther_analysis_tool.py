"""The unmodified panther_analysis_tool, as users run it: no instance, no token."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.builders.events import CONTENT_FOLDERS, REPO

TOOL = Path(sys.executable).parent / "panther_analysis_tool"
BLOCKLIST = "rules/aws_cloudtrail_rules/aws_iam_assume_role_blocklist_ignored.yml"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    without_token = {k: v for k, v in os.environ.items() if not k.startswith("PANTHER_")}
    return subprocess.run(
        [TOOL, *arguments], cwd=folder, env=without_token, capture_output=True, text=True
    )


@pytest.fixture
def repo_copy(content_copy: Path) -> Path:
    """The content with folders beside it that must not be packed."""
    for folder in ("local_panther", "tests"):
        shutil.copytree(REPO / folder, content_copy / folder)
    return content_copy


def test_tests_pass(repo_copy):
    done = run(repo_copy, "test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Failed: 0" in done.stdout and "Invalid: 0" in done.stdout and "Passed: 4" in done.stdout
    assert "FAIL" not in done.stdout


def test_zip_holds_every_item_and_nothing_else(repo_copy, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    done = run(repo_copy, "zip", "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    (archive,) = out.glob("*.zip")
    packed = set(zipfile.ZipFile(archive).namelist())
    folders = [REPO / folder for folder in CONTENT_FOLDERS]
    files = [path for folder in folders for path in folder.rglob("*.*") if path.suffix != ".pyc"]
    assert packed == {str(path.relative_to(REPO)) for path in files}


def test_editing_the_blocklist_changes_the_result(repo_copy):
    path = repo_copy / BLOCKLIST
    spec = yaml.safe_load(path.read_text())
    spec["InlineFilters"][1]["Values"] = ["arn:aws:iam::123456789012:role/ReadOnlyRole"]
    path.write_text(yaml.safe_dump(spec))
    done = run(repo_copy, "test")
    assert done.returncode == 1
    assert "Failed: 1" in done.stdout and "IAM Blocklisted Role Assumed" in done.stdout


def test_content_can_be_copied_over_a_clone_that_has_the_standard_data_model(repo_copy):
    """The same data model ID replaces the standard one instead of standing beside it."""
    standard = repo_copy / "data_models" / "aws_cloudtrail_data_model.yml"
    assert yaml.safe_load(standard.read_text())["DataModelID"] == "Standard.AWS.CloudTrail"
    shutil.rmtree(repo_copy / "data_models")
    done = run(repo_copy, "test")  # the rules need no data model
    assert done.returncode == 0, done.stdout
