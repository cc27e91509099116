"""Restores CloudTrail records from the rows of tables.

The program that wrote a row may have folded the case of names, flattened objects into columns
(`userIdentity.arn`, `useridentity_arn`), and written objects as text, times in another format and
the account as a number. Or the row has the whole record as text in one column.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

from local_panther.records.event_times import time_of
from local_panther.records.forms import notation, schemas
from local_panther.records.forms.api import Member, members
from local_panther.records.forms.names import (
    ACCOUNTS,
    BOOLEAN,
    NAMES,
    NESTED,
    TOP_LEVEL,
    folded,
    is_folded,
)
from local_panther.times import event_time

# Columns with the whole record as text: those that always have it, and those that may have it
WHOLE = ("eventjson", "cloudtrailevent", "eventdata")
TEXT_COLUMNS = (*WHOLE, "raw", "original", "eventoriginal", "message", "record", "event")
TIME_COLUMNS = ("timestamp", "peventtime", "time", "timegenerated")  # where eventTime is missing
CONSOLE = {"username": "userName", "awsaccesskey": "accessKeyId", "accesskey": "accessKeyId"}
MISSING = ("", "-", "null", "NULL", "None", "NaN", "nan", "\\N")
# Without these columns, no rule about a denied call can match: errorMessage names its target
NEEDED = ("userIdentity", "requestParameters", "errorMessage")

SEPARATOR = re.compile(r"[.\[\]{}/:]+|__")
LOWER_CAMEL = re.compile(r"[a-z]+[A-Z]\w*")
ACCOUNT_DIGITS = 12

Path = tuple[str, ...]


class Columns:
    """The columns of one table, or the names in one object.

    Attributes:
        is_cloudtrail: True if they are CloudTrail's.
        refused: If they are CloudTrail's in a schema that cannot be read, advice on what to use
            instead; "" otherwise.
        missing: Fields that rules need and no column has.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Recognise the columns by their names."""
        self._names = list(names)
        short = {folded(name) for name in self._names}
        self._prefix = "" if "eventname" in short else _common_prefix(self._names)
        self._paths = {name: path_of(name.removeprefix(self._prefix)) for name in self._names}
        fields = {path[0] for path in self._paths.values() if path}
        short |= {folded(name.removeprefix(self._prefix)) for name in self._names}
        has_time = "eventTime" in fields or not short.isdisjoint(TIME_COLUMNS)
        has_fields = "eventName" in fields and (has_time or "eventSource" in fields)
        self._text = self._text_columns(has_fields=has_fields)
        self.refused = "" if self._text else schemas.refusal(short)
        self.is_cloudtrail = not self.refused and (has_fields or bool(self._text))
        needed = NEEDED if has_fields and not self._text else ()
        self.missing = [name for name in needed if name not in fields]

    def _text_columns(self, *, has_fields: bool) -> list[str]:
        """Return the columns that may have the whole record, the best one first."""
        wanted = WHOLE if has_fields else TEXT_COLUMNS
        by_name = {folded(name.removeprefix(self._prefix)): name for name in self._names}
        return [by_name[name] for name in wanted if name in by_name]

    def record(self, row: Mapping[str, Any]) -> Any:
        """Return the record of a row, or the value that contains it.

        Raises:
            NotationError: A field has an object as text in an unknown notation; the message names
                the field.
        """
        for name in self._text:
            value = row.get(name)
            if isinstance(value, (dict, list)) or (isinstance(value, str) and _is_text(value)):
                return value
        return self._from_fields(row)

    def _from_fields(self, row: Mapping[str, Any]) -> dict[str, Any]:
        record: dict[str, Any] = {}
        flat: list[tuple[Path, Any]] = []
        who: dict[str, Any] = {}
        for name, value in row.items():
            if value is None or (isinstance(value, str) and value.strip() in MISSING):
                continue
            path = self._paths.get(name) or ()
            short = folded(name.removeprefix(self._prefix))
            if len(path) == 1:
                record[path[0]] = _field(path[0], value)
            elif path:
                flat.append((path, value))
            elif short in CONSOLE:
                who[CONSOLE[short]] = value
            elif name.startswith("p_") or LOWER_CAMEL.fullmatch(name):
                record[name] = value  # Panther's fields, and any that are new in CloudTrail
        for path, value in flat:
            _put(record, path, value)
        if who:
            record.setdefault("userIdentity", who)
        if "eventTime" not in record:
            record |= self._other_time(row)
        return _named(record)

    def _other_time(self, row: Mapping[str, Any]) -> dict[str, str]:
        by_name = {folded(name.removeprefix(self._prefix)): row[name] for name in row}
        times = (time_of(by_name[name]) for name in TIME_COLUMNS if name in by_name)
        return next(({"eventTime": event_time(time)} for time in times if time is not None), {})


def own_form(values: Mapping[str, Any]) -> Any:
    """Return an object as CloudTrail would have written the record."""
    return Columns(values).record(values)


def is_own_form(record: Mapping[str, Any], raw: bytes) -> bool:
    """Return whether a record is as CloudTrail wrote it, judged by its names and types.

    Args:
        record: The record.
        raw: The record as JSON, in which one search rules out objects as text.
    """
    may_have_text = b'"{' in raw or b'"[' in raw
    if may_have_text and any(isinstance(record.get(name), str) for name in NESTED):
        return False
    identity = record.get("userIdentity")
    if type(identity) is dict and not has_own_identity(identity.keys()):
        return False
    return are_own_names(record.keys())


def has_own_identity(names: Collection[str]) -> bool:
    """Return whether a userIdentity with these names is as CloudTrail wrote it."""
    return OWN_NAMES.issuperset(names) or not any(
        is_folded(name) and NAMES.get(folded(name), name) != name for name in names
    )


def are_own_names(names: Collection[str]) -> bool:
    """Return whether a record with these names is as CloudTrail wrote it."""
    if OWN_NAMES.issuperset(names):  # most are
        return True
    return not any(path_of(name) or folded(name) in WHOLE for name in names if name not in FIELDS)


FIELDS = frozenset(TOP_LEVEL.values())
OWN_NAMES = frozenset(NAMES.values())


def _is_text(value: str) -> bool:
    return value.strip() not in MISSING


def _common_prefix(names: Iterable[str]) -> str:
    """Return the common prefix of all names: `detail.` if a column is `detail.eventName`."""
    for name in names:
        parts = name.rpartition(".")
        if folded(parts[2]) == "eventname" and parts[0]:
            return f"{parts[0]}."
    return ""


@lru_cache(20_000)
def path_of(name: str) -> Path | None:
    """Return the path of a column's value in a record; None for a column that is not a field.

    "eventname" is at ("eventName",), "userIdentity.arn" and "useridentity_arn" at
    ("userIdentity", "arn"), "resources[0].ARN" at ("resources", "0", "ARN").
    """
    if (short := folded(name)) in TOP_LEVEL:
        return (TOP_LEVEL[short],)
    parts = [part for part in SEPARATOR.split(name) if part]
    if len(parts) > 1 and TOP_LEVEL.get(folded(parts[0])) in NESTED:
        first = TOP_LEVEL[folded(parts[0])]
        if name.startswith(f"{parts[0]}{{}}"):  # Splunk's lists
            parts.insert(1, "0")
        return (first, *parts[1:])
    words = [word for word in name.split("_") if word]
    for count in range(1, len(words)):
        field = TOP_LEVEL.get("".join(words[:count]).lower())
        if field in NESTED:
            return (field, *_known_names(words[count:]))
    return None


def _known_names(words: list[str]) -> list[str]:
    """Join words into the longest known names; unknown words at the end become one name."""
    found = []
    while words:
        lengths = range(len(words), 0, -1)
        count = next((n for n in lengths if "".join(words[:n]).lower() in NAMES), len(words))
        joined = "".join(words[:count])
        found.append(NAMES.get(joined.lower(), joined))
        words = words[count:]
    return found


def _put(record: dict[str, Any], path: Path, value: Any) -> None:
    """Put a value into the object that its column was flattened from."""
    at: Any = record
    for name, following in zip(path, [*path[1:], ""], strict=True):
        is_index = name.isdecimal() and isinstance(at, list)
        empty: Any = value if not following else [] if following.isdecimal() else {}
        if is_index:
            at += [None] * (int(name) + 1 - len(at)) if int(name) < MAX_ENTRIES else []
            if int(name) >= MAX_ENTRIES:
                return
            at[int(name)] = empty if at[int(name)] is None else at[int(name)]
            at = at[int(name)]
        elif isinstance(at, dict):
            at = at.setdefault(name, empty)
        else:
            return  # the object has a column of its own, so that its parts are repeated


MAX_ENTRIES = 1000  # in a flattened list


def _field(name: str, value: Any) -> Any:
    if name == "eventTime":
        time = time_of(value)
        return value if time is None else event_time(time)
    if name in BOOLEAN and isinstance(value, str):
        return value.lower() == "true"
    if name in NESTED and isinstance(value, str):
        try:
            return notation.parsed(value)
        except notation.NotationError as error:
            raise notation.NotationError(f"{name} is {error}") from error
    return value


def _named(record: dict[str, Any]) -> dict[str, Any]:
    """Restore the case of names in a record's objects, and leave out nulls."""
    source, name = record.get("eventSource"), record.get("eventName")
    known = members(source, name) if isinstance(source, str) and isinstance(name, str) else {}
    for field in NESTED & record.keys():
        record[field] = _recased(record[field], known, field)
    return _with_accounts(record)


def _recased(value: Any, known: Mapping[str, Member], field: str) -> Any:
    if isinstance(value, list):
        return [_recased(entry, known, field) for entry in value]
    if not isinstance(value, Mapping):
        return value
    is_call = field in ("requestParameters", "responseElements")
    found = {}
    for key, entry in value.items():
        if entry is None:
            continue
        short = folded(key)
        member = known.get(short) if is_call else None
        own = key
        if is_folded(key):
            own = member.name if member else NAMES.get(short, key)
        if field == "resources" and short == "arn":
            own = "ARN"
        found[own] = _recased(_unpacked(entry, own, member), known, field)
    return _with_accounts(found)


def _unpacked(entry: Any, name: str, member: Member | None) -> Any:
    """Parse an object that a map holds as text, unless the API itself has a text there."""
    if not isinstance(entry, str) or entry[:1] not in ("{", "["):
        return entry
    if member.is_scalar if member else name.lower().endswith(("policy", "document")):
        return entry
    try:
        return notation.parsed(entry)
    except notation.NotationError:
        return entry


def _with_accounts(found: dict[str, Any]) -> dict[str, Any]:
    """Restore the leading zeros of accounts that were read as numbers."""
    for name in ACCOUNTS & found.keys():
        value = found[name]
        text = str(value).removesuffix(".0")
        if not isinstance(value, bool) and text.isdecimal():
            found[name] = text.zfill(ACCOUNT_DIGITS)
    return found
