"""The stored content of an instance, and the changes that clients make to it."""

import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from local_panther.content.kinds import QUERY_KINDS, SHARED_KINDS
from local_panther.errors import Problem
from local_panther.instance.check.checker import Checker
from local_panther.instance.check.model import CheckedUpload, StoredItem, UploadOutcome
from local_panther.instance.check.safe_yaml import TooLargeError, check_expansion
from local_panther.instance.store.archive import ArchiveError, unpack
from local_panther.instance.store.state_folder import StateFolder
from local_panther.instance.store.statistics import upload_statistics
from local_panther.processes import TemporaryFolder

T = TypeVar("T")
YAML_SUFFIXES = (".yml", ".yaml")


class Library:
    """The stored content. Changes are made one at a time.

    Attributes:
        changed: Set whenever an item was stored or deleted.
    """

    def __init__(self, folder: Path, *, trust: bool = False) -> None:
        """Open a state folder, or create one.

        Args:
            folder: The folder.
            trust: Check uploads without the box.

        Raises:
            ContentError: The folder is in use, is not a state folder, or has an invalid index.
        """
        self._state = StateFolder(folder)
        self._checker = Checker(trust=trust)
        self._lock = threading.Lock()
        self._closed = False
        self.changed = threading.Event()
        self._specs: dict[str, dict[str, Any]] = {}  # cache, by digest

    @property
    def items(self) -> Mapping[str, StoredItem]:
        """The stored items by ID."""
        return self._state.items

    @property
    def folder(self) -> Path:
        """The state folder."""
        return self._state.folder

    def work_folder(self) -> TemporaryFolder:
        """Return a new temporary folder inside the state folder."""
        return self._state.work_folder()

    def copy_to(self, target: Path) -> None:
        """Copy the content into a new folder, with each change as a whole or not at all.

        Raises:
            OSError: The content cannot be copied.
        """
        with self._lock:
            shutil.copytree(self._state.content, target)

    def copy_shared_to(self, target: Path) -> None:
        """Copy the globals and data models, which any rule may use, into a folder.

        Raises:
            OSError: They cannot be copied.
        """
        with self._lock:
            self._state.copy_to(target, SHARED_KINDS)

    def spec(self, item_id: str) -> dict[str, Any]:
        """Return the YAML of a stored item. The caller must not change it."""
        digest = self.items[item_id].digest
        if digest not in self._specs:
            if len(self._specs) > 2 * len(self.items):
                self._specs.clear()  # most belong to items that are no longer stored
            self._specs[digest] = self._read(self._state.spec, item_id)
        return self._specs[digest]

    def body(self, item_id: str) -> str:
        """Return the Python of a stored item, "" if it has none."""
        return self._read(self._state.body, item_id)

    def _read(self, read: Callable[[str], T], item_id: str) -> T:
        """Read an item; if a concurrent change removes its files, read again after it."""
        try:
            return read(item_id)
        except (OSError, KeyError):
            with self._lock:
                return read(item_id)

    def close(self) -> None:
        """Stop the current check, whose upload is then not stored, and release the folder."""
        self._closed = True
        self._checker.stop()
        with self._lock:
            self._state.close()

    def upload(self, data: str, *, store: bool = True) -> UploadOutcome:
        """Check an archive and store its items if there are no problems.

        Args:
            data: A base64 encoded zip archive.
            store: False to check only.
        """
        with self._lock:
            if self._closed:
                return _problem("the server is stopping; nothing was stored")
            try:
                with self._state.work_folder() as work:
                    return self._upload(data, work, store=store)
            except ArchiveError as error:
                return _problem(str(error))
            except OSError as error:
                reason = error.strerror or str(error)
                return _problem(f"the upload cannot be stored ({reason}); nothing has changed")

    def _upload(self, data: str, work: Path, *, store: bool) -> UploadOutcome:
        unpacked, candidate = work / "unpacked", work / "candidate"
        unpacked.mkdir()
        candidate.mkdir()
        unpack(data, unpacked)
        problems = too_large(unpacked)
        if problems:
            return UploadOutcome(problems)
        checked = self._checker.check(work, unpacked, self._state.content, candidate)
        problems = checked.problems + self._changed_kinds(checked)
        if problems:
            return UploadOutcome(problems)
        statistics = upload_statistics(checked.items, self.items)
        if store:
            try:
                self._state.add(candidate, checked.items)
                self.changed.set()
            except ValueError as error:  # only uploaded code that forges the result causes it
                return _problem(f"the check gave an invalid result: {error}")
        return UploadOutcome(statistics=statistics)

    def delete(self, ids: Iterable[str], *, queries: bool, dry_run: bool) -> list[str]:
        """Delete detections, or queries, and return the IDs of those that exist.

        Args:
            ids: IDs of the items to delete.
            queries: Delete only queries if True, only other items if False.
            dry_run: Return the IDs without deleting.
        """
        with self._lock:
            wanted = dict.fromkeys(ids)
            found = [i for i in wanted if i in self.items and self._is_query(i) == queries]
            if found and not dry_run:
                self._state.remove(found)
                self.changed.set()
            return found

    def linked(self, ids: Iterable[str], *, queries: bool) -> list[str]:
        """Return the IDs of items that ScheduledQueries links to some items.

        Args:
            ids: IDs of queries, or of detections.
            queries: True to return the scheduled rules of queries, False to return the queries of
                scheduled rules.
        """
        chosen = set(ids)
        found: list[str] = []
        for item_id, item in self.items.items():
            if item.kind != "scheduled_rule":
                continue
            names = self.spec(item_id).get("ScheduledQueries") or []
            if queries and chosen & set(names):
                found.append(item_id)
            elif not queries and item_id in chosen:
                found += [name for name in names if name in self.items]
        return list(dict.fromkeys(found))

    def _changed_kinds(self, checked: CheckedUpload) -> list[Problem]:
        """Return a problem for each item whose ID is stored as another kind."""
        problems = []
        for item_id, item in checked.items.items():
            stored = self.items.get(item_id, item).kind
            if stored != item.kind:
                message = f"{item_id}: is stored as a {stored}, not as a {item.kind}"
                problems.append(Problem(checked.files[item_id], message))
        return problems

    def _is_query(self, item_id: str) -> bool:
        return self.items[item_id].kind in QUERY_KINDS


def too_large(unpacked: Path) -> list[Problem]:
    """Return a problem for each YAML file that expands to more than can be handled."""
    problems = []
    for path in sorted(unpacked.rglob("*")):
        if path.suffix not in YAML_SUFFIXES:
            continue
        try:
            check_expansion(path.read_bytes())
        except TooLargeError as error:
            problems.append(Problem(str(path.relative_to(unpacked)), str(error)))
        except yaml.YAMLError:
            pass  # the check reports it
    return problems


def _problem(message: str) -> UploadOutcome:
    return UploadOutcome([Problem("", message)])
