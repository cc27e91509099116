"""Runs the unmodified panther_analysis_tool in a process that ends with this one."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from local_panther.processes import TemporaryFolder

START = (
    "from local_panther.processes import end_with_parent; end_with_parent(); "
    "import sys; sys.argv[0] = 'panther_analysis_tool'; "
    "from panther_analysis_tool.main import run; run()"
)
END_SECONDS = 0.5  # for the tool to end by itself

Watch = Callable[[str], None]


def run_tool(arguments: Iterable[str], environment: Mapping[str, str], watch: Watch | None) -> int:
    """Run the tool and return its exit status.

    Args:
        arguments: Its command and arguments.
        environment: Variables beside those of this process.
        watch: Called with each line of its output, which it then prints; without it the output
            goes where that of this process goes.
    """
    command = [sys.executable, "-c", START, *arguments]
    with TemporaryFolder("local-panther-tool-") as own:
        # The tool keeps helpers in one folder for all its runs; two at once would disturb each
        # other.
        variables = os.environ | environment | {"TMPDIR": str(own)}
        process = subprocess.Popen(
            command,
            env=variables,
            stdout=subprocess.PIPE if watch else None,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        try:
            if watch:
                assert process.stdout
                for line in process.stdout:
                    watch(line)
            return process.wait()
        finally:
            _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def spec_files(root: Path) -> dict[str, Path]:
    """Return the YAML file of each item below a folder, relative to it, by the item's ID."""
    from panther_analysis_tool.analysis_utils import load_analysis_specs

    keys = ("RuleID", "PolicyID", "QueryName", "GlobalID", "DataModelID", "PackID")
    found: dict[str, Path] = {}
    for name, _, spec, _ in load_analysis_specs([str(root)], ignore_files=[]):
        if isinstance(spec, dict):
            path = relative(Path(name), root)
            found.update({str(spec[key]): path for key in keys if key in spec})
    return found


def relative(path: Path, root: Path) -> Path:
    """Return a path relative to a folder if it is in it."""
    absolute, folder = path.absolute(), root.absolute()
    return absolute.relative_to(folder) if absolute.is_relative_to(folder) else path
