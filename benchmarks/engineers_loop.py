"""Measures an engineer's loop: testing a repository again, testing one rule, testing one change.

The alternative is panther_analysis_tool alone. `PANTHER_ANALYSIS` names the repository to test;
without it, a repository of 130 generated rules is tested.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks.measure import ENVIRONMENT, Figure

BIN = Path(sys.executable).parent
RULES = 130
RUNS = 2
RULE = (
    "from generated_helper import is_named\n\n\n"
    "def rule(event):\n    return is_named(event, '{}')\n"
)
HELPER = "def is_named(event, name):\n    return event.get('eventName') == name\n"


def measure(records: int) -> list[Figure]:
    """Return the cost of each kind of test, compared with the tool's run over everything."""
    with tempfile.TemporaryDirectory() as folder:
        content = Path(folder) / "content"
        source = os.environ.get("PANTHER_ANALYSIS")
        if source:
            shutil.copytree(source, content, ignore=shutil.ignore_patterns(".git"))
        else:
            _generate(content)
        _commit(content)
        rule = sorted((content / "rules").rglob("*.py"))[0]
        spec = yaml.safe_load(rule.with_suffix(".yml").read_text())
        one = ("--filter", f"RuleID={spec['RuleID']}")
        best: dict[str, float] = {}

        def run(name: str, program: str, *arguments: str) -> None:
            seconds = _seconds(content, cache, program, *arguments)
            best[name] = min(seconds, best.get(name, seconds))

        for number in range(RUNS):  # in turns, so that other work affects all of them equally
            cache = Path(folder) / f"cache-{number}"
            run("tool", "panther_analysis_tool", "test")
            run("first", "local-panther", "test")
            run("second", "local-panther", "test")
            run("tool, one rule", "panther_analysis_tool", "test", *one)
            _edit(rule)
            run("filtered", "local-panther", "test", *one)
            _edit(rule)
            run("changed", "local-panther", "test", "--changed")
            _commit(content)
    tool, tool_one = best["tool"], best["tool, one rule"]
    return [
        _figure("first local-panther test", best["first"], tool, "≤ 0.9" if source else ""),
        _figure("second local-panther test", best["second"], tool, "≤ 0.25" if source else ""),
        _figure(
            "--filter for one edited rule", best["filtered"], tool_one, "≤ 0.06" if source else ""
        ),
        _figure(
            "--changed, one edited rule", best["changed"], tool_one, "≤ 0.06" if source else ""
        ),
    ]


def _figure(name: str, value: float, beside: float, goal: str = "") -> Figure:
    ratio = value / beside
    is_met = not goal or ratio <= float(goal.removeprefix("≤ "))
    return Figure(name, value, "s of processor time", beside, ratio, goal, is_met)


def _seconds(content: Path, cache: Path, program: str, *arguments: str) -> float:
    """Return the processor seconds of a command and of all processes that it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = ENVIRONMENT | {"XDG_CACHE_HOME": str(cache)}
    command = [str(BIN / program), *arguments]
    # Some content needs packages that are not installed, so the exit status is ignored.
    subprocess.run(command, cwd=content, env=environment, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _edit(rule: Path) -> None:
    rule.write_text(rule.read_text() + "# edited\n")


def _commit(content: Path) -> None:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "content"]):
        subprocess.run(["git", *who, *arguments], cwd=content, check=True)


def _generate(content: Path) -> None:
    (content / "rules").mkdir(parents=True)
    (content / "global_helpers").mkdir()
    helper: dict[str, object] = {"AnalysisType": "global", "GlobalID": "generated_helper"}
    _write(content / "global_helpers" / "generated_helper", HELPER, helper)
    for number in range(RULES):
        name = f"Event{number}"
        event = {"eventName": name, "p_log_type": "AWS.CloudTrail"}
        spec: dict[str, object] = {
            "AnalysisType": "rule",
            "RuleID": f"Generated.{name}",
            "Enabled": True,
            "LogTypes": ["AWS.CloudTrail"],
            "Severity": "Info",
            "Tests": [{"Name": "matches", "ExpectedResult": True, "Log": event}],
        }
        _write(content / "rules" / f"rule_{number}", RULE.format(name), spec)


def _write(path: Path, body: str, spec: dict[str, object]) -> None:
    path.with_suffix(".py").write_text(body)
    written = yaml.safe_dump({**spec, "Filename": f"{path.name}.py"})
    path.with_suffix(".yml").write_text(written)
