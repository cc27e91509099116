"""`local-panther test`: the tool's tests, and those that it skips without an instance."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.builders.correlations import FIELD, sequence
from tests.instance.commands import run

pytestmark = pytest.mark.process


def repository(folder: Path, *, is_chain: bool = True, lookback: int = 60) -> Path:
    """Write simple detections, an inline filter and a sequence, with tests.

    Args:
        folder: The new folder.
        is_chain: Expected result of the sequence's test; it finds a chain.
        lookback: LookbackWindowMinutes of the sequence.
    """
    rules = folder / "rules"
    rules.mkdir(parents=True)
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
    tests = [{"Name": "chain", "ExpectedResult": is_chain, "RuleOutputs": matches}]
    chain = sequence("a", "b", lookback=lookback) | {"Tests": tests}
    (rules / "simple.yml").write_text(yaml.safe_dump(simple))
    other = {key: value for key, value in simple.items() if key != "Tests"}
    (rules / "other.yml").write_text(
        yaml.safe_dump(other | {"RuleID": "Rule.b", "Severity": "Info"})
    )
    (folder / "correlation_rules").mkdir()
    (folder / "correlation_rules" / "chain.yml").write_text(yaml.safe_dump(chain))
    return folder


def test_the_tests_of_every_correlation_rule_run(content_copy):
    done = run("local-panther", "test", cwd=content_copy)
    assert done.returncode == 0
    assert "Passed: 7" in done.stdout and "Skipped: 0" in done.stdout
    assert "Several principals, one of which does both" in done.stdout


def test_a_correlation_test_with_a_wrong_expectation_fails(tmp_path):
    done = run("local-panther", "test", cwd=repository(tmp_path, is_chain=False))
    assert done.returncode == 1
    assert "FAIL" in done.stdout and "Failed: 1" in done.stdout


def test_an_invalid_correlation_rule_fails_with_the_reason(tmp_path):
    done = run("local-panther", "test", cwd=repository(tmp_path, lookback=9))
    assert done.returncode == 1
    assert "LookbackWindowMinutes: 9 is not between 15 and 21600" in done.stdout


def test_arguments_of_test_are_passed_to_the_tool(tmp_path):
    content = repository(tmp_path)
    done = run("local-panther", "test", "--filter", "RuleID=Rule.a", cwd=content)
    assert done.returncode == 0 and "Passed: 1" in done.stdout
    helped = run("local-panther", "test", "--help", cwd=content)
    assert "Validate analysis specifications" in helped.stdout


def test_another_content_repository_can_be_tested(tmp_path):
    """Simple detections, inline filters and sequences of another repository."""
    done = run("local-panther", "test", cwd=repository(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed: 3" in done.stdout and "Skipped: 0" in done.stdout
    assert "kept out" in done.stdout


def test_a_copied_repository_needs_no_git_and_no_settings(content_copy):
    (content_copy / ".panther_settings.yml").unlink()
    shutil.rmtree(content_copy / "data_models")
    done = run("local-panther", "test", cwd=content_copy)
    assert done.returncode == 0, done.stdout
