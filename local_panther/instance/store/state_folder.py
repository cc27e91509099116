"""The state folder of an instance: content and index, changed atomically."""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from local_panther.errors import ContentError, Problem
from local_panther.instance.check.files import PRIVATE_FOLDER, is_folder, read_file, write_file
from local_panther.instance.check.model import StoredItem
from local_panther.instance.check.safe_yaml import load_yaml
from local_panther.instance.store.index import (
    CONTENT_NAME,
    INDEX,
    PREFIX,
    Index,
    check_item,
    read_index,
)
from local_panther.processes import TemporaryFolder
from local_panther.times import iso

WORK_PREFIX = ".upload-"
CHANGE_PREFIX = ".change-"
LEFTOVERS = (WORK_PREFIX, CHANGE_PREFIX)
ALERTS_PREFIX = "alerts.sqlite"  # also of the further files of SQLite
LOCK_SECONDS, LOCK_POLL_SECONDS = 2.0, 0.02  # wait for a lock, and between attempts to get it
LAKE_NAME = re.compile(r"lake-[0-9]{1,15}")


class StateFolder:
    """The stored items, in a folder that survives a restart.

    A change is first written to a new content folder; then the index, which names the content
    folder in use, is replaced atomically. Readers find the state before or after a change, never a
    mixture. The state folder is locked against a second server until `close`.

    Attributes:
        folder: The state folder.
    """

    def __init__(self, folder: Path) -> None:
        """Open a state folder, or create one.

        Raises:
            ContentError: The folder is in use, is not a state folder, or has an invalid index.
            OSError: The folder cannot be created or read.
        """
        self.folder = folder.absolute()
        if self.folder.is_symlink():
            raise _refused(folder, "is a symbolic link; name the folder itself")
        self.folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        self._lock: int | None = _locked(self.folder)
        try:
            self._index = read_index(self.folder)
            self._refuse_other_folders()
            self.folder.chmod(PRIVATE_FOLDER)
            self._remove_leftovers()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the lock on the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def items(self) -> Mapping[str, StoredItem]:
        """The stored items by ID."""
        return self._index.items

    @property
    def content(self) -> Path:
        """The folder of the content in use."""
        return self.folder / self._index.content

    def work_folder(self) -> TemporaryFolder:
        """Return a new temporary folder for an upload."""
        return TemporaryFolder(WORK_PREFIX, inside=self.folder)

    def add(self, candidate: Path, uploaded: Mapping[str, StoredItem]) -> None:
        """Add items, or replace those with the same ID.

        Args:
            candidate: The folder with their files. It is not trusted, since uploaded code could
                write to it: only the files of these items are copied from it, links and paths that
                leave it are refused, and digests are computed again.
            uploaded: The items by ID.

        Raises:
            ValueError: A path of an item is not in the folder of its kind.
            OSError: A file cannot be read or stored; nothing has changed.
        """
        for item in uploaded.values():
            check_item(item)
        kept = {i: item for i, item in self.items.items() if i not in uploaded}
        with TemporaryFolder(CHANGE_PREFIX, inside=self.folder) as change:
            new = change / "content"
            self._copy(self.content, new, kept)
            stored = self._dated(self._copy(candidate, new, uploaded))
            order = {**self.items, **stored}  # a replaced item keeps its place
            self._use(new, order)

    def remove(self, ids: Collection[str]) -> None:
        """Remove items.

        Raises:
            OSError: The remaining items cannot be stored again; nothing has changed.
        """
        kept = {i: item for i, item in self.items.items() if i not in ids}
        with TemporaryFolder(CHANGE_PREFIX, inside=self.folder) as change:
            new = change / "content"
            self._copy(self.content, new, kept)
            self._use(new, kept)

    def copy_to(self, target: Path, kinds: Collection[str]) -> None:
        """Copy the stored items of some kinds into a folder.

        Raises:
            OSError: A file cannot be read or written.
        """
        items = {i: item for i, item in self.items.items() if item.kind in kinds}
        self._copy(self.content, target, items)

    def spec(self, item_id: str) -> dict[str, Any]:
        """Return the YAML of a stored item."""
        return dict(load_yaml(read_file(self.content / self.items[item_id].spec)))

    def body(self, item_id: str) -> str:
        """Return the Python of a stored item, "" if it has none."""
        name = self.items[item_id].body
        return read_file(self.content / name).decode("utf-8") if name else ""

    def _dated(self, stored: Mapping[str, StoredItem]) -> dict[str, StoredItem]:
        now, dated = iso(int(time.time())), {}
        for item_id, item in stored.items():
            before = self.items.get(item_id, replace(item, digest=""))
            modified = before.modified if before.digest == item.digest else now
            dated[item_id] = replace(item, created=before.created or now, modified=modified)
        return dated

    @staticmethod
    def _copy(source: Path, new: Path, items: Mapping[str, StoredItem]) -> dict[str, StoredItem]:
        """Copy the files of items, and return the items with the digests of the copies."""
        copied = {}
        new.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        for item_id, item in items.items():
            spec = read_file(source / item.spec)
            body = read_file(source / item.body) if item.body else b""
            (new / item.spec).parent.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
            write_file(new / item.spec, spec)
            if item.body:
                write_file(new / item.body, body)
            digest = hashlib.sha256(spec + b"\0" + body).hexdigest()
            copied[item_id] = replace(item, digest=digest)
        return copied

    def _use(self, new: Path, items: Mapping[str, StoredItem]) -> None:
        """Switch to a new content folder atomically."""
        old = self.content
        if not (self.folder / INDEX).exists():  # the index marks a state folder
            self._write_index(self._index)
        number = int(self._index.content.rpartition("-")[2]) + 1
        while os.path.lexists(self.folder / f"{PREFIX}{number}"):
            number += 1
        index = Index(f"{PREFIX}{number}", dict(items))
        target = self.folder / index.content
        new.rename(target)
        try:
            self._write_index(index)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
        self._index = index
        shutil.rmtree(old, ignore_errors=True)

    def _write_index(self, index: Index) -> None:
        with TemporaryFolder(CHANGE_PREFIX, inside=self.folder) as change:
            write_file(change / INDEX, index.as_json())
            (change / INDEX).replace(self.folder / INDEX)

    def _refuse_other_folders(self) -> None:
        """Raise ContentError if the folder holds files but was not made by a server."""
        names = {path.name for path in self.folder.iterdir()}
        ours = (*LEFTOVERS, ALERTS_PREFIX)
        others = [n for n in names if not n.startswith(ours) and not LAKE_NAME.fullmatch(n)]
        if INDEX not in names and others:
            raise _refused(self.folder, "holds files but no uploads; name another --state")

    def _remove_leftovers(self) -> None:
        """Remove the folders of changes that a killed server left behind, and nothing else."""
        for path in self.folder.iterdir():
            is_leftover = path.name.startswith(LEFTOVERS) or CONTENT_NAME.fullmatch(path.name)
            if is_leftover and path != self.content and is_folder(path):
                shutil.rmtree(path, ignore_errors=True)


def _locked(folder: Path) -> int:
    """Lock a folder and return a descriptor; closing that releases the lock.

    The workers of a server that was killed hold its lock until they have exited too.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    given_up = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            is_held = error.errno in (errno.EWOULDBLOCK, errno.EACCES)
            if is_held and time.monotonic() < given_up:
                time.sleep(LOCK_POLL_SECONDS)
                continue
            os.close(descriptor)
            if is_held:
                message = "is in use by another local-panther serve; name another --state"
                raise _refused(folder, message) from error
            raise
        return descriptor


def _refused(folder: Path, message: str) -> ContentError:
    return ContentError([Problem(str(folder), message)])
