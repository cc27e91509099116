"""The unmodified panther_analysis_tool, as users run it: no instance, no token."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.builders.configurations import EXACT, change_blocklist
from tests.builders.environments import clean_environment
from tests.builders.events import CONTENT_FOLDERS, REPO

pytestmark = pytest.mark.process

TOOL = Path(sys.executable).parent / "panther_analysis_tool"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = clean_environment()
    return subprocess.run(
        [TOOL, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.fixture
def repo_copy(content_copy: Path) -> Path:
    """Return a copy of the content, beside folders that must not be packed."""
    for folder in ("local_panther", "tests"):
        shutil.copytree(REPO / folder, content_copy / folder)
    return content_copy


def test_the_tests_of_the_content_pass(repo_copy):
    done = run(repo_copy, "test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Failed: 0" in done.stdout and "Invalid: 0" in done.stdout and "Passed: 5" in done.stdout
    assert "FAIL" not in done.stdout


def test_the_archive_has_every_item_and_nothing_else(repo_copy, tmp_path):
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
    change_blocklist(repo_copy, EXACT.replace("FullAdminRole", "ReadOnlyRole"), enabled=True)
    done = run(repo_copy, "test")
    assert done.returncode == 1
    assert "Failed: 1" in done.stdout and "IAM Blocklisted Role Assumed" in done.stdout


OTHERS = {
    "data_models/aws_cloudtrail_data_model.yml": {
        "AnalysisType": "datamodel",
        "DataModelID": "Standard.AWS.CloudTrail",
        "Enabled": True,
        "LogTypes": ["AWS.CloudTrail"],
        "Mappings": [{"Name": "actor_user", "Path": "userIdentity.userName"}],
    },
    # Has the name of one of our helpers, which replaces it.
    "global_helpers/distinct_window_helpers.yml": {
        "AnalysisType": "global",
        "GlobalID": "distinct_window_helpers",
        "Filename": "distinct_window_helpers.py",
    },
    "rules/aws_cloudtrail_rules/others.yml": {
        "AnalysisType": "rule",
        "RuleID": "Others.Rule",
        "Enabled": True,
        "Filename": "others.py",
        "LogTypes": ["AWS.CloudTrail"],
        "Severity": "Low",
        "Tests": [
            {
                "Name": "By the data model",
                "ExpectedResult": True,
                "Log": {
                    "p_log_type": "AWS.CloudTrail",
                    "userIdentity": {"type": "IAMUser", "userName": "alice"},
                },
            }
        ],
    },
}
OTHERS_PYTHON = {
    "global_helpers/distinct_window_helpers.py": "raise ImportError('replaced by ours')\n",
    "rules/aws_cloudtrail_rules/others.py": (
        "def rule(event):\n    return event.udm('actor_user') == 'alice'\n"
    ),
}


def test_content_can_be_copied_over_a_clone_with_the_same_data_model_and_helper(
    tmp_path,
):
    clone = tmp_path / "clone"
    for name, spec in OTHERS.items():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(yaml.safe_dump(spec))
    for name, body in OTHERS_PYTHON.items():
        (clone / name).write_text(body)
    for folder in CONTENT_FOLDERS:
        shutil.copytree(REPO / folder, clone / folder, dirs_exist_ok=True)
    done = run(clone, "test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Others.Rule" in done.stdout and "Failed: 0" in done.stdout
    assert "Invalid: 0" in done.stdout
