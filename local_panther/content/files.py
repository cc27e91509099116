"""The files of a content repository."""

import os
from collections.abc import Iterator
from pathlib import Path


def files_with(folder: Path, *suffixes: str) -> Iterator[Path]:
    """Yield the files with one of some suffixes, in order; hidden folders have no content."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent) / name for name in sorted(names) if name.endswith(suffixes))
