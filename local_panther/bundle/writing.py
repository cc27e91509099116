"""Writes files into a folder: all of them or none, also if the process is killed.

All of it is first written into a folder of its own inside the repository, `WORK`, where a full disk
or a missing right shows. Then a list of what goes where, the journal, takes its place there in one
step; from then on it counts as written: whoever is interrupted while the files take their places
has them put there by the next run, with `finish`.
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

Step = tuple[str, str | None]  # the path of a file, and its new content in WORK; None removes it


def write(changes: Iterable[Change], folder: Path) -> None:
    """Write the new content of each change; after an error everything is as it was.

    Args:
        changes: What to write.
        folder: The root of the repository; it is made if it does not exist.

    Raises:
        OSError: Something cannot be written.
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
                with suppress(OSError):  # which are not empty if all went well
                    made.rmdir()


def is_unfinished(folder: Path) -> bool:
    """Return whether files of an interrupted run still have to take their places."""
    return (folder / WORK / JOURNAL).is_file()


def finish(folder: Path) -> bool:
    """Complete what an interrupted run had written; return whether there was something to do.

    Args:
        folder: The root of the repository.

    Raises:
        OSError: Something cannot be written.
    """
    if not (folder / WORK).is_dir():
        return False
    with signals_held_back(), _locked(folder):
        if found := is_unfinished(folder):
            _take_places(_read_journal(folder), folder)
        shutil.rmtree(folder / WORK, ignore_errors=True)
    return found


def _read_journal(folder: Path) -> list[Step]:
    """Return the steps of an interrupted run.

    A repository of somebody else can come with a journal, so it may not lead out of the folder.

    Raises:
        OSError: It does, or is damaged.
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
    shutil.rmtree(work, ignore_errors=True)  # of a run that was killed before it had all
    is_committed = False
    try:
        work.mkdir()
        steps = [_staged(change, folder, str(n), folders) for n, change in enumerate(changes)]
        _put(work / "list", json.dumps(steps).encode())
        is_committed = True
        (work / "list").replace(work / JOURNAL)
        _take_places(steps, folder)
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


def _take_places(steps: Iterable[Step], folder: Path) -> None:
    """Put files in their places; those that are there already are left alone."""
    for path, name in steps:
        target = (folder / path).resolve()
        if name is None:
            target.unlink(missing_ok=True)
        elif (folder / WORK / name).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            (folder / WORK / name).replace(target)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep others from writing into a repository at the same time.

    Raises:
        OSError: Another process does so.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(error.errno, "another local-panther writes there now", folder) from error
        yield
    finally:
        os.close(descriptor)


def _make_folders(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it, and add the new ones to a list, the highest first."""
    for path in reversed((folder, *folder.parents)):
        if not path.exists():
            path.mkdir()
            made.append(path)


def _put(path: Path, data: bytes) -> None:
    """Write a file so that it is on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _keep_mode(target: Path, path: Path) -> None:
    if target.exists():
        os.chmod(path, target.stat().st_mode)  # noqa: PTH101 - as short


def _restore(folder: Path, change: Change) -> None:
    target = (folder / change.path).resolve()
    if change.old is None:
        target.unlink(missing_ok=True)
    elif not target.exists() or target.read_bytes() != change.old:
        path = folder / WORK / "restored"
        path.write_bytes(change.old)
        _keep_mode(target, path)
        path.replace(target)
