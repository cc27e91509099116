"""The state folder of an instance: its content and the index of it, changed in one step."""

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
ALERTS_PREFIX = "alerts.sqlite"  # and what SQLite keeps beside it
LAKE_NAME = re.compile(r"lake-[0-9]{1,15}")


class StateFolder:
    """Items by ID, in a folder of our own, so that they survive a restart.

    A change is first made in a folder beside the content in use; the index, which names the folder
    in use, is then replaced in one step. A reader finds either state, never a mixture. The folder
    is locked against a second server as long as the store is open.

    Attributes:
        folder: The state folder.
    """

    def __init__(self, folder: Path) -> None:
        """Open a state folder, or make one.

        Raises:
            ContentError: The folder is in use, is not ours, or holds an invalid index.
            OSError: It cannot be made or read.
        """
        self.folder = folder.absolute()
        if self.folder.is_symlink():
            raise _refused(folder, "is a symbolic link; name the folder itself")
        self.folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        self._lock = _locked(self.folder)
        try:
            self._index = read_index(self.folder)
            self._refuse_what_is_not_ours()
            self.folder.chmod(PRIVATE_FOLDER)
            self._remove_leftovers()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another server have the folder."""
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
        """Return a new folder for what becomes of an upload."""
        return TemporaryFolder(WORK_PREFIX, inside=self.folder)

    def add(self, candidate: Path, uploaded: Mapping[str, StoredItem]) -> None:
        """Store items, beside what is stored or in place of it.

        Args:
            candidate: The folder with their files. It is not trusted: code that was uploaded could
                write into it. So all else is taken from what is stored, and links, paths that leave
                it and digests that are wrong do no harm.
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
            order = {**self.items, **stored}  # an item keeps its place
            self._use(new, order)

    def remove(self, ids: Collection[str]) -> None:
        """Remove items.

        Raises:
            OSError: The rest cannot be stored anew; nothing has changed.
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
        """Copy the files of items, and return the items with the digests of what was copied."""
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
        """Put content into use in one step."""
        old = self.content
        if not (self.folder / INDEX).exists():  # it says from now on that the folder is ours
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

    def _refuse_what_is_not_ours(self) -> None:
        names = {path.name for path in self.folder.iterdir()}
        ours = (*LEFTOVERS, ALERTS_PREFIX)
        others = [n for n in names if not n.startswith(ours) and not LAKE_NAME.fullmatch(n)]
        if INDEX not in names and others:
            raise _refused(self.folder, "holds files but no uploads; name another --state")

    def _remove_leftovers(self) -> None:
        """Remove what a server that was killed within a change left behind, and nothing else."""
        for path in self.folder.iterdir():
            is_leftover = path.name.startswith(LEFTOVERS) or CONTENT_NAME.fullmatch(path.name)
            if is_leftover and path != self.content and is_folder(path):
                shutil.rmtree(path, ignore_errors=True)


def _locked(folder: Path) -> int | None:
    """Lock a folder as long as the descriptor that is returned is open."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            message = "is in use by another local-panther serve; name another --state"
            raise _refused(folder, message) from error
        raise
    return descriptor


def _refused(folder: Path, message: str) -> ContentError:
    return ContentError([Problem(str(folder), message)])
