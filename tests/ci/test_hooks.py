"""The hook for pre-commit, run by pre-commit in a user's repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.builders.events import CONTENT_FOLDERS, REPO
from tests.scale import FULL

HOOKS = yaml.safe_load((REPO / ".pre-commit-hooks.yaml").read_text())
RULE = "rules/aws_cloudtrail_rules/aws_iam_list_roles.yml"


def call(*command: object, cwd: Path, home: Path) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "VIRTUAL"))}
    environment |= {"HOME": str(home), "PRE_COMMIT_HOME": str(home / "pre-commit")}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "Alice", f"GIT_{role}_EMAIL": "alice@example.com"}
    arguments = [str(part) for part in command]
    return subprocess.run(arguments, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.skipif(not FULL, reason="make test-users runs it")
def test_a_commit_is_refused_if_a_test_of_its_content_fails(tmp_path):
    content, home = tmp_path / "content", tmp_path / "home"
    home.mkdir()
    for name in CONTENT_FOLDERS:
        shutil.copytree(REPO / name, content / name)
    call("git", "init", "--quiet", cwd=content, home=home)
    call("git", "add", "--all", cwd=content, home=home)
    pre_commit = Path(sys.executable).with_name("pre-commit")
    hook = (pre_commit, "try-repo", REPO, "local-panther-test")
    passed = call(*hook, "--all-files", cwd=content, home=home)
    assert passed.returncode == 0 and "Passed" in passed.stdout, passed.stdout + passed.stderr
    rule = content / RULE
    rule.write_text(rule.read_text().replace("ExpectedResult: true", "ExpectedResult: false"))
    failed = call(*hook, "--files", RULE, cwd=content, home=home)
    assert failed.returncode == 1 and "AWS.CloudTrail.IAMListRoles" in failed.stdout
    other = call(*hook, "--files", "README.md", cwd=content, home=home)
    assert other.returncode == 0 and "no files to check" in other.stdout


def test_the_hook_runs_a_command_of_the_package():
    (hook,) = HOOKS
    assert hook["entry"].split()[:2] == ["local-panther", "test"]
