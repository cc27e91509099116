"""Tests of which files of a repository count as its content."""

import contextlib
import os
from pathlib import Path

import pytest
from panther_analysis_tool.analysis_utils import load_analysis_specs

from local_panther.content.agreements import check_agreements
from local_panther.content.files import files_with, has_items, special_files, unread_items
from local_panther.content.filter_checks import check_filters

READ = [
    "",
    "rules",
    "rules/aws/deep",
    "company/own_rules",
    "global_helpers",
    "global_helpers/team/deep",
    "data_models/x",
    "packs",
    "queries",
    "build/copy/queries",
    "lookup_tables",
    "policies/s3",
    "eslint-rules",
]
NOT_READ = [
    "node_modules/pkg",
    "build",
    "venv/lib",
    "packs/more",
    "rules/.hidden",
    "rules/__pycache__",
    ".git/rules",
    "docs",
]
FILTER = """AnalysisType: rule
InlineFilters:
  - KeyPath: requestParameters.roleArn
    Condition: IsIn
    Values:
      - arn:aws:iam::*:role/Admin
Threshold: 5 # must equal no_such_config.THRESHOLD
"""


@pytest.fixture
def repository(tmp_path):
    """Return a repository with one YAML file in each folder."""
    for folder in (*READ, *NOT_READ):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "one.yml").write_text(FILTER)
    return tmp_path


def test_the_content_is_what_panther_analysis_tool_reads(repository):
    with contextlib.chdir(repository):
        # The roots of the tool's commands `test`, `zip` and `upload`
        roots = [".", "./global_helpers", "./data_models"]
        specs = load_analysis_specs(roots, ignore_files=[])
        read = {os.path.relpath(file, repository) for file, *_ in specs}
    found = [str(path.relative_to(repository)) for path in files_with(repository, ".yml")]
    assert set(found) == read == {str(Path(folder, "one.yml")) for folder in READ}
    assert len(found) == len(READ)


@pytest.mark.parametrize("check", [check_filters, check_agreements])
def test_only_content_is_checked(repository, check):
    named = {problem.where.split(":")[0] for problem in check(repository)}
    assert named == {str(Path(folder, "one.yml")) for folder in READ}


def test_files_that_are_not_regular_are_named_and_not_read(tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "node_modules").mkdir()
    os.mkfifo(tmp_path / "rules/pipe.yml")
    os.mkfifo(tmp_path / "node_modules/pipe.yml")
    (tmp_path / "rules/dangling.yml").symlink_to("nowhere")
    assert list(special_files(tmp_path)) == ["rules/pipe.yml"]
    assert list(files_with(tmp_path, ".yml")) == []


@pytest.mark.parametrize("name", ["rule.yml", "rule.yaml"])
def test_a_repository_may_have_its_items_in_the_top_folder(tmp_path, name):
    (tmp_path / "schema.yml").write_text("schema: Custom.Own\n")
    assert not has_items(tmp_path) and not has_items(tmp_path / "missing")
    (tmp_path / name).write_text(FILTER)
    assert has_items(tmp_path)


def test_items_in_folders_that_are_not_read_are_named_except_in_examples(tmp_path):
    for folder in ("examples/rule", "detections"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "one.yml").write_text(FILTER)
    assert list(unread_items(tmp_path)) == ["detections/one.yml"]
