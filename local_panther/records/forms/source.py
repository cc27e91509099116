"""Reads a source by its format: JSON, lines of an export, CSV or parquet."""

import json
import re
from collections.abc import Iterable, Iterator

from local_panther.records.containers import HEAD_BYTES, Other, Skip, Source
from local_panther.records.forms.csv import is_csv, read_csv
from local_panther.records.forms.documents import Lost, documents
from local_panther.records.forms.json_values import DECODER
from local_panther.records.forms.parsing import REFUSED_FORM, RecordBatch, batches
from local_panther.records.forms.payloads import BASE64_WITHIN, MARK_BYTES
from local_panther.records.forms.recognise import NOT_RECORDS

PARQUET = b"PAR1"
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
PACKED_SUFFIXES = (".gz", ".zst", ".bz2", ".xz")
EMPTY = "empty file"
TOO_LONG = "oversized line"
MAX_TEXT_BYTES = 256 * 1024 * 1024

# The prefix of JSON on a line: a time in CloudWatch's export to S3, a host in syslog
PREFIX = re.compile(rb"[^{\n]{1,1000}(?=\{)")
STAMP = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]+Z? +(?=\{)")
BASE64 = re.compile(rb"(?:[eW][w-z0-9+/_-]|H4sI)[A-Za-z0-9+/_-]{60,}[A-Za-z0-9+/=_\s-]*")
REFUSED_TEXTS = (
    (
        re.compile(rb"[\[{][\s{]*'(?:Records|Events|event\w+|userIdentity)'"),
        "Python's notation; write it as JSON: json.dumps in place of print",
    ),
    (
        re.compile(rb"(?:\w+:\n\s*)?- (?s:.{0,3000}?)CloudTrailEvent: |- '\{|EVENTS\t"),
        "output of the AWS CLI that is not JSON; use --output json",
    ),
)
CUT_TOKEN = 32  # characters at the end of the head that may be an incomplete token
OTHER_TEXT = (
    (re.compile(rb"version account-id |\d+ \d{12} eni-"), "VPC flow logs"),
    (re.compile(rb"(https?|h2|grpcs|wss?|tls) \d{4}-\d\d-\d\dT"), "load balancer logs"),
    (re.compile(rb"[0-9a-f]{64} [\w.-]+ \["), "S3 access logs"),
)
OTHER_FILES = "other files"


def read_source(source: Source, skip: Skip, other: Other) -> Iterator[Iterable[RecordBatch]]:
    """Yield the values of a source, one bounded chunk at a time, each as batches.

    Args:
        source: The source to read.
        skip: Called for each part that cannot be read.
        other: Called for each part that is not CloudTrail, with its kind.

    Raises:
        UnreadableFile: The source is broken; everything readable was yielded before.
    """
    head = source.head
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(PARQUET):
        from local_panther.records.forms.parquet import read_parquet  # imported late: loads DuckDB

        yield from read_parquet(source, skip)
    elif advice := next((advice for pattern, advice in REFUSED_TEXTS if pattern.match(text)), ""):
        skip(source.name, REFUSED_FORM, advice)
    elif text[:1] in (b"{", b"[") and (_is_named_json(source.name) or _begins_json(text)):
        yield from _json(source, skip)
    elif BASE64.fullmatch(text) or _is_quoted_json(text):
        yield from _text(source)
    elif STAMP.match(text) or _has_records_in_lines(text):
        yield from _prefixed(source, skip, other)
    elif kind := next((kind for pattern, kind in OTHER_TEXT if pattern.match(text)), ""):
        other(kind)
    elif is_csv(head):
        yield from read_csv(source, skip)
    elif not head and (source.packing or _is_named_json(source.name)):
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
    """Read a file that is JSON by its name, but does not begin like JSON."""
    is_blank = True
    for piece in _json(source, skip):
        is_blank = False
        yield piece
    if is_blank:
        skip(source.name, EMPTY, "")


def _prefixed(source: Source, skip: Skip, other: Other) -> Iterator[Iterable[RecordBatch]]:
    """Read lines of JSON with a prefix; set other lines aside as messages of other logs."""
    for document in documents(source, _lost(source, skip)):
        bare = []
        for line in document.text.split(b"\n"):
            is_other = bool(line.strip()) and not (STAMP.match(line) or MARK_BYTES.search(line))
            if is_other:
                other(NOT_RECORDS)
            bare.append(b"" if is_other else PREFIX.sub(b"", line, count=1))
        yield batches(document._replace(text=b"\n".join(bare)), source.name, skip)


def _text(source: Source) -> Iterator[Iterable[RecordBatch]]:
    """Read a file that is a text with JSON in it: in base64, or as a JSON string on each line."""
    text = source.stream.read(MAX_TEXT_BYTES).decode(errors="replace")
    for value in ["".join(text.split())] if BASE64.match(text.encode()) else text.splitlines():
        yield [RecordBatch([value], lambda _: source.name)]


def _begins_json(head: bytes) -> bool:
    """Return whether a head is the beginning of JSON, or has the names of CloudTrail's fields.

    A bracket is not enough, as a log line or a README can begin with one.
    """
    if MARK_BYTES.search(head):
        return True
    text = head.decode(errors="replace").rstrip("\ufffd")
    try:
        _, end = DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        is_cut = error.pos >= len(text.rstrip()) - CUT_TOKEN and len(head) >= HEAD_BYTES - 16
        return is_cut or error.msg.startswith("Unterminated string")
    except RecursionError:
        return True
    return text[end : end + CUT_TOKEN].lstrip()[:1] in ("", "{", "[", ",")


def _is_quoted_json(text: bytes) -> bool:
    line = text.partition(b"\n")[0].rstrip()
    is_quoted = line.startswith((b'"{', b'"[', b'"\\'))
    return is_quoted and bool(
        MARK_BYTES.search(line) or BASE64_WITHIN.search(line.decode(errors="replace"))
    )


def _has_records_in_lines(text: bytes) -> bool:
    line = text.partition(b"\n")[0]
    found = PREFIX.match(line)
    return bool(found and MARK_BYTES.search(line, found.end()) and b"," not in found[0])


def _lost(source: Source, skip: Skip) -> Lost:
    return lambda line, detail: skip(f"{source.name}, line {line}", TOO_LONG, detail)


def _is_named_json(name: str) -> bool:
    """Return whether a file is JSON by its name, so that other contents are an error."""
    name = name.lower()
    for suffix in PACKED_SUFFIXES:
        name = name.removesuffix(suffix)
    return name.endswith(JSON_SUFFIXES) or name == "standard input"
