"""Annotates failed tests in a pull request, by GitHub's workflow commands."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local_panther.tool_runs.results import Result
from local_panther.tool_runs.tool import relative


@contextmanager
def commands_stopped() -> Iterator[None]:
    """Keep GitHub's runner from obeying commands in the output.

    The runner obeys `::command` at the start of any line of the log and `##[command]` anywhere in
    it, even if they come from a name or an error of the content. Source:
    https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands#stopping-and-starting-workflow-commands
    """
    token = secrets.token_hex(16)
    print(f"::stop-commands::{token}", flush=True)
    try:
        yield
    finally:
        print(f"::{token}::", flush=True)


def annotations(
    failed: list[Result], files: Mapping[str, Path], folder: Path = Path()
) -> Iterator[str]:
    """Yield a line for each failed test, at the place of the test in its YAML file.

    Args:
        failed: The failed results.
        files: The YAML file of each item, by ID, relative to the current folder.
        folder: Path of the current folder in the repository that was checked out.
    """
    for result in failed:
        path = files.get(result.item) or relative(Path(result.file or result.item), Path())
        title = f"{result.item}: {result.test}" if result.test else f"{path.name} is invalid"
        message = "\n".join(result.messages) or "the result is not the expected one"
        place = f"file={_property(str(folder / path))}"
        if line := result.line or _line_of(path, result.test):
            place += f",line={line}"
        yield f"::error {place},title={_property(title)}::{_data(message)}"


def _line_of(path: Path, test: str) -> int:
    """Return the line that names a test; 1 if no line does, 0 if the file cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return 0
    name = test.partition(": ")[0]
    for number, line in enumerate(lines, 1):
        if test and "Name" in line and (test in line or name in line):
            return number
    return 1


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
