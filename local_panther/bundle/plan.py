"""Plans how to write the detections into a content repository, or to upgrade them there.

A file has up to three texts: the one that an earlier version shipped (the base), the repository's,
and the one that this version ships. A file that the user did not change is replaced; a file that
only the user changed is kept; a file that both changed is merged. Settings are always carried over.
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
    """The kinds of steps, as they are printed."""

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
    """The step for one file of the detections.

    Attributes:
        kind: Kind of the step.
        change: Change of the file's content.
        notes: Notes for the user.
    """

    kind: Kind
    change: Change
    notes: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Path of the file in the repository."""
        return self.change.path


@dataclass(frozen=True)
class Plan:
    """The plan for a repository.

    Attributes:
        steps: Steps for all files.
        manifest: Change of the manifest.
    """

    steps: tuple[Step, ...]
    manifest: Change

    @property
    def changes(self) -> list[Change]:
        """Changes that have to be written."""
        changes = [step.change for step in self.steps] + [self.manifest]
        return [change for change in changes if change.old != change.new]


@dataclass(frozen=True)
class Wishes:
    """The wishes of the user.

    Attributes:
        wants: Function that returns whether the file at a path may be written.
        overwrite: True to replace files that differ, including their settings.
    """

    wants: Callable[[str], bool] = field(default=lambda path: True)
    overwrite: bool = False


def planned(
    new: Manifest,
    folder: Path,
    base: Manifest | None = None,
    wishes: Wishes | None = None,
) -> Plan:
    """Return the plan for writing the files of a version into a repository.

    Args:
        new: Files to write.
        folder: Root of the repository; it need not exist.
        base: Files that an earlier version wrote there; None if none did.
        wishes: Wishes of the user; by default none.

    Raises:
        ContentError: A file cannot be written, or the repository has its item in another file.
    """
    return _Planner(new, folder, base or Manifest("", {}), wishes or Wishes()).plan()


class _Planner:
    def __init__(self, new: Manifest, folder: Path, base: Manifest, wishes: Wishes) -> None:
        self._new, self._folder, self._base, self._wishes = new, folder, base, wishes
        self._old_paths = _renamed(base.files, new.files)
        self._moved: set[str] = set()  # old paths of files that are moved
        self._problems: list[Problem] = []

    def plan(self) -> Plan:
        present = _item_names(self._folder)
        needless = self._needless(present)
        steps = [self._step(path, needless, present) for path in self._new.files]
        steps += [s for path in self._base.files if (s := self._old_step(path, steps)) is not None]
        self._problems = self._problems or list(self._clashes(steps, present))
        if self._problems:
            raise ContentError(self._problems)
        steps = _agreeing(steps, self._new.files)
        return Plan(tuple(steps), self._manifest(steps))

    def _wants(self, path: str) -> bool:
        return self._wishes.wants(path)

    def _step(self, path: str, needless: Mapping[str, str], present: Mapping[str, str]) -> Step:
        """Return the step for a file of the new version."""
        old_path = self._old_paths.get(path, path)
        base, new = self._base.files.get(old_path), self._new.files[path]
        place = self._place(path, old_path, present)
        mine = self._content(place)
        if path in needless and base is None and mine != new:
            return Step(Kind.SKIPPED, Change(path, mine, mine), (needless[path],))
        is_yours = mine is not None and path in self._base.yours and not self._wishes.overwrite
        if not self._wants(path) or is_yours:
            return Step(Kind.SKIPPED, Change(place, mine, mine), ("yours",) if is_yours else ())
        if mine is None and base is not None and not self._wishes.overwrite:
            note = f"you deleted it; --overwrite --only {path} restores it"
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
        """Return the step for a file of the new version at its path.

        Args:
            path: Path to write to.
            old: Present content at this path.
            mine: Text of the user; it differs from `old` only if the file is moved.
            base: Text that was shipped before.
            new: Text that is shipped now.
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

    def _place(self, path: str, old_path: str, present: Mapping[str, str]) -> str:
        """Return the path at which the repository has a file, also if the user moved it."""
        for place in (path, old_path):
            if (self._folder / place).exists() or (self._folder / place).is_symlink():
                return place
        if old_path in self._base.files:
            names = _names(self._base.files[old_path])
            moved = {present[name] for name in names if name in present}
            if len(moved) == 1:
                return moved.pop()
            for name, spec in self._new.files.items():  # Python moves with the YAML that names it
                if name.endswith(".yml") and _python_of(name, spec) == path:
                    beside = Path(self._place(name, self._old_paths.get(name, name), present))
                    place = (beside.parent / Path(path).name).as_posix()
                    return place if (self._folder / place).is_file() else path
        return path

    def _old_step(self, path: str, steps: list[Step]) -> Step | None:
        """Return the step for a file whose path the new version does not have; None for others."""
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
            note = "is no longer part of the detections; you changed it, so remove it yourself"
            return Step(Kind.KEPT, Change(path, mine, mine), (note,))
        return Step(
            Kind.REMOVED, Change(path, mine, None), ("is no longer part of the detections",)
        )

    def _content(self, path: str) -> bytes | None:
        """Return the content at a path; record a problem if no file can be there."""
        try:
            return _content(self._folder, path)
        except OSError as error:
            problem = Problem(str(self._folder / path), error.strerror or str(error))
            if problem not in self._problems:
                self._problems.append(problem)
            return None

    def _needless(self, present: Mapping[str, str]) -> dict[str, str]:
        """Return the files that the repository's own data model replaces, with a note on each.

        An instance accepts one data model for a log type, and no detection here uses one.
        """
        needless: dict[str, str] = {}
        for path, data in self._new.files.items():
            log_types = [name for name in _names(data) if name.startswith(DATA_MODEL)]
            found = next((present[name] for name in log_types if name in present), None)
            is_ours = found == path and path in self._base.files
            if path.endswith(".yml") and found and not is_ours:
                note = f"{log_types[0]} exists already ({found})"
                needless |= dict.fromkeys((path, _python_of(path, data)), note)
        return needless

    def _clashes(self, steps: list[Step], present: Mapping[str, str]) -> Iterator[Problem]:
        """Yield a problem for each item that the repository has in a file of another name."""
        handled = {step.path for step in steps}
        for step in steps:
            is_written = step.kind in (Kind.NEW, Kind.UPDATED, Kind.MERGED, *BLOCKING)
            names = _names(step.change.new) if is_written and step.change.new else ()
            for name in names if step.path.endswith(".yml") else ():
                if present.get(name, step.path) not in handled:
                    where = str(self._folder / present[name])
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
    """Return the steps with all values that repeat a setting set to the user's setting."""
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
    """Return the old path of each file that has a new path in the new version."""
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
        raise OSError(0, f"is a link out of {folder}; replace it with a real folder or file")
    if not target.exists() and not target.is_symlink():
        parent = next(p for p in target.parents if p.exists() or p.is_symlink())
        if not parent.is_dir():
            raise OSError(0, f"{parent} is not a folder")
        return None
    if not target.is_file():
        raise OSError(0, "exists already and is not a file")
    return target.read_bytes()


def _item_names(folder: Path) -> dict[str, str]:
    """Return the path of each item of a repository, by the item's names."""
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
    """Return the names that identify an item, such as "RuleID A.B"; [] if there is no item."""
    spec = _spec(text)
    names = [f"{key} {spec[key]}" for key in ID_KEYS if isinstance(spec.get(key), str)]
    if spec.get("AnalysisType") == "datamodel" and spec.get("Enabled", True):
        names += [f"{DATA_MODEL}{log_type}" for log_type in spec.get("LogTypes") or ()]
    return names


def _python_of(path: str, text: bytes) -> str:
    """Return the path of the Python that an item names; "" if it names none."""
    name = _spec(text).get("Filename")
    return (Path(path).parent / name).as_posix() if isinstance(name, str) else ""
