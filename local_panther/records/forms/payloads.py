"""Finds CloudTrail in texts: JSON, JSON after a prefix, and JSON in base64."""

import base64
import binascii
import re
import zlib

from local_panther.records.forms.json_values import parse_json

# Names that mark a text with a record in it, in any case. Their quotes may be escaped several
# times, as in JSON inside JSON, or doubled as in CSV.
NAMES = r"event_?(?:name|source|version|category)|user_?identity"
MARK = re.compile(rf"[\"\\]+(?:{NAMES})[\"\\.]+", re.IGNORECASE)
MARK_BYTES = re.compile(MARK.pattern.encode(), re.IGNORECASE)

# Base64 of data that begins with {, [ or gzip's first bytes
BASE64 = re.compile(r"(?:[eW][w-z0-9+/_-]|H4sI)[A-Za-z0-9+/_-]{30,}={0,2}")
BASE64_WITHIN = re.compile(r"[\"\\](?:[eW][w-z0-9+/_-]|H4sI)[A-Za-z0-9+/_-]{60,}")
BASE64_BYTES = re.compile(BASE64_WITHIN.pattern.encode())
GZIP_FORMAT = 31  # zlib's `wbits`: a gzip header, and a window of any size
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
MAX_PREFIX_CHARACTERS = 1000  # before the JSON: a time, a host, a program's name


def may_hold(text: bytes) -> bool:
    """Return whether JSON may contain a record; most JSON of other logs need not be searched."""
    lower = text.lower()
    is_named = any(name in lower for name in (b"eventname", b"event_name", b"event name"))
    is_refused = b"cloudtrail" in lower or b"class_uid" in lower
    return is_named or is_refused or bool(BASE64_BYTES.search(text))


def json_within(text: str) -> str:
    """Return the JSON in a text; "" if it contains no CloudTrail."""
    text = text.strip()
    if BASE64.fullmatch(text):
        text = _decoded(text)
    if not MARK.search(text):
        return text if BASE64_WITHIN.search(text) and _is_json(text) else ""
    if text[:1] in ("{", "[") or text[:2] in ('"{', '"[', '"\\'):
        return text
    start = text.find("{", 0, MAX_PREFIX_CHARACTERS)
    return text[start:] if start >= 0 else ""


def _is_json(text: str) -> bool:
    try:
        parse_json(text)
    except (ValueError, RecursionError):
        return False
    return True


def _decoded(text: str) -> str:
    """Decode base64, and unpack gzip in it; return "" if either is not valid."""
    try:
        content = base64.b64decode(text.translate(URL_SAFE) + "==", validate=False)
        if content.startswith(b"\x1f\x8b"):
            content = zlib.decompressobj(GZIP_FORMAT).decompress(content, MAX_UNPACKED_BYTES)
    except (binascii.Error, zlib.error):
        return ""
    return content.decode(errors="replace")


URL_SAFE = str.maketrans("-_", "+/")
