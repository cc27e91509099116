"""What writing the detections into a content repository would change there.

A file has up to three texts: as an earlier version shipped it (the base), as the repository has it,
and as this version ships it. If the user did not change it, it is replaced; if only the user did,
it is kept; if both did, it is merged. Settings are carried over in any case.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from local_panther.bundle.change import Change
from local_panther.bundle.manifest import NAME, Manifest
from local_panther.bundle.merging import merged
from local_panther.content.files import files_with
from local_panther.content.following import Repository
from local_panther.errors import ContentError, Problem

ID_KEYS = ("RuleID", "PolicyID", "QueryName", "GlobalID", "DataModelID", "PackID")


class Kind(StrEnum):
    """What becomes of a file, in the word that a user reads."""

    NEW = "new"
    UPDATED = "updated"
    MERGED = "merged"
    REMOVED = "removed"
    CONFLICT = "conflict"
    DIFFERS = "differs"
    KEPT = "kept"
    DELETED = "deleted"
    SKIPPED = "skipped"
    SAME = "same"


BLOCKING = (Kind.CONFLICT, Kind.DIFFERS)


@dataclass(frozen=True)
class Step:
    """What becomes of one file of the detections, and why.

    Attributes:
        kind: What becomes of it.
        change: Its content, before and after.
        notes: What the user has to know.
    """

    kind: Kind
    change: Change
    notes: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The path of the file in the repository."""
        return self.change.path


@dataclass(frozen=True)
class Plan:
    """What becomes of a repository.

    Attributes:
        steps: The files.
        manifest: The change of the manifest.
    """

    steps: tuple[Step, ...]
    manifest: Change

    @property
    def changes(self) -> list[Change]:
        """Everything that has to be written."""
        changes = [step.change for step in self.steps] + [self.manifest]
        return [change for change in changes if change.old != change.new]


@dataclass(frozen=True)
class Wishes:
    """What the user asks for.

    Attributes:
        wants: Whether a path is to be looked at.
        overwrite: True to replace what differs, settings too.
    """

    wants: Callable[[str], bool] = field(default=lambda path: True)
    overwrite: bool = False


def planned(
    new: Manifest,
    folder: Path,
    base: Manifest | None = None,
    wishes: Wishes | None = None,
) -> Plan:
    """Compare the files of a version with what a repository has.

    Args:
        new: The files to write.
        folder: The root of the repository; it need not exist.
        base: What an earlier version wrote there; None if none did.
        wishes: What the user asks for.

    Raises:
        ContentError: A file cannot be written there, or an item of it exists under another name.
    """
    return _Planner(new, folder, base or Manifest("", {}), wishes or Wishes()).plan()


class _Planner:
    def __init__(self, new: Manifest, folder: Path, base: Manifest, wishes: Wishes) -> None:
        self._new, self._folder, self._base, self._wishes = new, folder, base, wishes
        self._old_paths = _renamed(base.files, new.files)
        self._moved: set[str] = set()  # the old places of files that get a new one
        self._problems: list[Problem] = []

    def plan(self) -> Plan:
        there = _item_names(self._folder)
        theirs = self._satisfied(there)
        steps = [self._step(path, theirs, there) for path in self._new.files]
        steps += [s for path in self._base.files if (s := self._left(path, steps)) is not None]
        self._problems = self._problems or list(self._clashes(steps, there))
        if self._problems:
            raise ContentError(self._problems)
        steps = _agreeing(steps, self._new.files)
        return Plan(tuple(steps), self._manifest(steps))

    def _wants(self, path: str) -> bool:
        return self._wishes.wants(path)

    def _step(self, path: str, theirs: Mapping[str, str], there: Mapping[str, str]) -> Step:
        """Return what becomes of a file of the new version."""
        old_path = self._old_paths.get(path, path)
        base, new = self._base.files.get(old_path), self._new.files[path]
        place = self._place(path, old_path, there)
        mine = self._content(place)
        if path in theirs and base is None and mine != new:
            return Step(Kind.SKIPPED, Change(path, mine, mine), (theirs[path],))
        is_yours = mine is not None and path in self._base.yours and not self._wishes.overwrite
        if not self._wants(path) or is_yours:
            return Step(Kind.SKIPPED, Change(place, mine, mine), ("yours",) if is_yours else ())
        if mine is None and base is not None and not self._wishes.overwrite:
            note = f"you deleted it; --overwrite --only {path} brings it back"
            return Step(Kind.DELETED, Change(path, None, None), (note,))
        target = path if place == old_path else place
        if target == place or mine is None:
            return self._changed(target, mine, mine, base, new)
        self._moved.add(place)
        step = self._changed(target, self._content(target), mine, base, new)
        kind = Kind.UPDATED if step.kind is Kind.SAME else step.kind
        return replace(step, kind=kind, notes=(f"was {place}", *step.notes))

    def _changed(
        self, path: str, old: bytes | None, mine: bytes | None, base: bytes | None, new: bytes
    ) -> Step:
        """Return what becomes of a file that is to be written, if anything.

        Args:
            path: Where it is written.
            old: What is there now.
            mine: The text of the user; other than `old` only if the file is moved.
            base: The text that was shipped before.
            new: The text that is shipped now.
        """
        change = Change(path, old, new)
        if mine is None:
            return Step(Kind.NEW, change)
        if mine == new:
            return Step(Kind.SAME, change)
        if self._wishes.overwrite:
            return Step(Kind.UPDATED, change)
        if base is None:
            return Step(Kind.DIFFERS, change)
        result = merged(path, mine, base, new, (self._base.version, self._new.version))
        change = Change(path, old, result.text)
        if result.conflicts:
            kind = Kind.CONFLICT
        elif result.text == old:
            kind = Kind.KEPT
        else:
            kind = Kind.MERGED if result.has_edits else Kind.UPDATED
        return Step(kind, change, result.notes)

    def _place(self, path: str, old_path: str, there: Mapping[str, str]) -> str:
        """Return where the repository has a file, also if it was moved there."""
        for place in (path, old_path):
            if (self._folder / place).exists() or (self._folder / place).is_symlink():
                return place
        if old_path in self._base.files:
            names = _names(self._base.files[old_path])
            moved = {there[name] for name in names if name in there}
            if len(moved) == 1:
                return moved.pop()
            for name, spec in self._new.files.items():  # Python moves with the YAML that names it
                if name.endswith(".yml") and _python_of(name, spec) == path:
                    beside = Path(self._place(name, self._old_paths.get(name, name), there))
                    place = (beside.parent / Path(path).name).as_posix()
                    return place if (self._folder / place).is_file() else path
        return path

    def _left(self, path: str, steps: list[Step]) -> Step | None:
        """Return what becomes of a file that the new version does not have under its path."""
        if path in self._new.files or any(step.path == path for step in steps):
            return None
        mine = self._content(path)
        if mine is None:
            return None
        if path in self._moved:
            return Step(Kind.REMOVED, Change(path, mine, None), ("moved",))
        if not self._wants(path):
            return Step(Kind.SKIPPED, Change(path, mine, mine))
        shipped = self._base.files[path]
        result = merged(path, mine, shipped, shipped, ("", ""))
        if result.has_edits and not self._wishes.overwrite:
            note = "is no longer among the detections; you changed it, so remove it yourself"
            return Step(Kind.KEPT, Change(path, mine, mine), (note,))
        return Step(Kind.REMOVED, Change(path, mine, None), ("is no longer among the detections",))

    def _content(self, path: str) -> bytes | None:
        """Return what the repository has at a path, and note what can take no file."""
        try:
            return _content(self._folder, path)
        except OSError as error:
            problem = Problem(str(self._folder / path), error.strerror or str(error))
            if problem not in self._problems:
                self._problems.append(problem)
            return None

    def _satisfied(self, there: Mapping[str, str]) -> dict[str, str]:
        """Return the files that another data model makes needless, with a note on each.

        An instance takes one data model for a log type, and nothing of the detections calls one.
        """
        needless: dict[str, str] = {}
        for path, data in self._new.files.items():
            log_types = [name for name in _names(data) if name.startswith(DATA_MODEL)]
            found = next((there[name] for name in log_types if name in there), None)
            is_ours = found == path and path in self._base.files
            if path.endswith(".yml") and found and not is_ours:
                note = f"{log_types[0]} is there already ({found})"
                needless |= dict.fromkeys((path, _python_of(path, data)), note)
        return needless

    def _clashes(self, steps: list[Step], there: Mapping[str, str]) -> Iterator[Problem]:
        """Yield an error for each item that the repository has in a file of another name."""
        handled = {step.path for step in steps}
        for step in steps:
            is_written = step.kind in (Kind.NEW, Kind.UPDATED, Kind.MERGED, *BLOCKING)
            names = _names(step.change.new) if is_written and step.change.new else ()
            for name in names if step.path.endswith(".yml") else ():
                if there.get(name, step.path) not in handled:
                    where = str(self._folder / there[name])
                    how = f"remove it there, or keep it with --skip {step.path}"
                    yield Problem(where, f"has {name} already; {how}")

    def _manifest(self, steps: list[Step]) -> Change:
        files, yours = {}, set(self._base.yours)
        kinds = {step.path: step.kind for step in steps}
        for path, data in self._new.files.items():
            old_path = self._old_paths.get(path, path)
            kind = kinds.get(path) or kinds.get(old_path)
            if kind is not Kind.SKIPPED:
                files[path] = data
                yours.discard(path)
            elif old_path in self._base.files:
                files[old_path] = self._base.files[old_path]
            elif _content(self._folder, path) not in (None, data):
                yours.add(path)
        for step in steps:
            if step.kind is Kind.SKIPPED and step.path in self._base.files:
                files.setdefault(step.path, self._base.files[step.path])
        manifest = Manifest(self._new.version, files, frozenset(yours & self._new.files.keys()))
        return Change(NAME, _content(self._folder, NAME), manifest.to_bytes())


DATA_MODEL = "the data model of "


def _agreeing(steps: list[Step], shipped: Mapping[str, bytes]) -> list[Step]:
    """Return the steps with every value that repeats a setting brought to the user's setting."""
    with tempfile.TemporaryDirectory(prefix="local-panther-") as name:
        folder = Path(name)
        for step in steps:
            if step.change.new is not None:
                (folder / step.path).parent.mkdir(parents=True, exist_ok=True)
                (folder / step.path).write_bytes(step.change.new)
        texts = Repository(folder).fixed()
    settled = []
    for step in steps:
        if step.path in texts and step.kind in (Kind.NEW, Kind.UPDATED, Kind.MERGED, Kind.SAME):
            change = replace(step.change, new=texts[step.path].encode())
            kind: Kind = step.kind
            if kind is not Kind.NEW:
                is_same = change.new == change.old
                kind = Kind.KEPT if is_same else Kind.UPDATED if kind is Kind.SAME else kind
            step = replace(step, change=change, kind=kind)
        settled.append(step)
    return settled


def _renamed(base: Mapping[str, bytes], new: Mapping[str, bytes]) -> dict[str, str]:
    """Return the old path of each file that has another one in the new version."""
    gone = {name: path for path in base if path not in new for name in _names(base[path])}
    moves = {}
    for path, data in new.items():
        old = next((gone[name] for name in _names(data) if name in gone), None)
        if path not in base and old and path.endswith(".yml"):
            moves[path] = old
            pair = _python_of(path, data), _python_of(old, base[old])
            if pair[0] in new and pair[0] not in base and pair[1] in base and pair[1] not in new:
                moves[pair[0]] = pair[1]
    return moves


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


def _item_names(folder: Path) -> dict[str, str]:
    """Return the file of each item of a repository, by what the item is known by."""
    return {
        name: file.relative_to(folder).as_posix()
        for file in files_with(folder, ".yml", ".yaml")
        for name in _names(file.read_bytes())
    }


def _spec(text: bytes) -> dict[str, Any]:
    """Return the item in a YAML file; {} if it holds none."""
    try:
        spec: Any = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return {}
    return spec if isinstance(spec, dict) else {}


def _names(text: bytes) -> list[str]:
    """Return what an item is known by; [] if the text holds no item."""
    spec = _spec(text)
    names = [f"{key} {spec[key]}" for key in ID_KEYS if isinstance(spec.get(key), str)]
    if spec.get("AnalysisType") == "datamodel" and spec.get("Enabled", True):
        names += [f"{DATA_MODEL}{log_type}" for log_type in spec.get("LogTypes") or ()]
    return names


def _python_of(path: str, text: bytes) -> str:
    """Return the path of the Python that an item names; "" if it names none."""
    name = _spec(text).get("Filename")
    return (Path(path).parent / name).as_posix() if isinstance(name, str) else ""
