"""Reads the items of a folder of content, checked with panther_analysis_tool's own schemas.

The tool's results for a folder are cached by the bytes of all files that it reads there: finding
them again takes a third of the start-up time of a replay.
"""

import contextlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from panther_analysis_tool import constants

from local_panther.content.files import (
    SHARED_FOLDERS,
    digest_of,
    files_below,
    shared_beside,
    special_files,
    unread_items,
)
from local_panther.content.items import ClassifiedAnalysis
from local_panther.content.verdicts import logged
from local_panther.errors import ContentError, Problem, one_line
from local_panther.remembered import folders

KEPT_BACK = ("experimental", "deprecated")  # values of Status, in lower case
ITEMS = "*.y*ml"  # the pattern of files that the tool reads
KEPT = "items of"


@dataclass
class Specs:
    """The items of a folder.

    Attributes:
        items: The valid items.
        problems: The problems of the invalid items.
        unreadable: Named pipes, sockets and devices, which are not opened.
        unread: Files that are items by their text but lie in folders that are not read.
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
    # panther_analysis_tool matches folder names only if it runs in the root of the content.
    with contextlib.chdir(folder):
        special = [*special_files(Path()), *_special_in(beside)]
        found = _remembered(beside, special)
        here = os.getcwd()  # noqa: PTH109
        items = [
            ClassifiedAnalysis(os.path.normpath(f"{here}/{name}"), inside, spec)
            for name, inside, spec in found.items
        ]
    if not found.items and not found.problems:
        hint = "holds no Panther content (rules/, correlation_rules/, …); name a folder that does"
        raise ContentError([Problem(str(folder), f"{hint} with --content")])
    problems = [Problem(name, message) for name, message in found.problems]
    return Specs(items, problems, special, list(unread_items(folder)))


@dataclass(frozen=True)
class _Found:
    """The tool's results for a folder, in types that JSON has.

    Attributes:
        items: File, folder and specification of each valid item; the file is relative.
        problems: File and error of each invalid item.
    """

    items: list[tuple[str, str, dict[str, Any]]]
    problems: list[tuple[str, str]]


def _remembered(beside: list[Path], special: list[str]) -> _Found:
    """Return the tool's results for the current folder, from the cache if nothing has changed.

    Args:
        beside: Folders of helpers and data models that belong to the content.
        special: Files that must not be opened.
    """
    digest = _digest([Path(), *beside], special)
    kept = folders.get(KEPT, digest)
    if kept is not None:
        return _Found(*json.loads(kept))
    with logged() as lines:
        found = _judged(beside, special)
    with contextlib.suppress(TypeError, ValueError, RecursionError):
        text = json.dumps([found.items, found.problems])
        # Dates and similar values have no JSON form, and warnings must be logged on every run.
        is_exact = repr(list(map(tuple, json.loads(text)[0]))) == repr(found.items)
        if is_exact and all(line.levelno < logging.WARNING for line in lines):
            folders.keep(KEPT, {digest: text})
    return found


def _judged(beside: list[Path], special: list[str]) -> _Found:
    """Return the tool's results for the current folder."""
    from local_panther.content.tool import classify_analysis, load_analysis_specs

    roots = [".", *(f"./{name}" for name in SHARED_FOLDERS if Path(name).is_dir())]
    own = list(load_analysis_specs(roots, ignore_files=special))
    known = {_named(spec) for _, _, spec, _ in own}
    shared = load_analysis_specs(list(map(str, beside)), ignore_files=special)
    found = [*own, *(entry for entry in shared if _named(entry[2]) not in known)]
    items, invalid = classify_analysis(
        found, ignore_table_names=True, valid_table_names=[], ignore_extra_keys=False
    )
    refused = {name for name, _ in invalid}
    valid = [item for item in items.items() if item.file_name not in refused]
    return _Found(
        [(os.path.relpath(item.file_name), item.dir_name, item.analysis_spec) for item in valid],
        [(os.path.relpath(name), one_line(error)) for name, error in invalid],
    )


def _digest(roots: Iterable[Path], special: list[str]) -> str:
    """Return a digest of all files that can be items; a copy of the folder has the same."""
    digests = []
    for root in roots:
        names = [name for name in files_below(root) if fnmatch(name, ITEMS)]
        if special:
            names = [name for name in names if os.path.relpath(root / name) not in special]
        digests.append([str(root), digest_of(names, root)])
    return json.dumps([digests, special])


def is_uploaded(item: ClassifiedAnalysis) -> bool:
    """Return whether an upload includes an item; its Status can exclude it.

    Source: `filter_analysis` of panther_analysis_tool, which uploads everything in the folders of
    helpers and data models whatever its Status.
    """
    status = str(item.analysis_spec.get("Status") or "").lower()
    patterns = (constants.HELPERS_PATH_PATTERN, constants.DATA_MODEL_PATH_PATTERN)
    is_shared = any(fnmatch(item.dir_name, pattern) for pattern in patterns)
    return status not in KEPT_BACK or is_shared


def _special_in(folders: list[Path]) -> Iterator[str]:
    """Yield the named pipes, sockets and devices in folders beside the content."""
    for folder in folders:
        # Walk from the parent, so that the folder counts as one of content by its name.
        for name in special_files(folder.parent):
            if name.startswith(f"{folder.name}/"):
                yield os.path.relpath(folder.parent / name)


def _named(spec: Any) -> tuple[str, str] | None:
    """Return the key and ID of a helper or data model; None for any other item."""
    keys = ("GlobalID", "DataModelID")
    found = (key for key in keys if isinstance(spec, Mapping) and key in spec)
    return next(((key, str(spec[key])) for key in found), None)


def relative(file_name: str, folder: Path) -> str:
    """Return the path of a file relative to the folder of the content."""
    return os.path.relpath(file_name, folder.resolve())
