"""Finds files that panther_analysis_tool must not open, such as named pipes: it would hang."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from local_panther.content.files import files_with, special_files
from local_panther.errors import Problem


@dataclass
class Unopened:
    """The named pipes, sockets and devices of a repository, and the items that need one.

    Attributes:
        special: Paths of these files, relative to the repository.
        problems: Problems of the items whose Python body is such a file.
        folder: Root of the repository.
    """

    special: list[str]
    problems: list[Problem]
    folder: Path

    @property
    def arguments(self) -> Iterator[str]:
        """Arguments that let the tool ignore them, each path in both forms that it may compare."""
        for name in [*self.special, *(problem.where for problem in self.problems)]:
            path = self.folder / name
            for form in (os.path.normpath(path), str(path.absolute())):
                yield f"--ignore-files={form}"

    @property
    def note(self) -> str:
        """A line on what was left out; "" if nothing was."""
        if not self.special:
            return ""
        count, first = len(self.special), self.special[0]
        kinds = "named pipes, sockets or devices"
        hint = f"panther_analysis_tool's other commands need --ignore-files {first}"
        return f"not opened: {count:,} {kinds}, such as {first} ({hint})"


def unopened(folder: Path) -> Unopened:
    """Return the files that must not be opened in a repository.

    Args:
        folder: Root of the repository.
    """
    special = list(special_files(folder))
    bodies = {name for name in special if name.endswith(".py")}
    specs = files_with(folder, ".yml", ".yaml") if bodies else ()
    problems = []
    for path in specs:
        body = os.path.relpath(path.parent / _filename(path), folder)
        if body in bodies:
            message = f"Filename: {body} is not a regular file"
            problems.append(Problem(os.path.relpath(path, folder), message))
    return Unopened(special, problems, folder)


def _filename(path: Path) -> str:
    try:
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return ""  # reported when it is tested
    return str(spec.get("Filename", "")) if isinstance(spec, dict) else ""
