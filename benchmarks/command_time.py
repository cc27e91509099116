"""Measures a test run, without and with an instance, on this repository and on one empty rule."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.data import REPO
from benchmarks.measure import ENVIRONMENT, Figure, best_seconds

BIN = Path(sys.executable).parent
RULE = (
    "AnalysisType: rule\nRuleID: A\nEnabled: true\nFilename: a.py\nLogTypes: [AWS.CloudTrail]\n"
    "Severity: Low\n"
)


def measure(records: int) -> list[Figure]:
    """Return the seconds of each run."""
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder)
        (empty / "rules").mkdir()
        (empty / "rules" / "a.yml").write_text(RULE)
        (empty / "rules" / "a.py").write_text("def rule(event):\n    return True\n")
        ways = {
            (tool, where): _runs(tool, path)
            for tool in ("panther_analysis_tool", "local-panther")
            for where, path in (("this repository", REPO), ("one empty rule", empty))
        }
        best = best_seconds(ways, 3)
    figures = []
    for where in ("this repository", "one empty rule"):
        ours, beside = (best[tool, where] for tool in ("local-panther", "panther_analysis_tool"))
        ratio, name = ours / beside, f"local-panther test, {where}"
        goal = "≤ 1.2" if where == "this repository" else ""
        figures.append(Figure(name, ours, "s", beside, ratio, goal, not goal or ratio <= 1.2))
    return figures


def _runs(tool: str, folder: Path) -> Callable[[], Any]:
    command = [str(BIN / tool), "test"]
    return lambda: subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, check=True
    )
