"""Parses JSON documents into batches of records, each with its place."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import simdjson

from local_panther.records.documents import Document
from local_panther.records.model import REFUSED

NOT_JSON = "malformed JSON"

ARRAY_START = re.compile(r'\s*(?:\{\s*"Records"\s*:\s*)?\[\s*')
SPACE = re.compile(r"\s*")

Place = Callable[[int], str]  # where a record lies, by its index in the batch
Skip = Callable[[str, str, str], None]  # takes place, reason and detail of what cannot be read


@dataclass(frozen=True)
class RecordBatch:
    """Parsed records, of any form, that lie beside each other.

    Attributes:
        records: Objects of simdjson, which are read where they lie in the text, or plain ones.
        place: Where a record lies, by its index.
        in_envelope: True for the records of an AWS envelope, `{"Records": […]}`.
    """

    records: list[Any]
    place: Place
    in_envelope: bool = False

    def each(self) -> Iterator[tuple[Any, str]]:
        """Yield each record with its place; those of an envelope in place of the envelope."""
        for index, record in enumerate(self.records):
            where = self.place(index)
            if not self.in_envelope and _is_envelope(record):
                yield from _inside(record, where).each()
            else:
                yield record, where


def batches(document: Document, name: str, skip: Skip) -> Iterator[RecordBatch]:
    """Yield the records of a document.

    Args:
        document: One JSON document, or several lines of one document each.
        name: The file, for the records' places.
        skip: Called for each part that is not JSON.
    """
    # A whole file on one line, as AWS delivers it, is not split: that would copy it all.
    is_one_line = document.line == 1 and b"\n" not in document.text
    if document.is_lines and not is_one_line:
        yield from _of_lines(document, name, skip)
    else:
        yield from _of_text(document.text, name, skip)


def _of_lines(document: Document, name: str, skip: Skip) -> Iterator[RecordBatch]:
    """Parse a document a line: all of them as one array if they are valid, else each by itself."""
    lines = document.text.split(b"\n")
    filled = [(number, line) for number, line in enumerate(lines, document.line) if line.strip()]
    if document.line == 1 and len(filled) == 1:
        yield from _of_text(filled[0][1], name, skip)
        return
    records = _array(b"[" + b",".join(line for _, line in filled) + b"]")
    if len(records) == len(filled):
        numbers = [number for number, _ in filled]
        yield RecordBatch(records, lambda index: f"{name}, line {numbers[index]}")
        return
    for number, line in filled:
        yield from _of_text(line, f"{name}, line {number}", skip)


def _array(text: bytes) -> list[Any]:
    """Parse a JSON array; empty if the text is not valid."""
    try:
        array = simdjson.Parser().parse(text)
    except REFUSED:
        return []
    return list(array) if isinstance(array, simdjson.Array) else []


def _of_text(text: bytes, where: str, skip: Skip) -> Iterator[RecordBatch]:
    """Parse one document: a record, a list of records, or an envelope."""
    try:
        document = simdjson.Parser().parse(text)
    except REFUSED as error:
        yield from _salvaged(text, where, str(error), skip)
        return
    if isinstance(document, simdjson.Array):
        yield RecordBatch(list(document), _numbered(where))
    elif _is_envelope(document):
        yield _inside(document, where)
    else:
        yield RecordBatch([document], lambda _: where)


def _salvaged(text: bytes, where: str, error: str, skip: Skip) -> Iterator[RecordBatch]:
    """Parse the valid records at the beginning of a broken list.

    Also what the fast parser refuses and JSON allows, such as numbers of many digits.
    """
    decoder, decoded = json.JSONDecoder(), text.decode("utf-8", errors="replace")
    try:
        document = decoder.decode(decoded)
    except (ValueError, RecursionError):
        start = ARRAY_START.match(decoded)
        records = _records_until_broken(decoder, decoded, start.end()) if start else []
        skip(f"{where}, record {len(records) + 1}" if start else where, NOT_JSON, error)
    else:
        records = document if isinstance(document, list) else [document]
    yield RecordBatch(records, _numbered(where))


def _records_until_broken(decoder: json.JSONDecoder, text: str, position: int) -> list[Any]:
    records: list[Any] = []
    try:
        while True:
            record, position = decoder.raw_decode(text, position)
            records.append(record)
            space = SPACE.match(text, text.index(",", position) + 1)
            position = space.end() if space else position
    except (ValueError, RecursionError):
        return records


def _is_envelope(record: Any) -> bool:
    is_object = isinstance(record, (dict, simdjson.Object))
    if not is_object or record.get("eventName") is not None:
        return False
    return isinstance(record.get("Records"), (list, simdjson.Array))


def _inside(envelope: Any, where: str) -> RecordBatch:
    return RecordBatch(list(envelope["Records"]), _numbered(where), in_envelope=True)


def _numbered(where: str) -> Place:
    return lambda index: f"{where}, record {index + 1}"
