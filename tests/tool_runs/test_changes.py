"""`local-panther test --changed` finds what a full run finds in changed content."""

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from local_panther.content.dependencies import Dependencies
from local_panther.tool_runs.changes import NoChanges, changed_names
from tests.scale import examples
from tests.tool_runs.test_reports import run_test
from tests.tool_runs.test_results import failures

pytestmark = pytest.mark.process

LOG_TYPE = "AWS.CloudTrail"
EVENT = {"p_log_type": LOG_TYPE, "eventName": "ConsoleLogin"}
HELPERS = {
    "low_helper": "def is_login(name):\n    return name == 'ConsoleLogin'\n",
    "high_helper": "import low_helper\n\n\ndef login(name):\n"
    "    return low_helper.is_login(name)\n",
}
BODIES = {
    "helped": "from high_helper import login\n\n\ndef rule(event):\n"
    "    return login(event.get('eventName'))\n",
    "modelled": "def rule(event):\n    return event.udm('what') == 'ConsoleLogin'\n",
    "plain": "def rule(event):\n    return True\n",
    "computed": "import importlib\n\n\ndef rule(event):\n"
    "    return importlib.import_module('low_helper').is_login(event.get('eventName'))\n",
}


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode()


def write(path: Path, spec: dict) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(spec, sort_keys=False))


def commit(folder: Path) -> Path:
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "content")
    return folder


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """A repository with a dependency of each kind, committed."""
    folder = tmp_path / "content"
    folder.mkdir()
    for name, body in HELPERS.items():
        spec = {"AnalysisType": "global", "GlobalID": name, "Filename": f"{name}.py"}
        write(folder / "global_helpers" / f"{name}.yml", spec)
        (folder / "global_helpers" / f"{name}.py").write_text(body)
    tests = [{"Name": "matches", "ExpectedResult": True, "Log": EVENT}]
    rule = {"AnalysisType": "rule", "Enabled": True, "LogTypes": [LOG_TYPE], "Severity": "Info"}
    for name, body in BODIES.items():
        spec = {**rule, "RuleID": f"My.{name}", "Filename": f"{name}.py", "Tests": tests}
        write(folder / "rules" / f"{name}.yml", spec)
        (folder / "rules" / f"{name}.py").write_text(body)
    derived = {"AnalysisType": "rule", "RuleID": "My.derived", "BaseDetection": "My.helped"}
    write(folder / "rules" / "derived.yml", {**derived, "Enabled": True, "Severity": "Low"})
    model = {"AnalysisType": "datamodel", "DataModelID": "My.model", "LogTypes": [LOG_TYPE]}
    mappings = [{"Name": "what", "Path": "eventName"}]
    write(folder / "data_models" / "m.yml", {**model, "Enabled": True, "Mappings": mappings})
    write(
        folder / "correlation_rules" / "c.yml",
        {
            "AnalysisType": "correlation_rule",
            "RuleID": "My.correlation",
            "Enabled": True,
            "Severity": "High",
            "Detection": [
                {
                    "Sequence": [{"ID": "a", "RuleID": "My.plain"}],
                    "LookbackWindowMinutes": 60,
                    "Schedule": {"RateMinutes": 30, "TimeoutMinutes": 5},
                }
            ],
        },
    )
    ids = {"IDs": ["My.plain", "My.helped", "low_helper"]}
    pack = {"AnalysisType": "pack", "PackID": "My.pack", "Description": "All"}
    write(folder / "packs" / "p.yml", {**pack, "PackDefinition": ids})
    return commit(folder)


def touched(folder: Path, revision: str = "HEAD") -> set[str]:
    dependencies = Dependencies(folder)
    found = dependencies.touched(changed_names(dependencies, revision))
    return {dependencies.files[path].facts.item for path in found} - {""}


ALWAYS = {"My.computed"}  # its import is computed at run time, so it may depend on any file


@pytest.mark.parametrize(
    ("path", "items"),
    [
        ("rules/modelled.py", {"My.modelled"}),
        ("rules/modelled.yml", {"My.modelled"}),
        ("rules/plain.yml", {"My.plain", "My.correlation", "My.pack"}),
        ("rules/helped.py", {"My.helped", "My.derived", "My.pack"}),
        (
            "global_helpers/low_helper.py",
            {"low_helper", "high_helper", "My.helped", "My.derived", "My.pack"},
        ),
        ("data_models/m.yml", {"My.model", "My.modelled", "My.helped", "My.derived", "My.plain"}),
    ],
)
@pytest.mark.parametrize("change", ["edit", "delete", "rename"])
def test_a_change_touches_all_that_depends_on_the_file(content, path, items, change):
    file = content / path
    if change == "edit":
        file.write_text(file.read_text() + "# edited\n")
    elif change == "rename":
        file.rename(file.with_stem("renamed"))
    else:
        file.unlink()
    gone = {
        yaml_id for yaml_id in items if change == "delete" and path == f"rules/{yaml_id[3:]}.yml"
    }
    gone |= {"My.model"} if change == "delete" and path.startswith("data_models") else set()
    assert touched(content) >= (items | ALWAYS) - gone


def test_only_what_depends_on_a_change_is_touched(content):
    (content / "rules" / "modelled.py").write_text("def rule(event):\n    return True\n")
    assert touched(content) == {"My.modelled"} | ALWAYS
    assert touched(commit(content)) == set()


def test_untracked_and_ignored_files_are_changes(content):
    (content / ".gitignore").write_text("rules/\n")
    write(content / "rules" / "new.yml", {"AnalysisType": "rule", "RuleID": "My.new"})
    assert "My.new" in touched(content)


def test_changed_settings_touch_everything(content):
    (content / ".panther_settings.yml").write_text("minimum_tests: 2\n")
    assert touched(content) >= {"My.plain", "My.model", "low_helper", "My.pack"}


def test_a_revision_is_given_in_gits_notation(content):
    (content / "rules" / "plain.py").write_text("def rule(event):\n    return False\n")
    git(content, "commit", "-q", "-a", "-m", "second")
    assert touched(content) == set() and "My.plain" in touched(content, "HEAD~1")
    done = run_test(content, "--changed", "HEAD~1")
    assert done.returncode == 1 and "My.plain" in done.stdout and "My.modelled" not in done.stdout


@pytest.mark.parametrize("revision", ["nope", "", "HEAD:rules"])
def test_an_unknown_revision_is_an_error(content, revision):
    done = run_test(content, f"--changed={revision}")
    assert done.returncode == 2 and "no revision" in done.stderr


def test_a_revision_is_not_taken_for_an_option_of_git(content, tmp_path):
    with pytest.raises(NoChanges, match="no revision"):
        changed_names(Dependencies(content), f"--output={tmp_path / 'written'}")
    assert not (tmp_path / "written").exists()


def test_a_folder_without_git_is_an_error(content):
    shutil.rmtree(content / ".git")
    with pytest.raises(NoChanges, match="not in a git repository"):
        changed_names(Dependencies(content), "HEAD")
    done = run_test(content, "--changed")
    assert done.returncode == 2 and "not in a git repository" in done.stderr


def test_nothing_is_tested_if_nothing_differs(content, tmp_path):
    junit = tmp_path / "tests.xml"
    junit.write_text("of an earlier run")
    done = run_test(content, "--changed", "--junit", str(junit))
    assert done.returncode == 0 and "no item depends on what differs" in done.stderr
    assert "Test Summary" not in done.stdout
    assert 'tests="0" failures="0"' in junit.read_text()


def changes(folder: Path, chance: random.Random) -> str:
    """Change a random file in a way that can break something; return what was done."""
    names = ("rules", "global_helpers", "data_models", "correlation_rules", "policies", "queries")
    files = sorted(p for n in names for p in (folder / n).rglob("*") if p.suffix in (".py", ".yml"))
    path = chance.choice([p for p in files if not p.name.endswith("_test.py")])
    kind = chance.choice(["break", "break", "delete", "rename"])
    if kind == "delete":
        path.unlink()
    elif kind == "rename":
        path.rename(path.with_stem(f"{path.stem}_renamed"))
    elif path.suffix == ".py":
        path.write_text(path.read_text() + "\n\nraise RuntimeError('broken')\n")
    else:
        text = path.read_text()
        for before, after in (
            ("ExpectedResult: true", "ExpectedResult: false"),
            ("Path: ", "Path: x."),
        ):
            text = text.replace(before, after)
        path.write_text(text.replace("Severity: ", "Severity: Not"))
    return f"{kind} {path}"


def found(folder: Path, *arguments: str) -> dict[tuple[str, str], str]:
    report = folder.parent / "report.xml"
    report.unlink(missing_ok=True)
    done = run_test(folder, "--junit", report, *arguments, PYTHONHASHSEED="0")
    assert done.returncode in (0, 1), done.stderr
    return failures(report) if report.exists() else {}


def assert_finds_the_same(folder: Path, chance: random.Random, number: int) -> None:
    before = found(folder)
    for _ in range(number):
        done = changes(folder, chance)
        whole = found(folder)
        new = {key for key, text in whole.items() if before.get(key) != text}
        changed = found(folder, "--changed")
        assert {key: whole[key] for key in new} == {key: changed.get(key) for key in new}, done
        git(folder, "checkout", "-q", ".")
        git(folder, "clean", "-q", "-f", "-d")


@pytest.mark.parametrize("seed", range(examples(2, 20)))
def test_a_run_of_changes_finds_what_a_full_run_finds(content, seed):
    assert_finds_the_same(content, random.Random(seed), 4)


@pytest.mark.parametrize("seed", range(examples(1, 10)))
def test_a_run_of_changes_finds_what_a_full_run_of_panther_analysis_finds(tmp_path, seed):
    source = Path(os.environ.get("PANTHER_ANALYSIS", ""))
    if not os.environ.get("PANTHER_ANALYSIS"):
        pytest.skip("PANTHER_ANALYSIS does not name a checkout of panther-analysis")
    folder = tmp_path / "content"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".git"))
    assert_finds_the_same(commit(folder), random.Random(seed), 3)
