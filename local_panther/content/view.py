"""Shows only some files of a repository to what reads all of it."""

import os
from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Any

from local_panther.patching import replaced


@contextmanager
def without_files(hidden: Container[str]) -> Iterator[None]:
    """Let whatever walks through folders in this process not find some files.

    What reads content, panther_analysis_tool included, finds its files by `os.walk`.

    Args:
        hidden: Their absolute paths.
    """
    walk = os.walk

    def walk_without(top: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        for parent, folders, names in walk(top, *args, **kwargs):
            place = os.path.abspath(parent)  # noqa: PTH100 - fast, and of text
            yield parent, folders, [name for name in names if f"{place}/{name}" not in hidden]

    with replaced(os, "walk", walk_without):
        yield
