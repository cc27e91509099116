"""Reads one source by what it is: JSON, lines of an export, CSV or parquet."""

import re
from collections.abc import Iterable, Iterator

from local_panther.records.containers import Other, Skip, Source
from local_panther.records.documents import Lost, documents
from local_panther.records.forms.csv import is_csv, read_csv
from local_panther.records.parsing import RecordBatch, batches

PARQUET = b"PAR1"
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
PACKED_SUFFIXES = (".gz", ".zst", ".bz2", ".xz")
EMPTY = "empty file"
TOO_LONG = "oversized line"

# CloudWatch's export to S3: a time, a space and the record.
STAMP = re.compile(rb"^\d{4}-\d\d-\d\dT[\d:.]+Z? +(?=\{)", re.MULTILINE)
OTHER_TEXT = (
    (re.compile(rb"version account-id |\d+ \d{12} eni-"), "VPC flow logs"),
    (re.compile(rb"(https?|h2|grpcs|wss?|tls) \d{4}-\d\d-\d\dT"), "load balancer logs"),
    (re.compile(rb"[0-9a-f]{64} [\w.-]+ \["), "S3 access logs"),
)
OTHER_FILES = "other files"


def read_source(source: Source, skip: Skip, other: Other) -> Iterator[Iterable[RecordBatch]]:
    """Yield what a source holds, a bounded piece at a time, each as batches of values.

    Args:
        source: What to read.
        skip: Called for each part that cannot be read.
        other: Called with the kind of what is not CloudTrail.

    Raises:
        UnreadableFile: After everything that could be read was yielded.
    """
    head = source.head
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(PARQUET):
        from local_panther.records.forms.parquet import read_parquet  # DuckDB, only if needed

        yield from read_parquet(source, skip)
    elif text[:1] in (b"{", b"["):
        yield from _json(source, skip)
    elif STAMP.match(text):
        yield from _stamped(source, skip)
    elif kind := next((kind for pattern, kind in OTHER_TEXT if pattern.match(text)), ""):
        other(kind)
    elif is_csv(head):
        yield from read_csv(source, skip)
    elif not head:
        skip(source.name, EMPTY, "")
    elif _is_named_json(source.name):
        yield from _named_json(source, skip)
    else:
        other(OTHER_FILES)


def _json(source: Source, skip: Skip) -> Iterator[Iterable[RecordBatch]]:
    for document in documents(source, _lost(source, skip)):
        if document.text.strip():
            yield batches(document, source.name, skip)


def _named_json(source: Source, skip: Skip) -> Iterator[Iterable[RecordBatch]]:
    """Read what is JSON by its name, but does not begin as JSON does."""
    is_blank = True
    for piece in _json(source, skip):
        is_blank = False
        yield piece
    if is_blank:
        skip(source.name, EMPTY, "")


def _stamped(source: Source, skip: Skip) -> Iterator[Iterable[RecordBatch]]:
    for document in documents(source, _lost(source, skip)):
        bare = document._replace(text=STAMP.sub(b"", document.text))
        yield batches(bare, source.name, skip)


def _lost(source: Source, skip: Skip) -> Lost:
    return lambda line, detail: skip(f"{source.name}, line {line}", TOO_LONG, detail)


def _is_named_json(name: str) -> bool:
    """Return whether a name promises CloudTrail: what it holds is an error if it is not JSON."""
    name = name.lower()
    for suffix in PACKED_SUFFIXES:
        name = name.removesuffix(suffix)
    return name.endswith(JSON_SUFFIXES) or name == "standard input"
