"""The state folder of an instance: its content and the index of it, changed in one step."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from local_panther.errors import ContentError, Problem, one_line
from local_panther.instance.model import StoredItem

INDEX = "state.json"
FIRST_CONTENT = "content-0"


def stored_content(folder: Path) -> Path:
    """Return the content in a state folder; any other folder is content itself."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        return folder / str(index["content"])
    except (OSError, ValueError, LookupError, TypeError):
        return folder


class Store:
    """Items by ID, in a folder, so that they survive a restart.

    A change is first made in a folder beside the content in use; the index, which names the folder
    in use, is then replaced in one step. A reader finds either state, never a mixture.

    Attributes:
        folder: The state folder.
        items: The stored items by ID.
    """

    def __init__(self, folder: Path) -> None:
        """Open a state folder, or make one.

        Raises:
            ContentError: The folder holds an invalid index.
        """
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._name, self.items = _read_index(folder / INDEX)
        self._remove_leftovers()

    @property
    def content(self) -> Path:
        """The folder of the content in use."""
        return self.folder / self._name

    def replace(self, candidate: Path, items: Mapping[str, StoredItem]) -> None:
        """Replace the content in one step.

        Args:
            candidate: A folder beside the content with everything that it is to hold; it is moved.
            items: Everything in it, by ID.
        """
        old = self.content
        name = f"content-{int(self._name.removeprefix('content-')) + 1}"
        shutil.rmtree(self.folder / name, ignore_errors=True)
        candidate.replace(self.folder / name)
        plain = {item_id: asdict(item) for item_id, item in items.items()}
        temporary = self.folder / f".{INDEX}"
        temporary.write_text(json.dumps({"content": name, "items": plain}, indent=1), "utf-8")
        temporary.replace(self.folder / INDEX)
        self._name, self.items = name, dict(items)
        shutil.rmtree(old, ignore_errors=True)

    def spec(self, item_id: str) -> dict[str, Any]:
        """Return the YAML of a stored item."""
        text = (self.content / self.items[item_id].spec).read_text(encoding="utf-8")
        return dict(yaml.safe_load(text))

    def body(self, item_id: str) -> str:
        """Return the Python of a stored item, "" if it has none."""
        name = self.items[item_id].body
        return (self.content / name).read_text(encoding="utf-8") if name else ""

    def _remove_leftovers(self) -> None:
        """Remove what a server that was killed within a change left behind, and nothing else."""
        patterns = [".upload-*", ".delete-*"]
        if (self.folder / INDEX).is_file():  # otherwise what is in the folder is not ours
            patterns.append("content-[0-9]*")
        for pattern in patterns:
            for path in self.folder.glob(pattern):
                if path != self.content:
                    shutil.rmtree(path, ignore_errors=True)


def _read_index(path: Path) -> tuple[str, dict[str, StoredItem]]:
    if not path.is_file():
        return FIRST_CONTENT, {}
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        items = {item_id: StoredItem(**item) for item_id, item in index["items"].items()}
        return str(index["content"]), items
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        message = f"invalid index of uploads ({one_line(error)}); name another --state or remove it"
        raise ContentError([Problem(str(path), message)]) from error
