"""Reads the items of a folder of content, checked with panther_analysis_tool's own schemas."""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from panther_analysis_tool.analysis_utils import classify_analysis, load_analysis_specs
from panther_analysis_tool.core.definitions import ClassifiedAnalysis

from local_panther.errors import ContentError, Problem, one_line


@dataclass
class Specs:
    """The items of a folder.

    Attributes:
        items: The valid ones.
        problems: What is wrong with the others.
        unreadable: Named pipes, sockets and devices, which are not opened.
    """

    items: list[ClassifiedAnalysis] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def read_specs(folder: Path) -> Specs:
    """Read all items of a folder, as panther_analysis_tool finds them.

    Raises:
        ContentError: The folder holds no content.
    """
    if not folder.is_dir():
        raise ContentError([Problem(str(folder), "is not a folder; name one with --content")])
    # panther_analysis_tool looks for content in the current folder only by its folders' names.
    with contextlib.chdir(folder):
        special = list(special_files("."))
        found = list(load_analysis_specs(["."], ignore_files=special))
        items, invalid = classify_analysis(
            found, ignore_table_names=True, valid_table_names=[], ignore_extra_keys=False
        )
    problems = [Problem(relative(name, folder), one_line(error)) for name, error in invalid]
    refused = {name for name, _ in invalid}
    valid = [item for item in items.items() if item.file_name not in refused]
    if not valid and not problems:
        hint = "holds no Panther content (rules/, correlation_rules/, …); name a folder that does"
        raise ContentError([Problem(str(folder), f"{hint} with --content")])
    return Specs(valid, problems, special)


def special_files(folder: str) -> Iterator[str]:
    """Yield the named pipes, sockets and devices in a folder: to open one could last for ever."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = os.path.normpath(f"{parent}/{name}")
            with contextlib.suppress(OSError):  # a dangling link, which cannot be opened anyway
                mode = os.stat(path).st_mode  # noqa: PTH116 - twice as fast on big folders
                if not stat.S_ISREG(mode):
                    yield path


def relative(file_name: str, folder: Path) -> str:
    """Return the path of a file within the folder of the content."""
    return os.path.relpath(file_name, folder.resolve())
