"""Runs the unmodified panther_analysis_tool in a process that exits when this one does."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TextIO

from local_panther.content.files import special_files
from local_panther.processes import TemporaryFolder
from local_panther.tool_runs.narrowing import Loaded, Narrowed
from local_panther.tool_runs.results import Results, read_results

START = "from local_panther.tool_runs.process import main; main()"
REPORT, LOADED = "results.jsonl", "loaded.json"
END_SECONDS = 0.5  # time for the tool to exit on SIGTERM, before it is killed

Watch = Callable[[str], None]


class Box(NamedTuple):
    """The box for the code of some content.

    Attributes:
        content: Root of the content.
        writable: Folders that the run may write to, besides its own folder.
    """

    content: Path
    writable: Sequence[Path]


class Tool:
    """The tool in a process that waits for its task."""

    def __init__(self, process: "subprocess.Popen[str]", pipe: TextIO, folder: Path) -> None:
        self._process = process
        self._pipe = pipe
        self._report = folder / REPORT
        self._loaded = folder / LOADED

    def run(
        self,
        arguments: Iterable[str],
        environment: Mapping[str, str],
        watch: Watch | None = None,
        narrowed: Narrowed | None = None,
        box: Box | None = None,
    ) -> int:
        """Run the tool and return its exit status; it can run only once.

        Args:
            arguments: Command and arguments of the tool.
            environment: Variables to add to those of this process.
            watch: Function that is called with each line of output and has to print it, if the tool
                was started with `watched`.
            narrowed: Files to leave out; by default none.
            box: Box for the content's code; by default the code is trusted.
        """
        task = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "report": str(self._report),
            "loaded": str(self._loaded),
            "narrowed": (narrowed or Narrowed()).as_json(),
            "box": box is not None,
            "content": str(box.content.absolute()) if box else "",
            "writable": [str(path.absolute()) for path in box.writable] if box else [],
        }
        with suppress(BrokenPipeError), self._pipe:  # it has ended already: its status says why
            self._pipe.write(json.dumps(task))
        for line in self._process.stdout or ():
            if watch:
                watch(line)
        return self._process.wait()

    def results(self) -> Results:
        """Return the results of the run."""
        return read_results(self._report) if self._report.exists() else Results()

    def loaded(self) -> Loaded | None:
        """Return the outcome of reading all items; None if the tool did not get there."""
        if not self._loaded.exists():
            return None
        return Loaded(**json.loads(self._loaded.read_text(encoding="utf-8")))


@contextmanager
def started_tool(*, watched: bool) -> Iterator[Tool]:
    """Start the tool's process; it exits with the context, whether the tool has run or not.

    Args:
        watched: Pass its output to this process, instead of printing it directly.
    """
    # By default all runs of the tool share a folder for helpers, and would disturb each other.
    with TemporaryFolder("local-panther-tool-") as own:
        inside, pipe = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-c", START, str(inside)],
            env=os.environ | {"TMPDIR": str(own)},
            pass_fds=[inside],
            stdout=subprocess.PIPE if watched else None,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        os.close(inside)
        try:
            with os.fdopen(pipe, "w") as task:
                yield Tool(process, task, own)
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
    """Return the YAML file of each item in a folder, relative to the folder, by the item's ID."""
    from local_panther.content.tool import load_analysis_specs

    keys = ("RuleID", "PolicyID", "QueryName", "GlobalID", "DataModelID", "PackID")
    found: dict[str, Path] = {}
    ignored = [os.path.normpath(root / name) for name in special_files(root)]
    for name, _, spec, _ in load_analysis_specs([str(root)], ignore_files=ignored):
        if isinstance(spec, dict):
            path = relative(Path(name), root)
            found.update({str(spec[key]): path for key in keys if key in spec})
    return found


def relative(path: Path, root: Path) -> Path:
    """Return a path relative to a folder if it is in it."""
    absolute, folder = path.absolute(), root.absolute()
    return absolute.relative_to(folder) if absolute.is_relative_to(folder) else path
