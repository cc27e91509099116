"""Tests that the items of a folder are its current ones, whatever is cached for it."""

import contextlib
import json
import logging
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_panther.content import tool
from local_panther.content.doubtful import doubtful_values
from local_panther.content.specs import Specs, read_specs
from local_panther.errors import ContentError

RULE = """AnalysisType: rule
RuleID: {name}
Enabled: true
Filename: a.py
LogTypes: [AWS.CloudTrail]
Severity: {severity}
"""


def rule(path: Path, name: str, severity: str = "Low", more: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(RULE.format(name=name, severity=severity) + more)
    return path


def helper(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("AnalysisType: global\nGlobalID: h\nFilename: h.py\nDescription: x\n")


@pytest.fixture
def repository(tmp_path):
    rule(tmp_path / "repository" / "rules" / "a.yml", "A")
    rule(tmp_path / "repository" / "rules" / "b.yml", "B")
    return tmp_path / "repository"


def found(folder: Path) -> tuple[object, ...]:
    """Return everything that is read from a folder, or the error for one without content."""
    try:
        specs = read_specs(folder)
    except ContentError as error:
        return (str(error),)
    return shown(specs)


def shown(specs: Specs) -> tuple[object, ...]:
    items = [(item.file_name, item.dir_name, item.analysis_spec) for item in specs.items]
    return items, specs.problems, specs.unreadable, specs.unread


@contextlib.contextmanager
def empty_cache(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield


def refuse(*_: object, **__: object) -> None:
    pytest.fail("checked again")


def test_a_folder_is_checked_once(repository, monkeypatch):
    first = found(repository)
    monkeypatch.setattr(tool, "classify_analysis", refuse)
    assert found(repository) == first and len(first[0]) == 2


def test_a_copy_of_a_folder_is_not_checked_again_and_has_its_own_paths(
    repository, monkeypatch, tmp_path
):
    found(repository)
    monkeypatch.setattr(tool, "classify_analysis", refuse)
    copy = Path(shutil.copytree(repository, tmp_path / "copy"))
    assert {name for name, _, _ in found(copy)[0]} == {
        str(copy / "rules" / "a.yml"),
        str(copy / "rules" / "b.yml"),
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda root: rule(root / "rules" / "a.yml", "A", "High"),
        lambda root: rule(root / "rules" / "a.yml", "A", "Hi"),
        lambda root: rule(root / "rules" / "a.yml", "B"),
        lambda root: rule(root / "rules" / "deep" / "c.yaml", "C"),
        lambda root: rule(root / "top.yml", "C"),
        lambda root: rule(root / "docs" / "c.yml", "C"),
        lambda root: rule(root / "rules" / ".c.yml", "C"),
        lambda root: (root / "rules" / "a.yml").unlink(),
        lambda root: shutil.rmtree(root / "rules"),
        lambda root: (root / "rules" / "a.yml").rename(root / "rules" / "z.yml"),
        lambda root: (root / "rules" / "a.yml").write_text("a: ["),
        lambda root: (root / "rules" / "c.yml").symlink_to("a.yml"),
        lambda root: os.mkfifo(root / "rules" / "c.yml"),
        lambda root: helper(root.parent / "global_helpers" / "h.yml"),
    ],
)
def test_every_change_is_seen(repository, change, tmp_path):
    before = found(repository)
    change(repository)
    after = found(repository)
    with empty_cache(tmp_path / "empty"):
        assert found(repository) == after
    is_hidden = (repository / "rules" / ".c.yml").exists()  # the only change without an effect
    assert (after == before) == is_hidden


NAMES = st.sampled_from(["rules/a.yml", "rules/b.yaml", "queries/c.yml", "x.yml", "docs/d.yml"])
CONTENTS = st.sampled_from(
    [
        RULE.format(name="A", severity="Low"),
        RULE.format(name="B", severity="Low"),
        RULE.format(name="A", severity="no"),
        RULE.format(name="D", severity="Low") + "Description: 2024-01-01\n",
        RULE.format(name="C", severity="Low") + "DedupPeriodMinutes: 1\n",
        "AnalysisType: nothing\n",
        "a: [",
        "",
        "x: 1\n",
    ]
)


@settings(max_examples=60)
@given(st.lists(st.tuples(NAMES, CONTENTS), min_size=1, max_size=6))
def test_the_items_are_the_current_ones_after_any_edits(tmp_path_factory, edits):
    folder = tmp_path_factory.mktemp("repository")
    for name, content in edits:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        cached = found(folder)
        with empty_cache(tmp_path_factory.mktemp("empty")):
            assert found(folder) == cached


def test_a_warning_of_the_tool_is_logged_each_time(repository, caplog):
    rule(repository / "rules" / "a.yml", "A", more="DedupPeriodMinutes: 1\n")
    for _ in range(2):
        caplog.clear()
        found(repository)
        (warning,) = (line for line in caplog.records if line.levelno == logging.WARNING)
        assert "DedupPeriodMinutes for A" in warning.getMessage()


def test_a_value_without_a_json_form_stays_as_it_is(repository):
    rule(repository / "rules" / "a.yml", "A", more="Reports:\n  X: [2024-01-01]\n")
    first = found(repository)
    assert found(repository) == first and "2024" in str(first)


def test_doubtful_values_are_those_of_the_current_filters_and_settings(repository):
    def doubts() -> list[str]:
        return [str(problem) for problem in doubtful_values(repository, with_comments=True)]

    path = repository / "rules" / "a.yml"
    assert doubts() == []
    rule(path, "A", more="Threshold: 5 # must equal a_config.THRESHOLD\n")
    (repository / "rules" / "a_config.py").write_text("THRESHOLD = 5\n")
    assert doubts() == []
    (repository / "rules" / "a_config.py").write_text("THRESHOLD = 6\n")
    (message,) = doubts()
    assert message.startswith("rules/a.yml:7: ") and "THRESHOLD" in message
    twice = "Tests: []\nTests: []\n"
    rule(path, "A", more=twice)
    for _ in range(2):
        (message,) = doubts()
        assert message.startswith("rules/a.yml:") and "Tests" in message
    rule(path, "A")
    assert doubts() == []


def test_the_cache_is_bounded(repository, cache):
    from local_panther.remembered import MAX_FOLDERS, folders

    for number in range(MAX_FOLDERS + 5):
        folders.keep("kind", {str(number): json.dumps(number)})
    kept = [number for number in range(MAX_FOLDERS + 5) if folders.get("kind", str(number))]
    assert len(kept) == MAX_FOLDERS and kept[-1] == MAX_FOLDERS + 4
