"""Writes the output files of a command, also from inside the box.

Inside the box, a process that was started before writes them, and only to paths named before.
"""

import json
import os
import signal
import stat
import struct
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_MODE = 0o644


def write_text(path: Path, text: str) -> None:
    """Write a text as `write_bytes` does.

    Args:
        path: The file.
        text: The new content; lone surrogates become question marks.

    Raises:
        OSError: The file cannot be written; an existing one is unchanged.
    """
    write_bytes(path, text.encode("utf-8", "replace"))


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file atomically; write directly to a path such as a device.

    Args:
        path: The file; a link is kept, and its target is written.
        data: The new content.

    Raises:
        OSError: The file cannot be written; an existing one is unchanged.
    """
    if _writer:
        _writer.write(path, data)
    else:
        _write(path, data)


def _write(path: Path, data: bytes) -> None:
    target = Path(os.path.realpath(path))
    if not os.access(target.parent, os.W_OK) or _is_special(target):
        with target.open("wb") as file:
            file.write(data)
        return
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(temporary).chmod(_MODE)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _is_special(path: Path) -> bool:
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


class _Writer:
    """A process that writes files until this one exits."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = [path.absolute() for path in paths]
        to_read, to_write = os.pipe()
        answer_read, answer_write = os.pipe()
        if os.fork() == 0:
            for number in (to_write, answer_read):
                os.close(number)
            _serve(self._paths, os.fdopen(to_read, "rb"), answer_write)
        for number in (to_read, answer_write):
            os.close(number)
        self._requests, self._answers = os.fdopen(to_write, "wb"), os.fdopen(answer_read, "rb")

    def write(self, path: Path, data: bytes) -> None:
        if path.absolute() not in self._paths:
            raise PermissionError(1, "was not named before the content ran", str(path))
        number = self._paths.index(path.absolute())
        self._requests.write(struct.pack("=IQ", number, len(data)) + data)
        self._requests.flush()
        line = self._answers.readline()
        error = json.loads(line) if line else [5, "the process that writes files has exited"]
        if error:
            raise OSError(*error)


def _serve(paths: Sequence[Path], requests: BinaryIO, answers: int) -> None:
    """Write the requested files until the requests end, and exit."""
    with suppress(BaseException):
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)  # it exits when its parent closes the pipe
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)  # or readers of the command's output would wait for this process
        while header := requests.read(12):
            index, size = struct.unpack("=IQ", header)
            data = requests.read(size)
            if len(data) < size:
                break
            error: list[object] = []
            try:
                _write(paths[index], data)
            except OSError as failed:
                error = [failed.errno, failed.strerror]
            os.write(answers, json.dumps(error).encode() + b"\n")
    os._exit(0)


_writer: _Writer | None = None


def write_by_another_process(paths: Sequence[Path]) -> None:
    """Start a process that writes these files from now on; this one must have no threads yet."""
    global _writer
    if paths:
        _writer = _Writer(paths)
