"""Measures processor time of commands that read one file, which is mostly their start.

They are compared with the start of panther_analysis_tool, or, if `BASE` names a checkout of another
version of this repository, with the same command of that version. `PANTHER_ANALYSIS` names a large
repository of content to measure as well.
"""

import os
import sys
from pathlib import Path

from benchmarks.data import REPO, generated_files
from benchmarks.measure import Figure
from benchmarks.replay import best_of

RUNS = 5
TOOL = [sys.executable, "-m", "panther_analysis_tool.main", "--version"]


def measure(records: int) -> list[Figure]:
    """Return the processor seconds of each command."""
    file = str(generated_files(1000, days=1)[0])
    figures = [
        _figure("replay of one file, this repository", "replay", file),
        _figure("summary of one file", "summary", file),
    ]
    if source := os.environ.get("PANTHER_ANALYSIS"):
        folder = Path(source).resolve()
        figures.append(_figure("replay of one file, panther-analysis", "replay", file, folder))
    return figures


def _figure(name: str, command: str, file: str, content: Path | None = None) -> Figure:
    base = os.environ.get("BASE")
    beside = _command(Path(base), command, file, content) if base else TOOL
    best = best_of({"ours": _command(REPO, command, file, content), "beside": beside}, RUNS)
    ours, other = best["ours"].processor, best["beside"].processor
    named = "the same command of BASE" if base else "panther_analysis_tool --version"
    return Figure(f"{name}, beside {named}", ours, "s of processor time", other, ours / other)


def _command(checkout: Path, command: str, file: str, content: Path | None) -> list[str]:
    """Return a command line of the local Panther in a checkout, with the packages of this one."""
    program = ["env", f"PYTHONPATH={checkout}", sys.executable, "-P", "-m", "local_panther"]
    options = ["--content", str(content or checkout)] if command == "replay" else []
    return [*program, command, file, *options]
