"""The files of a content repository: those in the folders that panther_analysis_tool reads."""

import contextlib
import os
import stat
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from panther_analysis_tool import constants

# As panther_analysis_tool has them: run in a repository, it reads the files of the top folder and
# of each folder whose path matches, however deep, and nothing of build/, node_modules/ and so on.
FOLDER_PATTERNS = tuple(  # older versions know fewer folders
    value for name, value in vars(constants).items() if name.endswith("_PATH_PATTERN")
)


def files_with(folder: Path, *suffixes: str) -> Iterator[Path]:
    """Yield the regular files of a repository's content with one of some suffixes, in order."""
    for name, mode in _content_files(folder):
        if name.endswith(suffixes) and stat.S_ISREG(mode):
            yield folder / name


def special_files(folder: Path) -> Iterator[str]:
    """Yield the named pipes, sockets and devices among the content, relative to the folder.

    To open one could take forever.
    """
    for name, mode in _content_files(folder):
        if not stat.S_ISREG(mode):
            yield name


def _content_files(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the path of each file, relative to the folder, and its mode."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name != "__pycache__"
        )
        inside = os.path.relpath(parent, folder)
        is_read = inside == "." or any(fnmatch(f"./{inside}", each) for each in FOLDER_PATTERNS)
        for name in sorted(names) if is_read else ():
            path = os.path.normpath(f"{inside}/{name}")
            with contextlib.suppress(OSError):  # a dangling link, which cannot be opened anyway
                # os.stat, since Path.stat takes twice as long in a big repository
                yield path, os.stat(f"{folder}/{path}").st_mode  # noqa: PTH116
