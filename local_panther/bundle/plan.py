"""What writing files into a content repository would change there."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local_panther.content.files import files_with
from local_panther.errors import ContentError, Problem

ID_KEYS = ("RuleID", "PolicyID", "QueryName", "GlobalID", "DataModelID", "PackID")


@dataclass(frozen=True)
class Change:
    """One file to write.

    Attributes:
        path: Where, from the root of the repository.
        old: What is there now; nothing if the file is new.
        new: What shall be there.
    """

    path: str
    old: bytes | None
    new: bytes

    @property
    def kind(self) -> str:
        """Whether the file is new, differs from what is there, or is the same."""
        if self.old is None:
            return "new"
        return "same" if self.old == self.new else "differs"

    def diff(self, before: str = "there", after: str = "local-panther") -> Iterator[str]:
        """Yield the lines of a unified diff from what is there to what shall be.

        Args:
            before: What the present content is called.
            after: What the new one is called.
        """
        old, new = ((b or b"").decode(errors="replace").splitlines() for b in (self.old, self.new))
        names = (f"{self.path} ({before})", f"{self.path} ({after})")
        return difflib.unified_diff(old, new, *names, lineterm="")


def planned(files: Mapping[str, bytes], folder: Path) -> list[Change]:
    """Compare files with what a repository has.

    Args:
        files: What to write, by path from the root.
        folder: The root of the repository; it need not exist.

    Raises:
        ContentError: A file cannot be written there, or an item of it is there under another name.
    """
    changes, problems = [], []
    for path, new in files.items():
        try:
            changes.append(Change(path, _content(folder, path), new))
        except OSError as error:
            problems.append(Problem(str(folder / path), error.strerror or str(error)))
    problems = problems or list(_clashes(files, folder))
    if problems:
        raise ContentError(problems)
    return changes


def _content(folder: Path, path: str) -> bytes | None:
    target = folder / path
    if not target.resolve().is_relative_to(folder.resolve()):
        raise OSError(0, f"is a link out of {folder}; replace it by a folder or file of its own")
    if not target.exists() and not target.is_symlink():
        parent = next(p for p in target.parents if p.exists() or p.is_symlink())
        if not parent.is_dir():
            raise OSError(0, f"{parent} is not a folder")
        return None
    if not target.is_file():
        raise OSError(0, "is there already and is not a file")
    return target.read_bytes()


def _clashes(files: Mapping[str, bytes], folder: Path) -> Iterator[Problem]:
    """Yield an error for each item that the repository has in a file of another name.

    An instance takes one item of an ID, and one data model for a log type.
    """
    there: dict[str, str] = {}
    for file in files_with(folder, ".yml", ".yaml"):
        path = file.relative_to(folder).as_posix()
        if path not in files:
            there |= dict.fromkeys(_names(file.read_bytes()), path)
    for path, new in files.items():
        if path.endswith(".yml"):
            for name in _names(new):
                if name in there:
                    where = folder / there[name]
                    yield Problem(str(where), f"has {name} already; remove it there or keep it")


def _names(text: bytes) -> Iterator[str]:
    """Yield what an item is known by; nothing if the file holds no item."""
    try:
        spec: Any = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return
    if not isinstance(spec, dict):
        return
    for key in ID_KEYS:
        if isinstance(spec.get(key), str):
            yield f"{key} {spec[key]}"
    if spec.get("AnalysisType") == "datamodel" and spec.get("Enabled", True):
        yield from (f"the data model of {log_type}" for log_type in spec.get("LogTypes") or ())
