"""Reads the items of a folder of content, checked with panther_analysis_tool's own schemas."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from panther_analysis_tool import constants

from local_panther.content.files import (
    SHARED_FOLDERS,
    shared_beside,
    special_files,
    unread_items,
)
from local_panther.content.tool import ClassifiedAnalysis, classify_analysis, load_analysis_specs
from local_panther.errors import ContentError, Problem, one_line

KEPT_BACK = ("experimental", "deprecated")  # by Status, in any case


@dataclass
class Specs:
    """The items of a folder.

    Attributes:
        items: The valid ones.
        problems: What is wrong with the others.
        unreadable: Named pipes, sockets and devices, which are not opened.
        unread: Files that are written as items, in folders that are not read.
    """

    items: list[ClassifiedAnalysis] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def read_specs(folder: Path) -> Specs:
    """Read all items of a folder, as panther_analysis_tool finds them.

    Raises:
        ContentError: The folder holds no content.
    """
    if not folder.is_dir():
        raise ContentError([Problem(str(folder), "is not a folder; name one with --content")])
    beside = list(shared_beside(folder))
    # panther_analysis_tool looks for content in the current folder only by its folders' names.
    with contextlib.chdir(folder):
        special = [*special_files(Path()), *_special_in(beside)]
        roots = [".", *(f"./{name}" for name in SHARED_FOLDERS if Path(name).is_dir())]
        own = list(load_analysis_specs(roots, ignore_files=special))
        known = {_named(spec) for _, _, spec, _ in own}
        shared = load_analysis_specs(list(map(str, beside)), ignore_files=special)
        found = [*own, *(entry for entry in shared if _named(entry[2]) not in known)]
        items, invalid = classify_analysis(
            found, ignore_table_names=True, valid_table_names=[], ignore_extra_keys=False
        )
    problems = [Problem(relative(name, folder), one_line(error)) for name, error in invalid]
    refused = {name for name, _ in invalid}
    valid = [item for item in items.items() if item.file_name not in refused]
    if not valid and not problems:
        hint = "holds no Panther content (rules/, correlation_rules/, …); name a folder that does"
        raise ContentError([Problem(str(folder), f"{hint} with --content")])
    return Specs(valid, problems, special, list(unread_items(folder)))


def is_uploaded(item: ClassifiedAnalysis) -> bool:
    """Return whether an upload brings an item: its Status can keep it back.

    Source: `filter_analysis` of panther_analysis_tool, which uploads what lies in the folders of
    helpers and data models whatever its Status is.
    """
    status = str(item.analysis_spec.get("Status") or "").lower()
    patterns = (constants.HELPERS_PATH_PATTERN, constants.DATA_MODEL_PATH_PATTERN)
    is_shared = any(fnmatch(item.dir_name, pattern) for pattern in patterns)
    return status not in KEPT_BACK or is_shared


def _special_in(folders: list[Path]) -> Iterator[str]:
    """Yield the named pipes, sockets and devices in folders beside the content."""
    for folder in folders:
        # As a part of a repository, so that all of it counts
        for name in special_files(folder.parent):
            if name.startswith(f"{folder.name}/"):
                yield os.path.relpath(folder.parent / name)


def _named(spec: Any) -> tuple[str, str] | None:
    """Return what tells an item of the shared kinds from others, None for any other."""
    keys = ("GlobalID", "DataModelID")
    found = (key for key in keys if isinstance(spec, Mapping) and key in spec)
    return next(((key, str(spec[key])) for key in found), None)


def relative(file_name: str, folder: Path) -> str:
    """Return the path of a file within the folder of the content."""
    return os.path.relpath(file_name, folder.resolve())
