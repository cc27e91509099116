"""Splits a file into JSON documents: one per line, or one over many lines."""

from collections.abc import Callable, Iterator
from io import BufferedIOBase
from itertools import chain
from typing import NamedTuple

from local_panther.records.containers import BROKEN, Source, UnreadableFile

PIECE_BYTES = 16 * 1024 * 1024
SMALL_PIECE_BYTES = 4 * 1024
MAX_DOCUMENT_BYTES = 256 * 1024 * 1024  # AWS delivers files of at most some 50 MB
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Lost = Callable[[int, str], None]  # reports an unread line: its number, and its size in words


class Document(NamedTuple):
    """One JSON document, or several lines of one document each.

    Attributes:
        line: The number of its first line, from 1.
        text: The bytes.
        is_lines: True if every line is a document.
    """

    line: int
    text: bytes
    is_lines: bool


def documents(source: Source, lost: Lost) -> Iterator[Document]:
    """Yield the documents of a source, one bounded chunk at a time.

    Args:
        source: The source to read.
        lost: Called for each line that is too long to be read; the lines after it are read.

    Raises:
        UnreadableFile: The source is broken; everything readable was yielded before.
    """
    pieces = _pieces(source.stream, source.packing)
    first = next(pieces, b"").removeprefix(BYTE_ORDER_MARK)
    if _spans_lines(first):
        yield from _whole(first, pieces)
    else:
        yield from _lines(chain([first], pieces), lost)


def _spans_lines(start: bytes) -> bool:
    """Return whether the first document continues after its first line, as indented JSON does."""
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


def _lines(pieces: Iterator[bytes], lost: Lost) -> Iterator[Document]:
    number, size, error = 1, 0, None
    parts: list[bytes] = []
    dropped = 0  # bytes of a line that is too long
    try:
        for piece in pieces:
            cut = piece.rfind(b"\n") + 1
            if cut:
                start = 0
                if dropped:
                    start = piece.find(b"\n") + 1
                    lost(number, _oversized(dropped + start))
                    number, dropped = number + 1, 0
                text = b"".join((*parts, piece[start:cut]))
                yield Document(number, text, is_lines=True)
                number += text.count(b"\n")
                parts, size = [], 0
            if dropped:
                dropped += len(piece)
                continue
            parts.append(piece[cut:])
            size += len(piece) - cut
            if size > MAX_DOCUMENT_BYTES:
                parts, size, dropped = [], 0, size
    except UnreadableFile as caught:
        error = caught
    if dropped:
        lost(number, _oversized(dropped))
    if size:
        yield Document(number, b"".join(parts), is_lines=True)
    if error:
        raise error


def _oversized(size: int) -> str:
    return f"a line of {size >> 20:,} MB, more than {MAX_DOCUMENT_BYTES >> 20} MB"


def _pieces(file: BufferedIOBase, packing: str) -> Iterator[bytes]:
    """Yield a file in chunks; of a broken stream, as much as possible."""
    read = 0
    try:
        while piece := file.read1(PIECE_BYTES):
            read += len(piece)
            yield piece
    except BROKEN as error:
        yield from _salvaged(file, read)
        raise UnreadableFile(f"broken {packing or 'file'}: {error}") from error


def _salvaged(file: BufferedIOBase, skip: int) -> Iterator[bytes]:
    """Read a broken stream again in small steps, as one bad byte loses a whole step."""
    try:
        file.seek(skip)
        while piece := file.read1(SMALL_PIECE_BYTES):
            yield piece
    except (*BROKEN, AttributeError):  # a member of a tar stream cannot be read again
        return
