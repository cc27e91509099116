"""Reads the items of a folder of content, checked with panther_analysis_tool's own schemas."""

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from local_panther.content.files import special_files
from local_panther.content.tool import ClassifiedAnalysis, classify_analysis, load_analysis_specs
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
        special = list(special_files(Path()))
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


def relative(file_name: str, folder: Path) -> str:
    """Return the path of a file within the folder of the content."""
    return os.path.relpath(file_name, folder.resolve())
