"""Formats records as the lines of JSON that DuckDB reads."""

import json
import re
from typing import Any

from local_panther.records.model import Record
from local_panther.records.panther_fields import normalised_time

# DuckDB processes 2,048 values of a column at a time, which must fit into memory together.
# CloudTrail itself omits fields that are longer than 100 KB:
# https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
LARGE_BYTES = 64 * 1024  # strings of records above this size are shortened
MAX_TEXT = 4096  # characters of one string in a large record
MAX_TEXTS = 32 * 1024  # characters of all its strings; later ones are dropped

# All escapes in a JSON string: surrogate pairs, lone surrogates, NUL, and any other. All must be
# matched, so that an escaped backslash is not taken for the beginning of an escape.
ESCAPES = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<unstorable>\\u(?:[dD][89a-fA-F][0-9a-fA-F]{2}|0000))"
    r"|\\."
)


def packed(record: Record, arrival: float | None) -> bytes:
    """Return on one line what the lake needs of a record; formatting it waits for `line_of`.

    Args:
        record: The record.
        arrival: When it arrived, in seconds since 1970; when it happened if omitted.
    """
    arrival = record.time if arrival is None else arrival
    return b"%a\0%a\0%b\0%b" % (record.time, arrival, record.added, record.raw)  # JSON has no NUL


def line_of(packed: bytes) -> bytes:
    """Return a record `r`, its p_ fields `p` and its arrival `a` as one line of JSON.

    If the record was read without the fields that Panther adds, `p` has only its time.

    Args:
        packed: A result of `packed`.
    """
    time, arrival, added, raw = packed.split(b"\0", 3)
    parsed = normalised_time(float(arrival)).encode()
    raw = raw if len(raw) <= LARGE_BYTES else _shortened(raw)
    added = added or b'{"p_event_time":"%b"}' % normalised_time(float(time)).encode()
    return b'{"a":"%b","p":%b,"r":%b}' % (parsed, added, raw)


def repaired(line: bytes) -> bytes:
    """Return a line with "?" for characters that JSON allows and DuckDB does not.

    These are lone surrogates and NUL. A record must not be able to hide from queries by such a
    character in one of its strings. Everything else stays as written.
    """
    if b"\\u" not in line:
        return line
    text = line.decode("utf-8", "replace")
    return ESCAPES.sub(lambda found: "?" if found["unstorable"] else found[0], text).encode()


def _shortened(raw: bytes) -> bytes:
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return raw
    room = MAX_TEXTS

    def shorten(value: Any) -> Any:
        nonlocal room
        if isinstance(value, dict):
            return {key[:MAX_TEXT]: shorten(entry) for key, entry in value.items() if room > 0}
        if isinstance(value, list):
            return [shorten(entry) for entry in value if room > 0]
        text = value[: min(MAX_TEXT, room)] if isinstance(value, str) else value
        room -= len(str(text))
        return text

    # The largest fields come last, so that they are cut off first.
    fields = sorted(record.items(), key=lambda field: len(str(field[1])))
    return json.dumps({name: shorten(value) for name, value in fields}).encode()
