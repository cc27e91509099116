"""Writes files into a folder: all of them or none, also if the process is killed.

All files are first written into the folder `WORK` inside the repository, where a full disk or a
missing permission shows. Then the journal, a list of all moves, is put there in one step. From then
on the files count as written: if the process is interrupted while it moves them, the next run moves
the others, with `finish`.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from local_panther.bundle.change import Change
from local_panther.processes import signals_held_back

WORK = ".local-panther-init.tmp"
JOURNAL = "journal.json"

Step = tuple[str, str | None]  # path of a file, and name of its new content in WORK; None: remove


def write(changes: Iterable[Change], folder: Path) -> None:
    """Write the new content of each change; after an error all files are unchanged.

    Args:
        changes: Changes to write.
        folder: Root of the repository; it is created if it does not exist.

    Raises:
        OSError: A file cannot be written.
    """
    wanted = [change for change in changes if change.old != change.new]
    folders: list[Path] = []
    with signals_held_back():
        try:
            _make_folders(folder.resolve(), folders)
            with _locked(folder):
                _write(wanted, folder, folders)
        finally:
            for made in reversed(folders):
                with suppress(OSError):  # folders with files stay
                    made.rmdir()


def is_unfinished(folder: Path) -> bool:
    """Return whether an interrupted run left files that still have to be moved."""
    return (folder / WORK / JOURNAL).is_file()


def finish(folder: Path) -> bool:
    """Complete an interrupted run; return whether there was one.

    Args:
        folder: Root of the repository.

    Raises:
        OSError: A file cannot be written, or the journal is damaged.
    """
    if not (folder / WORK).is_dir():
        return False
    with signals_held_back(), _locked(folder):
        if found := is_unfinished(folder):
            _move_files(_read_journal(folder), folder)
        shutil.rmtree(folder / WORK, ignore_errors=True)
    return found


def _read_journal(folder: Path) -> list[Step]:
    """Return the steps of an interrupted run.

    A cloned repository may contain a journal of somebody else, so no step may leave the folder.

    Raises:
        OSError: A step leaves the folder, or the journal is damaged.
    """
    path, root = folder / WORK / JOURNAL, folder.resolve()
    try:
        steps: list[Step] = [
            (str(place), None if name is None else str(int(name)))
            for place, name in json.loads(path.read_bytes())
        ]
    except (ValueError, TypeError, RecursionError) as error:
        raise OSError(0, f"is damaged; remove {path.parent}", path) from error
    for place, _ in steps:
        if not (folder / place).resolve().is_relative_to(root):
            raise OSError(
                0, f"names {place!r}, which is not in {folder}; remove {path.parent}", path
            )
    return steps


def _write(changes: Sequence[Change], folder: Path, folders: list[Path]) -> None:
    work = folder / WORK
    shutil.rmtree(work, ignore_errors=True)  # left by a run that was killed before its journal
    is_committed = False
    try:
        work.mkdir()
        steps = [_staged(change, folder, str(n), folders) for n, change in enumerate(changes)]
        _put(work / "list", json.dumps(steps).encode())
        is_committed = True
        (work / "list").replace(work / JOURNAL)
        _move_files(steps, folder)
    except BaseException:
        if is_committed:
            (work / JOURNAL).unlink(missing_ok=True)
            for change in changes:
                with suppress(OSError):
                    _restore(folder, change)
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _staged(change: Change, folder: Path, name: str, folders: list[Path]) -> Step:
    """Write the new content of a file into WORK."""
    if change.new is None:
        return change.path, None
    target = (folder / change.path).resolve()
    _make_folders(target.parent, folders)
    _put(folder / WORK / name, change.new)
    _keep_mode(target, folder / WORK / name)
    return change.path, name


def _move_files(steps: Iterable[Step], folder: Path) -> None:
    """Move files from WORK to their paths; those that were moved before are skipped."""
    for path, name in steps:
        target = (folder / path).resolve()
        if name is None:
            target.unlink(missing_ok=True)
        elif (folder / WORK / name).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            (folder / WORK / name).replace(target)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing into a repository at the same time.

    Raises:
        OSError: Another process is writing into it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            text = "another local-panther is writing into this folder"
            raise OSError(error.errno, text, folder) from error
        yield
    finally:
        os.close(descriptor)


def _make_folders(folder: Path, made: list[Path]) -> None:
    """Create a folder and its parents, and add those that are new to `made`, parents first."""
    for path in reversed((folder, *folder.parents)):
        if not path.exists():
            path.mkdir()
            made.append(path)


def _put(path: Path, data: bytes) -> None:
    """Write a file and flush it to the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _keep_mode(target: Path, path: Path) -> None:
    if target.exists():
        path.chmod(target.stat().st_mode)


def _restore(folder: Path, change: Change) -> None:
    target = (folder / change.path).resolve()
    if change.old is None:
        target.unlink(missing_ok=True)
    elif not target.exists() or target.read_bytes() != change.old:
        path = folder / WORK / "restored"
        path.write_bytes(change.old)
        _keep_mode(target, path)
        path.replace(target)
