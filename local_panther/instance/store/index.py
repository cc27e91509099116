"""The index of a state folder: the content folder in use, and the items in it."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from local_panther.content.kinds import FOLDERS
from local_panther.errors import ContentError, Problem, one_line
from local_panther.instance.check.files import is_file, is_folder, read_file
from local_panther.instance.check.model import StoredItem

INDEX = "state.json"
# 0.1.0 and 0.2.0 wrote version 1, without a number. A new version needs a step in `_upgraded`.
VERSION = 2
# Hidden, so that panther_analysis_tool finds no content in a state folder inside a repository: it
# reads every folder whose path contains "rules" or the like, unless a part of it begins with a dot.
PREFIX = ".content-"
CONTENT_NAME = re.compile(r"\.?content-[0-9]{1,15}")  # older versions wrote it without the dot


@dataclass(frozen=True)
class Index:
    """The contents of an index.

    Attributes:
        content: The name of the folder in use.
        items: The stored items by ID.
    """

    content: str = f"{PREFIX}0"
    items: Mapping[str, StoredItem] = field(default_factory=dict)

    def as_json(self) -> bytes:
        """Return the text of the index."""
        items = {item_id: asdict(item) for item_id, item in self.items.items()}
        plain = {"version": VERSION, "content": self.content, "items": items}
        return json.dumps(plain, indent=1).encode()


def stored_content(folder: Path) -> Path:
    """Return the content folder in a state folder; return any other folder unchanged.

    Raises:
        ContentError: The folder has an invalid index.
    """
    if not (folder / INDEX).is_file():
        return folder
    return folder / read_index(folder).content


def is_stored(content: Path) -> bool:
    """Return whether a content folder belongs to a state folder."""
    return (content.parent / INDEX).is_file() and bool(CONTENT_NAME.fullmatch(content.name))


def read_index(folder: Path) -> Index:
    """Read and check the index of a state folder; a folder without one holds no items.

    Raises:
        ContentError: The index is invalid, or names a file that is not in the folder.
    """
    path = folder / INDEX
    if not path.exists() and not path.is_symlink():
        return Index()
    try:
        plain = _upgraded(path, json.loads(read_file(path)))
        items = {str(i): StoredItem(**item) for i, item in plain["items"].items()}
        index = Index(str(plain["content"]), items)
        _check(folder, index)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        message = f"invalid index of uploads ({one_line(error)}); name another --state or remove it"
        raise ContentError([Problem(str(path), message)]) from error
    return index


def _upgraded(path: Path, plain: dict[str, Any]) -> dict[str, Any]:
    """Return an index of this or an earlier version as one of this version.

    The next change of the content writes the result to disk.

    Raises:
        ContentError: The index has a later version.
    """
    version = plain.get("version", 1)
    if type(version) is not int or version < 1:
        raise ValueError(f"{version!r} is not a version of the index")
    if version > VERSION and {"content", "items"} <= plain.keys():
        raise ContentError([Problem(str(path), newer(version))])
    return plain  # items of version 1 may lack times, which then default to ""


def newer(version: int) -> str:
    """Return the error for a state that a newer local-panther has written."""
    unknown = f"is of version {version}, which this local-panther does not know"
    return f"{unknown}: upgrade it, or name another --state"


def check_item(item: StoredItem) -> None:
    """Check that the files of an item lie in the folder of its kind.

    Raises:
        ValueError: A file does not; the message names it.
    """
    folder = FOLDERS.get(item.kind)
    if folder is None:
        raise ValueError(f"{item.kind!r} is not a kind of item")
    for name in filter(None, (item.spec, item.body)):
        if not _is_in(folder, name) or "\0" in name:
            raise ValueError(f"{name!r} is not a file in {folder}")
    if not item.spec.endswith(".yml"):
        raise ValueError(f"{item.spec!r} is not a YAML file")


def _is_in(folder: str, name: str) -> bool:
    path = PurePosixPath(name)
    plain = name == f"{folder}/{path.name}"
    return plain and not path.name.startswith(".") and path.name != ".."


def _check(folder: Path, index: Index) -> None:
    if not CONTENT_NAME.fullmatch(index.content):
        raise ValueError(f"{index.content!r} is not a folder of content")
    content = folder / index.content
    for item in index.items.values():
        check_item(item)
        for name in filter(None, (item.spec, item.body)):
            if not is_file(content / name):
                raise ValueError(f"{name!r} is missing or is not a regular file")
            if not is_folder(content) or not is_folder((content / name).parent):
                raise ValueError(f"the folder of {name!r} is a link")
