"""The content that an instance stores, and the changes that clients make to it."""

import shutil
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from local_panther.content.kinds import QUERY_KINDS
from local_panther.errors import Problem
from local_panther.instance.archive import ArchiveError, unpack
from local_panther.instance.checker import Checker
from local_panther.instance.model import CheckedUpload, StoredItem, UploadOutcome
from local_panther.instance.statistics import upload_statistics
from local_panther.instance.store import Store


class Library:
    """Stored content, with one change at a time."""

    def __init__(self, folder: Path) -> None:
        """Open a state folder, or make one.

        Raises:
            ContentError: The folder holds an invalid index.
        """
        self._store = Store(folder)
        self._checker = Checker()
        self._lock = threading.Lock()

    @property
    def items(self) -> Mapping[str, StoredItem]:
        """The stored items by ID."""
        return self._store.items

    def spec(self, item_id: str) -> dict[str, Any]:
        """Return the YAML of a stored item."""
        return self._store.spec(item_id)

    def body(self, item_id: str) -> str:
        """Return the Python of a stored item, "" if it has none."""
        return self._store.body(item_id)

    def close(self) -> None:
        """Stop a check that is under way; its upload is not stored."""
        self._checker.stop()

    def upload(self, data: str, *, store: bool = True) -> UploadOutcome:
        """Check an archive and, if nothing is wrong with it, store everything in it.

        Args:
            data: A base64 encoded zip archive.
            store: False to check only.
        """
        with (
            self._lock,
            TemporaryDirectory(dir=self._store.folder, prefix=".upload-") as work,
        ):
            unpacked, candidate = Path(work) / "unpacked", Path(work) / "candidate"
            unpacked.mkdir()
            candidate.mkdir()
            try:
                unpack(data, unpacked)
            except ArchiveError as error:
                return UploadOutcome([Problem("", str(error))])
            result = Path(work) / "result.json"
            checked = self._checker.check(unpacked, self._store.content, candidate, result)
            problems = checked.problems + self._changed_kinds(checked)
            if problems:
                return UploadOutcome(problems)
            statistics = upload_statistics(checked.items, self.items)
            if store:
                self._store.replace(candidate, {**self.items, **checked.items})
            return UploadOutcome(statistics=statistics)

    def delete(self, ids: Iterable[str], *, queries: bool, dry_run: bool) -> list[str]:
        """Delete detections, or queries, and return the IDs of those that exist.

        Args:
            ids: What to delete.
            queries: Delete queries; otherwise everything else.
            dry_run: Only return them.
        """
        with self._lock:
            wanted = dict.fromkeys(ids)
            found = [i for i in wanted if i in self.items and self._is_query(i) == queries]
            if found and not dry_run:
                self._remove(found)
            return found

    def linked(self, ids: Iterable[str], *, queries: bool) -> list[str]:
        """Return what is linked to items by ScheduledQueries.

        Args:
            ids: IDs of queries, or of detections.
            queries: True if they are queries: their scheduled rules are returned; otherwise the
                queries of scheduled rules.
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

    def _remove(self, ids: Iterable[str]) -> None:
        with TemporaryDirectory(dir=self._store.folder, prefix=".delete-") as work:
            candidate, left = Path(work) / "candidate", dict(self.items)
            shutil.copytree(self._store.content, candidate)
            for item_id in ids:
                item = left.pop(item_id)
                for name in filter(None, (item.spec, item.body)):
                    (candidate / name).unlink(missing_ok=True)
            self._store.replace(candidate, left)

    def _is_query(self, item_id: str) -> bool:
        return self.items[item_id].kind in QUERY_KINDS
