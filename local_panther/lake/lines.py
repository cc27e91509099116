"""Records as the lines that DuckDB reads."""

import json
import re
from typing import Any

from local_panther.records.model import Record
from local_panther.records.panther_fields import normalised_time

# DuckDB takes 2,048 values of a column at a time, which must fit into memory together. CloudTrail
# itself leaves out what is longer than 100 KB in a record:
# https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
LARGE_BYTES = 64 * 1024  # of a record, from which on its texts are shortened
MAX_TEXT = 4096  # characters of one text in a large record
MAX_TEXTS = 32 * 1024  # characters of all its texts: what comes after them is empty

# Each escape of a text in JSON, so that a backslash which is itself escaped begins none: whole
# pairs of half characters, single ones, NUL, all others.
ESCAPES = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<unstorable>\\u(?:[dD][89a-fA-F][0-9a-fA-F]{2}|0000))"
    r"|\\."
)


def line_of(record: Record, arrival: float | None) -> bytes:
    """Return a record `r`, its p_ fields `p` and its arrival `a` as one line of JSON.

    Of a record that was read without the fields that Panther adds, `p` is its time alone.
    """
    parsed = normalised_time(record.time if arrival is None else arrival).encode()
    raw = record.raw if len(record.raw) <= LARGE_BYTES else _shortened(record.raw)
    added = record.added or b'{"p_event_time":"%b"}' % normalised_time(record.time).encode()
    return b'{"a":"%b","p":%b,"r":%b}' % (parsed, added, raw)


def repaired(line: bytes) -> bytes:
    """Return a line without what JSON can hold and DuckDB cannot: half characters, NUL.

    A record must not be able to hide from the queries by one such character in any of its texts.
    Numbers and all other texts stay as they are written.
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

    # The largest fields last, so that they are what is cut off.
    fields = sorted(record.items(), key=lambda field: len(str(field[1])))
    return json.dumps({name: shorten(value) for name, value in fields}).encode()
