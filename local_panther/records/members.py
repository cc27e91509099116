"""Reads compressed files member by member: gzip, zstd, bzip2 and xz.

Such a file is one or more members, each complete in itself; RFC 1952 calls them members, zstd calls
them frames and xz calls them streams. Python's own readers lose the end of a file if anything
follows the last member, and python-zstandard reports no error if a frame is truncated. Here every
byte that can be decompressed is returned first, and the error is raised afterwards.
"""

import bz2
import io
import lzma
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import zstandard
from isal import isal_zlib

GZIP_FORMAT = 31  # zlib's `wbits`: a gzip header, and a window of any size
INPUT_BYTES = 1024 * 1024
OUTPUT_BYTES = 16 * 1024 * 1024
ZSTD_INPUT_BYTES = 2048  # the only limit on zstd's output: 4 bytes can expand to 128 KB
PADDING = b"\0 \t\r\n"  # may stand between members and after the last one


class _Decompressor(Protocol):
    """A decompressor of one member; `eof` is True at its end, `unused_data` the input after it."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return up to `max_length` bytes of output."""


class _Zstd:
    """A decompressor of one zstd frame, with the interface of the standard library's."""

    def __init__(self) -> None:
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self.unconsumed_tail = b""
        self.unused_data = b""

    @property
    def eof(self) -> bool:
        return self._frame.eof

    def decompress(self, data: bytes, _: int) -> bytes:
        found = self._frame.decompress(data[:ZSTD_INPUT_BYTES])
        rest = data[ZSTD_INPUT_BYTES:]
        if self._frame.eof:
            self.unused_data, self.unconsumed_tail = self._frame.unused_data + rest, b""
        else:
            self.unconsumed_tail = rest
        return found


@dataclass(frozen=True)
class Format:
    """A compression format.

    Attributes:
        name: The name shown to users.
        begins: Returns whether bytes begin a member.
        decompressor: Creates a decompressor for one member.
    """

    name: str
    begins: Callable[[bytes], bool]
    decompressor: Callable[[], Any]


def _is_zstd(head: bytes) -> bool:
    """Return whether bytes begin a frame: a zstd frame or a skippable one, which pzstd writes.

    https://www.rfc-editor.org/rfc/rfc8878#name-skippable-frames
    """
    is_skippable = head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F
    return is_skippable or head.startswith(b"\x28\xb5\x2f\xfd")


FORMATS = (
    Format(
        "gzip",
        lambda head: head.startswith(b"\x1f\x8b"),
        lambda: isal_zlib.decompressobj(GZIP_FORMAT),
    ),
    Format("zstd", _is_zstd, _Zstd),
    Format("bzip2", lambda head: head.startswith(b"BZh"), bz2.BZ2Decompressor),
    Format("xz", lambda head: head.startswith(b"\xfd7zXZ\0"), lzma.LZMADecompressor),
)


class Members(io.BufferedIOBase):
    """The decompressed bytes of a file, however many members it has.

    An error is raised once everything before it has been read. `seek` starts again, so that a
    caller can lose less to the error by reading in small steps.

    Args:
        stream: The compressed stream, positioned at its start.
        form: Its format.
    """

    def __init__(self, stream: io.BufferedIOBase, form: Format) -> None:
        self._stream = stream
        self._form = form
        self._restart()

    def _restart(self) -> None:
        self._member: _Decompressor | None = None
        self._input = b""  # read but not yet decompressed
        self._held = b""  # decompressed but not yet returned, from `_position` on
        self._position = 0
        self._error: Exception | None = None
        self._is_at_end = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def peek(self, size: int = 1) -> bytes:
        """Return the next bytes without advancing: at least `size`, or all that are left."""
        held = self._held[self._position :]
        if len(held) < size:
            held += self._decompressed(max(size - len(held), 1))
        self._held, self._position = held, 0
        if not held:
            self._raise_error()
        return held

    def read1(self, size: int = -1) -> bytes:
        """Return the next bytes, up to `size`; b"" at the end."""
        size = OUTPUT_BYTES if size < 0 else size
        found = self._held[self._position : self._position + size]
        self._position += len(found)
        if len(found) < size:
            self._held, self._position = b"", 0
            found += self._decompressed(size - len(found))
        if not found and size:
            self._raise_error()
        return found

    def read(self, size: int | None = -1) -> bytes:
        """Return the next `size` bytes, or all of them."""
        parts, left = [], -1 if size is None else size
        while left and (part := self.read1(left)):
            parts.append(part)
            left -= len(part) if left > 0 else 0
        return b"".join(parts)

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        """Start again and read up to an absolute position.

        Raises:
            OSError: The compressed stream cannot be read again.
        """
        self._stream.seek(0)
        self._restart()
        left = position
        while left and (part := self.read1(min(left, OUTPUT_BYTES))):
            left -= len(part)
        return position - left

    def _raise_error(self) -> None:
        if self._error:
            raise self._error

    def _decompressed(self, size: int) -> bytes:
        """Return up to about `size` bytes; fewer at the end, and before an error."""
        parts: list[bytes] = []
        try:
            while size > 0 and not (self._error or self._is_at_end):
                if part := self._step(size):
                    parts.append(part)
                    size -= len(part)
        except Exception as error:  # any library's; raised once everything before it is read
            self._error = error
        return parts[0] if len(parts) == 1 else b"".join(parts)  # mostly one, which is not copied

    def _step(self, size: int) -> bytes:
        """Decompress once, from the current member or the next one."""
        member = self._member or self._next_member()
        if member is None:
            return b""
        needs_input = getattr(member, "needs_input", True)
        if needs_input and not self._input:
            self._input = self._stream.read(INPUT_BYTES)
        is_exhausted = needs_input and not self._input
        found = member.decompress(self._input, size)
        if member.eof:
            self._member, self._input = None, member.unused_data
        elif is_exhausted and not found:
            raise EOFError("the file ends before its compressed data does")
        else:
            self._input = getattr(member, "unconsumed_tail", b"")
        return found

    def _next_member(self) -> _Decompressor | None:
        """Begin the next member; return None at the end of the file.

        Raises:
            EOFError: The following data is not a member.
        """
        rest = self._input.lstrip(PADDING)
        while len(rest) < len(b"\xfd7zXZ\0") and (piece := self._stream.read(INPUT_BYTES)):
            rest = (rest + piece).lstrip(PADDING)
        self._input = rest
        if not rest:
            self._is_at_end = True
            return None
        if not self._form.begins(rest):
            raise EOFError("its compressed data is followed by other data")
        self._member = cast("_Decompressor", self._form.decompressor())
        return self._member
