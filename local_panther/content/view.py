"""Hides files of a repository from code that reads all of it."""

import os
from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Any

from local_panther.patching import replaced


@contextmanager
def without_files(hidden: Container[str]) -> Iterator[None]:
    """Hide files from everything in this process that walks through folders.

    All code that reads content, panther_analysis_tool included, finds its files with `os.walk`.

    Args:
        hidden: Absolute paths of the files.
    """
    walk = os.walk

    def walk_without(top: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        for parent, folders, names in walk(top, *args, **kwargs):
            place = os.path.abspath(parent)  # noqa: PTH100 - fast, and without resolving links
            yield parent, folders, [name for name in names if f"{place}/{name}" not in hidden]

    with replaced(os, "walk", walk_without):
        yield
