"""Finds the files of a content repository, in the folders that panther_analysis_tool reads."""

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from panther_analysis_tool import constants

# The tool's own patterns: run in a repository, it reads the files of the top folder and of each
# folder whose path matches, at any depth (build/copy/rules too), and nothing else.
FOLDER_PATTERNS = tuple(  # older versions have fewer
    value for name, value in vars(constants).items() if name.endswith("_PATH_PATTERN")
)
SHARED_FOLDERS = ("global_helpers", "data_models")  # read with all their subfolders
COMMENTED = (".yml", ".yaml", ".sql")  # files whose comments can name settings
# Not content by their names, whatever lies in them
NOT_OURS = ("node_modules", "venv", "build", "dist", "site-packages", "examples")
ITEM = re.compile(rb"^AnalysisType\s*:\s*+['\"]?+(?!pack\b)", re.MULTILINE)  # packs run nothing
MAX_ITEM_BYTES = 5 * 1024 * 1024


def shared_beside(folder: Path) -> Iterator[Path]:
    """Yield the folders of helpers and data models that belong to the content but lie beside it.

    panther_analysis_tool also reads those in the parent folder of `--path` and in the current
    folder. Here, those in the current folder only count if the content is inside it and not in a
    hidden folder, where uploads are kept.

    Args:
        folder: The root of the content.
    """
    root, here = folder.resolve(), Path.cwd()
    around = [root.parent]
    if root.is_relative_to(here):
        inside = root.relative_to(here).parts
        around += [] if any(name.startswith(".") for name in inside) else [here]
    for parent in dict.fromkeys(around):
        if parent != root:
            yield from (parent / name for name in SHARED_FOLDERS if (parent / name).is_dir())


def unread_items(folder: Path) -> Iterator[str]:
    """Yield the YAML files that are items by their text but lie in folders that are not read.

    Args:
        folder: The root of the content. The paths are relative to it.
    """
    for inside, names in _walk(folder, NOT_OURS):
        if _is_read(inside):
            continue
        for name in names:
            path = folder / inside / name
            if name.endswith((".yml", ".yaml")) and path.is_file() and _is_item(path):
                yield os.path.normpath(f"{inside}/{name}")


def has_items(folder: Path) -> bool:
    """Return whether items lie in a folder itself, as in a repository without subfolders."""
    with contextlib.suppress(OSError):
        files = (path for path in folder.iterdir() if path.suffix in (".yml", ".yaml"))
        return any(path.is_file() and _is_item(path) for path in files)
    return False


def _is_item(path: Path) -> bool:
    try:
        return path.stat().st_size < MAX_ITEM_BYTES and bool(ITEM.search(path.read_bytes()))
    except OSError:
        return False


def files_with(folder: Path, *suffixes: str) -> Iterator[Path]:
    """Yield the regular files of the content that have one of the suffixes, in order."""
    for name in names_with(folder, *suffixes):
        yield folder / name


def names_with(folder: Path, *suffixes: str) -> Iterator[str]:
    """Yield the paths of `files_with`, relative to the folder."""
    for name, mode in _content_files(folder, suffixes):
        if stat.S_ISREG(mode):
            yield name


def special_files(folder: Path) -> Iterator[str]:
    """Yield the named pipes, sockets and devices among the content, relative to the folder.

    Opening one can block forever.
    """
    for name, mode in _content_files(folder):
        if not stat.S_ISREG(mode):
            yield name


def files_below(folder: Path) -> Iterator[str]:
    """Yield all files in a folder and its subfolders, except hidden ones, relative to it."""
    for inside, names in _walk(folder):
        yield from (os.path.normpath(f"{inside}/{name}") for name in names)


def digest_of(names: Iterable[str], folder: Path) -> str:
    """Return a digest of the names and bytes of files in a folder; unreadable ones by name only."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"\n{name}\n".encode(errors="surrogateescape"))
        path = f"{folder}/{name}"
        with contextlib.suppress(OSError), open(path, "rb") as file:  # noqa: PTH123 - fast
            digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()


def _content_files(folder: Path, suffixes: tuple[str, ...] = ("",)) -> Iterator[tuple[str, int]]:
    """Yield the relative path and the mode of each file that has one of the suffixes.

    Names are compared first, because reading the mode takes most of the time.
    """
    for inside, names in _walk(folder):
        for name in names if _is_read(inside) else ():
            if not name.endswith(suffixes):
                continue
            path = os.path.normpath(f"{inside}/{name}")
            with contextlib.suppress(OSError):  # a dangling link, which cannot be opened anyway
                # os.stat, since Path.stat takes twice as long in a big repository
                yield path, os.stat(f"{folder}/{path}").st_mode  # noqa: PTH116


def _walk(folder: Path, skipped: tuple[str, ...] = ()) -> Iterator[tuple[str, list[str]]]:
    """Yield the path of each folder that is not hidden, and the names of its files in order."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name != "__pycache__" and name not in skipped
        )
        yield os.path.relpath(parent, folder), sorted(names)


@cache  # a repository has some hundred folders, and each is checked several times
def _is_read(inside: str) -> bool:
    is_shared = inside.partition("/")[0] in SHARED_FOLDERS
    is_known = any(fnmatch(f"./{inside}", each) for each in FOLDER_PATTERNS)
    return inside == "." or is_shared or is_known
