"""Opens files and unpacks them: compression, archives and UTF-16, nested in any order."""

import codecs
import contextlib
import errno
import io
import lzma
import os
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import zstandard
from isal import isal_zlib

from local_panther.processes import TemporaryFolder
from local_panther.records.members import FORMATS, OUTPUT_BYTES, Format, Members
from local_panther.records.s3 import S3, is_s3

STANDARD_INPUT = "-"
HEAD_BYTES = 4096  # enough to recognise a file, and the first row of a table
BUFFER_BYTES = 64 * 1024
MAX_NESTING = 5  # an archive may hold itself
MAX_COPY_BYTES = 4 << 30  # for a file that has to be copied to disk before it can be read

# isal's stubs declare its error as an instance.
IsalError = cast("type[Exception]", isal_zlib.error)
BROKEN = (
    EOFError,
    OSError,
    RuntimeError,  # an encrypted or unknown member of a zip archive
    zlib.error,
    lzma.LZMAError,
    zstandard.ZstdError,
    tarfile.TarError,
    zipfile.BadZipFile,
    IsalError,
)


class UnreadableFile(Exception):
    """A broken, truncated or oversized file; all data yielded before the error is valid."""


class Source(NamedTuple):
    """Unpacked bytes to read.

    Attributes:
        name: The path, followed by the place within an archive.
        stream: The bytes; positioned at the beginning, with `peek`.
        packing: The innermost packing, such as "gzip"; "" for a plain file.
        start: The first bytes, if they are known without reading the stream.
    """

    name: str
    stream: BufferedReader
    packing: str
    start: bytes = b""

    @property
    def head(self) -> bytes:
        """The first bytes."""
        return (self.start or self.stream.peek(HEAD_BYTES))[:HEAD_BYTES]


Skip = Callable[[str, str, str], None]  # reports unreadable data: its place, reason and detail
Other = Callable[[str], None]  # counts data that is set aside, by its kind

UNREADABLE = "truncated or oversized file"


class AsNamed(str):
    """A path that the user named, which is read even if it is a pipe."""


class Opener(NamedTuple):
    """An opener of files and of objects in S3.

    Attributes:
        s3: Opens objects.
        folder: The folder that relative paths start from.
    """

    s3: S3
    folder: str = ""

    def open(self, path: str) -> BufferedReader:
        """Open a file or an object.

        A file found in a folder can have been replaced by a pipe since, which would never end.

        Raises:
            OSError: It cannot be opened, or is no longer a regular file.
        """
        if is_s3(path):
            return self.s3.opened(path)
        if isinstance(path, AsNamed):
            return Path(self.folder, path).open("rb")
        file = open(Path(self.folder, path), "rb", opener=_opened_at_once)  # noqa: SIM115
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise OSError(errno.ENXIO, "is no longer a regular file")
        return file


def _opened_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def sources(path: str, opener: Opener, skip: Skip, other: Other) -> Iterator[Source]:
    """Yield the unpacked contents of a file; read each source before asking for the next.

    Args:
        path: A file, an object of S3, or "-" for standard input.
        opener: Opens the path.
        skip: Called for each member of an archive that cannot be unpacked.
        other: Called for members of archives that are neither files nor folders.

    Raises:
        OSError: The file cannot be opened.
        UnreadableFile: The file is broken; everything before the fault was yielded.
    """
    if path == STANDARD_INPUT:
        stream = cast("BufferedReader", sys.stdin.buffer)
        yield from _unpacked(Source("standard input", stream, ""), skip, other)
        return
    with opener.open(path) as file:
        yield from _unpacked(Source(path, file, ""), skip, other)


def _unpacked(source: Source, skip: Skip, other: Other, nesting: int = 0) -> Iterator[Source]:
    try:
        head = source.head
    except BROKEN as error:
        raise UnreadableFile(f"broken {source.packing or 'file'}: {error}") from error
    unpack = next((unpack for unpack in UNPACKERS if unpack.fits(head)), None)
    if unpack is None:
        yield source
        return
    if nesting == MAX_NESTING:
        raise UnreadableFile(f"packed more than {MAX_NESTING} times")
    inner = unpack.open(source, other)
    try:
        for found in inner:
            try:
                yield from _unpacked(found, skip, other, nesting + 1)
            except UnreadableFile as error:
                skip(found.name, UNREADABLE, str(error))
    except BROKEN as error:
        raise UnreadableFile(f"broken {unpack.name}: {error}") from error


class _Unpacker(NamedTuple):
    name: str
    fits: Callable[[bytes], bool]
    open: Callable[[Source, Other], Iterator[Source]]


def _compressed(form: Format) -> _Unpacker:
    def unpack(source: Source, _: Other) -> Iterator[Source]:
        packed, stream = source.head, Members(source.stream, form)
        start = b""
        with contextlib.suppress(*BROKEN):  # the error is raised again when the stream is read
            start = stream.peek(OUTPUT_BYTES)[:HEAD_BYTES]  # unpacks most files as a whole
        if not start:  # broken within the first chunk
            with contextlib.suppress(*BROKEN):
                start = Members(io.BytesIO(packed), form).peek(HEAD_BYTES)
        reader = cast("BufferedReader", stream)
        yield Source(source.name, reader, form.name, start if start.strip() else b"")

    return _Unpacker(form.name, form.begins, unpack)


def _buffered(stream: Any) -> BufferedReader:
    return cast("BufferedReader", io.BufferedReader(stream, BUFFER_BYTES))


def _untarred(source: Source, other: Other) -> Iterator[Source]:
    with tarfile.open(fileobj=source.stream, mode="r|") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file:
                stream = _buffered(file)
                yield Source(f"{source.name}/{member.name}", stream, "tar archive")
            elif not member.isdir():
                other("links and special files in archives")


def _unzipped(source: Source, _: Other) -> Iterator[Source]:
    with _seekable(source) as file, zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                with archive.open(member) as opened:
                    stream = _buffered(opened)
                    yield Source(f"{source.name}/{member.filename}", stream, "zip archive")


@contextlib.contextmanager
def _seekable(source: Source) -> Iterator[IO[bytes]]:
    if not source.packing and source.stream.seekable():
        yield source.stream
        return
    with copied(source) as path, path.open("rb") as copy:
        yield copy


@contextlib.contextmanager
def copied(source: Source) -> Iterator[Path]:
    """Copy a source to a temporary file, for formats that cannot be read as a stream.

    Raises:
        UnreadableFile: It is too large for a copy.
    """
    with TemporaryFolder("local-panther-copy-") as folder:
        path = Path(folder) / "copy"
        with path.open("wb") as copy:
            while piece := source.stream.read(BUFFER_BYTES):
                copy.write(piece)
                if copy.tell() > MAX_COPY_BYTES:
                    limit = MAX_COPY_BYTES >> 30
                    raise UnreadableFile(f"more than {limit} GB within an archive; unpack it first")
        yield path


class _Transcoder(io.RawIOBase):
    """A stream that converts UTF-16, as PowerShell writes it, to UTF-8."""

    def __init__(self, stream: BufferedReader, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._waiting = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._waiting:
            piece = self._stream.read1(BUFFER_BYTES)
            self._waiting = self._decoder.decode(piece, not piece).encode()
            if not piece:
                break
        size = min(len(buffer), len(self._waiting))
        buffer[:size] = self._waiting[:size]
        self._waiting = self._waiting[size:]
        return size


def _transcoded(source: Source, _: Other) -> Iterator[Source]:
    has_mark = source.head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "utf-16" if has_mark else "utf-16-be" if source.head[0] == 0 else "utf-16-le"
    reader = _buffered(_Transcoder(source.stream, encoding))
    yield Source(source.name, reader, source.packing or "text in UTF-16")


def _is_utf16(head: bytes) -> bool:
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return head.startswith((*marks, b"{\0", b"[\0", b"\0{", b"\0["))


UNPACKERS = (
    *map(_compressed, FORMATS),
    _Unpacker("zip archive", lambda head: head.startswith((b"PK\3\4", b"PK\5\6")), _unzipped),
    _Unpacker("tar archive", lambda head: head[257:262] == b"ustar", _untarred),
    _Unpacker("text in UTF-16", _is_utf16, _transcoded),
)
