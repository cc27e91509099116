"""Splits a file into JSON documents: one per line, or one over many lines."""

import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from typing import NamedTuple, cast

from isal import isal_zlib

PIECE_BYTES = 16 * 1024 * 1024
SMALL_PIECE_BYTES = 4 * 1024
MAX_DOCUMENT_BYTES = 256 * 1024 * 1024  # AWS delivers files of at most some 50 MB

# isal's stubs declare its error as an instance.
IsalError = cast("type[Exception]", isal_zlib.error)
BROKEN_GZIP = (EOFError, OSError, zlib.error, IsalError)


class Document(NamedTuple):
    """One JSON document, or several lines of one document each.

    Attributes:
        line: The number of its first line, from 1.
        text: The bytes.
        is_lines: True where every line is a document.
    """

    line: int
    text: bytes
    is_lines: bool


class UnreadableFile(Exception):
    """A truncated or oversized file; the message says how. What came before it is valid."""


def documents(file: BufferedIOBase) -> Iterator[Document]:
    """Yield the documents of an open file, a bounded piece at a time.

    Raises:
        UnreadableFile: After everything that could be read was yielded.
    """
    pieces = _pieces(file)
    first = next(pieces, b"")
    if _spans_lines(first):
        yield from _whole(first, pieces)
    else:
        yield from _lines(first, pieces)


def _spans_lines(start: bytes) -> bool:
    """Return whether the first document continues after its first line, as a formatted one does."""
    line, newline, _ = start.lstrip().partition(b"\n")
    return bool(newline) and line.rstrip()[-1:] in b"{[,:" and line.strip() != b""


def _whole(first: bytes, pieces: Iterator[bytes]) -> Iterator[Document]:
    parts, size, error = [first], len(first), None
    try:
        for piece in pieces:
            parts.append(piece)
            size += len(piece)
            if size > MAX_DOCUMENT_BYTES:
                raise UnreadableFile(f"one document of more than {MAX_DOCUMENT_BYTES >> 20} MB")
    except UnreadableFile as caught:
        error = caught
    if size <= MAX_DOCUMENT_BYTES:
        yield Document(1, b"".join(parts), is_lines=False)
    if error:
        raise error


def _lines(rest: bytes, pieces: Iterator[bytes]) -> Iterator[Document]:
    number, parts, size, error = 1, [rest], len(rest), None
    try:
        for piece in pieces:
            cut = piece.rfind(b"\n") + 1
            if cut:
                text = b"".join((*parts, piece[:cut]))
                yield Document(number, text, is_lines=True)
                number += text.count(b"\n")
                parts, size = [], 0
            parts.append(piece[cut:])
            size += len(piece) - cut
            if size > MAX_DOCUMENT_BYTES:
                parts, size = [], 0
                raise UnreadableFile(f"line {number} has more than {MAX_DOCUMENT_BYTES >> 20} MB")
    except UnreadableFile as caught:
        error = caught
    if size:
        yield Document(number, b"".join(parts), is_lines=True)
    if error:
        raise error


def _pieces(file: BufferedIOBase) -> Iterator[bytes]:
    """Read a file in pieces, and as much as possible of a broken gzip stream."""
    read = 0
    try:
        while piece := file.read1(PIECE_BYTES):
            read += len(piece)
            yield piece
    except BROKEN_GZIP as error:
        yield from _salvaged(file, read)
        raise UnreadableFile(f"broken gzip: {error}") from error


def _salvaged(file: BufferedIOBase, skip: int) -> Iterator[bytes]:
    """Read a broken stream again in small steps: a large one is lost whole with its last byte."""
    try:
        file.seek(skip)
        while piece := file.read1(SMALL_PIECE_BYTES):
            yield piece
    except BROKEN_GZIP:
        return
