"""Reads and writes files in folders whose contents may be hostile: follows no link."""

import os
import stat
from pathlib import Path

MAX_FILE_BYTES = 100 * 1024 * 1024
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder and not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Return whether a path is a regular file and not a link, pipe or device."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def read_file(path: Path, limit: int = MAX_FILE_BYTES) -> bytes:
    """Read a regular file.

    Args:
        path: The file; its folder must not be a link either.
        limit: The largest size in bytes.

    Raises:
        OSError: It cannot be read, is not a regular file, or is too large.
    """
    if not is_folder(path.parent):
        raise OSError(f"{path.parent.name} is not a folder")
    # Without O_NONBLOCK, opening a pipe waits for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path.name} is not a regular file")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(f"{path.name} has more than {limit:,} bytes")
    return content


def write_file(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read.

    Raises:
        OSError: It cannot be written, or the path exists already.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, PRIVATE_FILE), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
