"""Parses JSON documents into batches of records with their places."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import simdjson

from local_panther.records.containers import Other, Skip
from local_panther.records.forms.documents import Document
from local_panther.records.forms.notation import NotationError
from local_panther.records.forms.recognise import (
    NOT_CLOUDTRAIL,
    Holding,
    holding,
    is_envelope,
    records_in,
)
from local_panther.records.forms.salvage import salvaged
from local_panther.records.forms.tables import plain
from local_panther.records.model import REFUSED

NOT_JSON = "malformed JSON"
REFUSED_FORM = "form that cannot be read"
NOT_AN_OBJECT = "record is not an object"
MAX_DEPTH = 8  # forms within forms
TOO_DEEP = Holding(refused=f"CloudTrail within more than {MAX_DEPTH} other forms; unpack it first")

Position = Callable[[int], str]  # returns the place of a value, given its index in the batch


@dataclass(frozen=True)
class RecordBatch:
    """Consecutive parsed values: records, or other values that contain them.

    Attributes:
        records: Objects of simdjson, which read the text in place, or plain Python objects.
        position: Returns the place of a record, given its index.
        is_envelope: True if the values come from AWS' envelope; each must then be a record.
    """

    records: list[Any]
    position: Position
    is_envelope: bool = False

    def each(self) -> Iterator[tuple[Any, str]]:
        """Yield each record with its place."""
        for index, record in enumerate(self.records):
            yield record, self.position(index)


def batches(document: Document, name: str, skip: Skip) -> Iterator[RecordBatch]:
    """Yield the values of a document; for an AWS envelope, its records.

    Args:
        document: One JSON document, or several lines of one document each.
        name: The file, for the records' places.
        skip: Called for each part that is not JSON.
    """
    # A file of a single line, as AWS delivers it, is not split, as that would copy all of it.
    is_one_line = document.line == 1 and b"\n" not in document.text
    if document.is_lines and not is_one_line:
        yield from _parsed_lines(document, name, skip)
    else:
        yield from _parsed_text(document.text, name, skip)


def unwrapped(
    batch: RecordBatch, skip: Skip, other: Other, depth: int = 0
) -> Iterator[RecordBatch]:
    """Yield the records of a batch, also those inside up to MAX_DEPTH other forms.

    Args:
        batch: Values of any form.
        skip: Called for each value that cannot be read.
        other: Called for each value that is not CloudTrail, with its kind.
        depth: Number of forms around the batch.
    """
    records: list[tuple[Any, str]] = []
    inner: list[tuple[Any, str]] = []
    texts: list[tuple[str, str]] = []
    leaves: list[tuple[Any, str]] = []
    for value, where in batch.each():
        try:
            found = holding(value)
        except NotationError as error:
            skip(where, REFUSED_FORM, str(error))
            continue
        if found and depth == MAX_DEPTH and not found.other:
            found = TOO_DEEP
        if found is None:
            records.append((value, where))
        elif found.refused:
            skip(where, REFUSED_FORM, found.refused)
        elif found.is_leaf:
            leaves.append((value, where))
        elif found.other:
            other(found.other)
        else:
            position = _record_number(where) if found.is_list else lambda _, where=where: where
            inner += [(item, position(index)) for index, item in enumerate(found.items)]
            texts += [(text, where) for text in found.texts]
    _report_leaves(leaves, skip, other, are_among_records=bool(records) or batch.is_envelope)
    inner += _parsed_texts(texts, skip)
    if records:
        yield _batch(records)
    if inner:
        yield from unwrapped(_batch(inner), skip, other, depth + 1)


def _report_leaves(
    leaves: list[tuple[Any, str]], skip: Skip, other: Other, *, are_among_records: bool
) -> None:
    """Report values that are not objects: as broken records, or as one list of other data."""
    if not are_among_records:
        if leaves:
            other(NOT_CLOUDTRAIL)
        return
    for value, where in leaves:
        skip(where, NOT_AN_OBJECT, f"it is {json.dumps(plain(value))[:60]}")


def _batch(placed: list[tuple[Any, str]]) -> RecordBatch:
    return RecordBatch([value for value, _ in placed], lambda index: placed[index][1])


def _parsed_texts(texts: list[tuple[str, str]], skip: Skip) -> Iterator[tuple[Any, str]]:
    """Parse texts of one JSON value each: as one array if all are valid, else one by one."""
    encoded = [(text.encode(errors="replace"), where) for text, where in texts]
    values = _array(b"[" + b",".join(text for text, _ in encoded) + b"]")
    if len(values) == len(encoded):
        yield from zip(values, (where for _, where in encoded), strict=True)
        return
    for text, where in encoded:
        for batch in _parsed_text(text, where, skip):
            yield from batch.each()


def _parsed_lines(document: Document, name: str, skip: Skip) -> Iterator[RecordBatch]:
    """Parse lines of one document each: as one array if all are valid, else one by one."""
    lines = document.text.split(b"\n")
    filled = [(number, line) for number, line in enumerate(lines, document.line) if line.strip()]
    if document.line == 1 and len(filled) == 1:
        yield from _parsed_text(filled[0][1], name, skip)
        return
    records = _array(b"[" + b",".join(line for _, line in filled) + b"]")
    if len(records) == len(filled):
        numbers = [number for number, _ in filled]
        yield RecordBatch(records, lambda index: f"{name}, line {numbers[index]}")
        return
    found: list[tuple[Any, str]] = []
    for number, line in filled:
        for batch in _parsed_text(line, f"{name}, line {number}", skip):
            found += batch.each()
    yield _batch(found)


def _array(text: bytes) -> list[Any]:
    """Parse a JSON array; return an empty list if the text is not valid."""
    try:
        array = simdjson.Parser().parse(text)
    except REFUSED:
        return []
    return list(array) if isinstance(array, simdjson.Array) else []


def _parsed_text(text: bytes, where: str, skip: Skip) -> Iterator[RecordBatch]:
    """Parse one document: a record, a list of records, or a value that contains them.

    If it is malformed, yield the values that can be salvaged from it.
    """
    try:
        document = simdjson.Parser().parse(text)
    except REFUSED:
        parts = salvaged(text, lambda place, lost: skip(where + place, NOT_JSON, lost))
        for values, position in parts:
            yield RecordBatch(values, _position_in(where, position))
        return
    if isinstance(document, simdjson.Array):
        yield RecordBatch(list(document), _record_number(where))
    elif is_envelope(document):
        yield RecordBatch(records_in(document), _record_number(where), is_envelope=True)
    else:
        yield RecordBatch([document], lambda _: where)


def _record_number(where: str) -> Position:
    return lambda index: f"{where}, record {index + 1}"


def _position_in(where: str, position: Position) -> Position:
    return lambda index: where + position(index)
