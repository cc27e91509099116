"""Writes files into a folder: all of them or none."""

import os
import secrets
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from local_panther.bundle.plan import Change

STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def write(changes: Iterable[Change], folder: Path) -> None:
    """Write the new content of each change; after an error everything is as it was.

    First all of it is written beside the files that are to be replaced, which is where a full disk
    or a missing right shows. Then each file takes its place in one step.

    Args:
        changes: What to write.
        folder: The root of the repository; it is made if it does not exist.

    Raises:
        OSError: Something cannot be written.
    """
    folders: list[Path] = []
    waiting: dict[Path, Path] = {}
    undo: list[tuple[Path, bytes | None]] = []
    with _uninterrupted():
        try:
            for change in changes:
                target = (folder / change.path).resolve()
                _make_folders(target.parent, folders)
                waiting[target] = _beside(target)
                waiting[target].write_bytes(change.new)
                _keep_mode(target, waiting[target])
                undo.append((target, change.old))
            for target, path in waiting.items():
                path.replace(target)
        except BaseException:
            for target, old in undo:
                with suppress(OSError):
                    _restore(target, old)
            raise
        finally:
            for path in waiting.values():
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            for made in reversed(folders):
                with suppress(OSError):  # which are not empty if all went well
                    made.rmdir()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C and its like wait until everything is in place: a moment."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _make_folders(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it, and add the new ones to a list, the highest first."""
    for path in reversed((folder, *folder.parents)):
        if not path.exists():
            path.mkdir()
            made.append(path)


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}")


def _keep_mode(target: Path, path: Path) -> None:
    if target.exists():
        os.chmod(path, target.stat().st_mode)  # noqa: PTH101 - as short


def _restore(target: Path, old: bytes | None) -> None:
    if old is None:
        target.unlink(missing_ok=True)
    elif target.read_bytes() != old:
        path = _beside(target)
        path.write_bytes(old)
        _keep_mode(target, path)
        path.replace(target)
