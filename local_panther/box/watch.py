"""Refuses actions of content code beyond computing, and records each with its place.

Python reports each opened file, connection and started program to audit hooks. On every system,
that stops code that does not try to evade it; code that bypasses Python is left to `kernel`.

https://docs.python.org/3.11/library/audit_events.html
"""

import os
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from local_panther.text import printable

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# A library may write caches and probe the system while it is imported, but works without.
IMPORTS = "<frozen importlib._bootstrap"
MAX_PLACES = 1000


class RefusedError(PermissionError):
    """A refused action of content code; the message names it."""


class Refusal(NamedTuple):
    """A refused action.

    Attributes:
        item: The rule or helper, by the name of its file.
        line: The line in it.
        what: The action in words.
    """

    item: str
    line: int
    what: str

    def __str__(self) -> str:
        """Return item, line and action as a text."""
        return f"{self.item}, line {self.line}: {self.what}"


class _Watch:
    """The state of the watch; there is one in each process, as audit hooks cannot be removed."""

    def __init__(self) -> None:
        self.is_set_up = False
        self.is_on = False
        self.is_trusted = False
        self.folders: tuple[str, ...] = ()  # folders with content code
        # This package's own environment may be inside the repository.
        installed = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        ours = [str(Path(os.__file__).parent), str(Path(__file__).parents[1])]
        self.others = tuple(path + os.sep for path in (*installed, *ours))
        self.writable: tuple[str, ...] = ()
        self.refused: Counter[Refusal] = Counter()


_watch = _Watch()


def start_watching(writable: tuple[Path, ...] = ()) -> None:
    """Refuse actions from now on, except writing to temporary folders and to these folders."""
    _watch.is_on = True
    folders = [tempfile.gettempdir(), os.devnull, *map(str, writable)]
    _watch.writable = tuple(os.path.realpath(folder) for folder in folders)
    if not _watch.is_set_up:
        _watch.is_set_up = True
        sys.addaudithook(_on_event)
        sys.stdout, sys.stderr = _Shown(sys.stdout), _Shown(sys.stderr)


def stop_watching() -> None:
    """Stop refusing actions, and forget the refused ones."""
    _watch.is_on = False
    _watch.refused.clear()


def trust_content() -> None:
    """Record that the user allows content code to run in this process without the box."""
    _watch.is_trusted = True


def can_run_content() -> bool:
    """Return whether content code may run: this process is in the box, or content is trusted."""
    return _watch.is_on or _watch.is_trusted


def refused() -> Mapping[Refusal, int]:
    """Return the refused actions so far, each with its count."""
    return _watch.refused


@contextmanager
def content_in(folder: Path) -> Iterator[None]:
    """Treat code in the files of a folder as content code inside the context."""
    before = _watch.folders
    _watch.folders = (*before, str(folder) + os.sep)
    try:
        yield
    finally:
        _watch.folders = before


def _on_event(event: str, args: tuple[Any, ...]) -> None:
    described = EVENTS.get(event)
    if described is None or not (_watch.is_on and _watch.folders):
        return
    what = described(args)
    if not what:
        return
    place = _place(sys._getframe(1))
    if place is None:
        return
    if place.line:
        refusal = Refusal(place.item, place.line, what)
        if refusal in _watch.refused or len(_watch.refused) < MAX_PLACES:
            _watch.refused[refusal] += 1
    raise RefusedError(f"{what}: content may not do this (--trust-content allows it)")


class _Place(NamedTuple):
    """The place of running content code; line 0 while it imports a library."""

    item: str
    line: int


def _place(frame: FrameType | None) -> _Place | None:
    """Return the place of the running content code; None if there is none on the stack."""
    is_import = False
    while frame:
        name = frame.f_code.co_filename
        if name.startswith(_watch.folders) and not name.startswith(_watch.others):
            folder = next(folder for folder in _watch.folders if name.startswith(folder))
            item = name.removeprefix(folder).removesuffix(".py").rpartition(os.sep)[2]
            return _Place(item, 0 if is_import else frame.f_lineno)
        is_import = is_import or name.startswith(IMPORTS)
        frame = frame.f_back
    return None


class _Shown:
    """A stream that replaces control characters in the output of content code."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if _watch.is_on and _place(sys._getframe(1)):
            text = printable(text)
        return int(self._stream.write(text))

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _opened(args: tuple[Any, ...]) -> str:
    path, mode, flags = args
    if isinstance(path, int):
        return ""
    is_writing = any(c in mode for c in "wax+") if isinstance(mode, str) else False
    if not (is_writing or (isinstance(flags, int) and flags & WRITING)):
        return ""
    return _written((path,))


def _written(paths: tuple[Any, ...]) -> str:
    """Return in words the first path that may not be written; "" if all may."""
    for path in paths:
        if isinstance(path, int):
            continue
        real = os.path.realpath(os.fsdecode(path))
        if not any(real == f or real.startswith(f + os.sep) for f in _watch.writable):
            return f"writing {_shortened(os.fsdecode(path))}"
    return ""


def _database(args: tuple[Any, ...]) -> str:
    return "" if args[0] in (":memory:", "", b":memory:", b"") else _written(args[:1])


def _address(args: tuple[Any, ...]) -> str:
    address = args[1] if len(args) > 1 else ""
    named = ":".join(map(str, address[:2])) if isinstance(address, tuple) else address
    return f"a connection to {_shortened(named)}"


def _looked_up(args: tuple[Any, ...]) -> str:
    port = f":{args[1]}" if len(args) > 1 and args[1] else ""
    return f"a connection to {_shortened(f'{args[0]}{port}')}"


def _socket(args: tuple[Any, ...]) -> str:
    return "a connection" if args[1] in (socket.AF_INET, socket.AF_INET6) else ""


def _program(args: tuple[Any, ...]) -> str:
    first = args[0] if args else ""
    if not first and len(args) > 1 and args[1]:
        first = args[1][0]
    return f"the program {_shortened(first)}"


def _shortened(value: Any) -> str:
    text = os.fsdecode(value) if isinstance(value, bytes) else str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


EVENTS: dict[str, Callable[[tuple[Any, ...]], str]] = {
    "open": _opened,
    **dict.fromkeys(("os.rename", "os.link", "os.symlink"), lambda args: _written(args[:2])),
    **dict.fromkeys(
        (
            "os.remove",
            "os.mkdir",
            "os.rmdir",
            "os.truncate",
            "os.chmod",
            "os.chown",
            "os.utime",
            "os.setxattr",
            "os.removexattr",
        ),
        lambda args: _written(args[:1]),
    ),
    "sqlite3.connect": _database,
    "socket.__new__": _socket,
    **dict.fromkeys(("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"), _address),
    **dict.fromkeys(
        ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"), _looked_up
    ),
    **dict.fromkeys(
        ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn"), _program
    ),
    **dict.fromkeys(("os.fork", "os.forkpty", "pty.spawn"), lambda _: "a new process"),
    **dict.fromkeys(("os.kill", "os.killpg"), lambda args: f"a signal to process {args[0]}"),
}
