"""Selects the records and fields that a query can need; others are not copied or enriched.

Leaving them out never changes an answer. A record is passed over if its text shows that the query's
conditions cannot be met; the others keep only the fields that the query names. Records of an
unusual form are copied whole, as if there were no selection.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import simdjson

from local_panther.records.event_times import ALL_USUAL, EARLIEST, LATEST
from local_panther.records.forms.api import AWS_ENDINGS
from local_panther.records.forms.columns import are_own_names, has_own_identity
from local_panther.records.forms.names import NESTED
from local_panther.records.forms.recognise import OTHER_TYPES
from local_panther.records.panther_fields import plain_fields, remove_nulls
from local_panther.times import event_time

CACHED_SHAPES = 10_000
CACHED_VALUES, MAX_CACHED_BYTES = 4000, 1024  # for callers, as most are repeated
# Larger records are copied whole, as the lake decides by all fields of a large record how to
# shorten it. Encoded again, a record has at most six bytes for each byte here (escaped characters).
WHOLE_BYTES = 8 * 1024
SLACK = 1.0  # seconds added on both sides of a period, as times are rounded
CALLER = "userIdentity"
OBJECT: type[Any] = simdjson.Object  # its stub declares `mini` as str
BETWEEN_NAMES = "\0"
BEFORE_ALL, AFTER_ALL = "", "~"  # sort before and after all times as text

# Characters that no writer of JSON escapes, that JSON does not use between values, and that the
# lake keeps; it replaces characters that it cannot store by "?".
PLAIN_RUN = re.compile(r"[ !#-+\-./0-9:;<=>@A-Z^_`a-z|~]+")
NUMBER_PART = re.compile(r"[-+.0-9eE]*")


class Usual(NamedTuple):
    """Records of a batch that have the same fields, all in CloudTrail's own form.

    Attributes:
        names: Names of their fields.
        indexes: Their indexes in the batch.
        records: Objects of simdjson. Looking up a missing field costs as much as reading ten
            present ones.
        times: The eventTime of each as CloudTrail writes it, which also sorts as text.
        callers: The userIdentity of each as JSON; empty if it was not asked for, or if any record
            has none that is an object.
    """

    names: frozenset[str]
    indexes: list[int]
    records: list[Any]
    times: list[str]
    callers: list[bytes]


class Trait(NamedTuple):
    """A text that must occur in a field of a record.

    Attributes:
        field: The name of the field; "" for anywhere in the record.
        text: The text, in characters that every writer of JSON writes unescaped.
        ignores_case: True if case does not matter; the text is then in lower case.
        is_like_number: True if the text could be part of a number, which JSON can write in several
            ways.
    """

    field: str
    text: str
    ignores_case: bool = False
    is_like_number: bool = False

    def possible_in(self, usual: Usual) -> list[bool]:
        """Return for each record whether the field may contain the text."""
        values = usual.records
        if self.field == CALLER and usual.callers and not self.ignores_case:
            wanted = self.text.encode()
            return [wanted in caller for caller in usual.callers]
        if self.field:
            if self.field not in usual.names:
                return [False] * len(values)
            values = _values(self.field, values)
        if self.ignores_case or self.is_like_number:
            return list(map(self._may_be_in, values))
        text, wanted = self.text, self.text.encode()  # inlined for the usual case
        return [
            wanted in value.mini
            if type(value) is OBJECT
            else text in value
            if type(value) is str
            else self._may_be_in(value)
            for value in values
        ]

    def _may_be_in(self, value: Any) -> bool:
        if value is None:
            return False
        if isinstance(value, str):
            if self.ignores_case:
                return not value.isascii() or self.text in value.lower()
            return self.text in value
        if self.is_like_number or not isinstance(value, (simdjson.Object, simdjson.Array)):
            return True
        raw = _json(value)
        if self.ignores_case:
            return not raw.isascii() or self.text.encode() in raw.lower()
        return self.text.encode() in raw


Clause = tuple[Trait, ...]  # at least one must be present


class Sieve(NamedTuple):
    """Necessary conditions on the records that one part of a query reads.

    Attributes:
        clauses: Conditions that must all be met.
        first: The earliest eventTime that matters, in seconds since 1970.
        last: The latest.
    """

    clauses: tuple[Clause, ...] = ()
    first: float = float("-inf")
    last: float = float("inf")

    def possible_in(self, usual: Usual) -> list[bool]:
        """Return for each record whether it may meet the conditions."""
        first, last = _written(self.first - SLACK), _written(self.last + SLACK)
        ways = [[trait.possible_in(usual) for trait in clause] for clause in self.clauses]
        met = [
            found[0] if len(found) == 1 else list(map(any, zip(*found, strict=True)))
            for found in ways
        ]
        if min(usual.times) < first or last < max(usual.times):
            met.append([first <= time <= last for time in usual.times])
        if len(met) == 1:
            return met[0]
        return list(map(all, zip(*met, strict=True))) if met else [True] * len(usual.times)


@lru_cache
def _written(time: float) -> str:
    if not EARLIEST <= time < LATEST:
        return BEFORE_ALL if time < EARLIEST else AFTER_ALL
    return event_time(time)


class Selection(NamedTuple):
    """The records and fields that a query can need.

    Attributes:
        fields: Names of the needed fields; those that Panther adds are then limited to
            `plain_fields`. None for all fields, with indicators and the row ID.
        sieves: One for each part of the query that reads records; empty if it may need any record.
    """

    fields: tuple[str, ...] | None = None
    sieves: tuple[Sieve, ...] = ()

    @property
    def reads_callers(self) -> bool:
        """True if a condition is on the caller as a whole."""
        clauses = (clause for sieve in self.sieves for clause in sieve.clauses)
        return any(trait.field == CALLER for clause in clauses for trait in clause)

    def possible_in(self, usual: Usual) -> list[bool]:
        """Return for each record whether the query may need it."""
        if not self.sieves:
            return [True] * len(usual.times)
        found = [sieve.possible_in(usual) for sieve in self.sieves]
        return found[0] if len(found) == 1 else list(map(any, zip(*found, strict=True)))

    def narrowed(
        self, record: Any, names: frozenset[str], time: float
    ) -> tuple[bytes, bytes] | None:
        """Return the needed fields of a record and those that Panther adds, as JSON.

        Args:
            record: A usual record.
            names: Names of its fields.
            time: Its eventTime in seconds since 1970.

        Returns:
            Both as JSON; None for a record that has to be copied whole.
        """
        if self.fields is None:
            return None
        raw: bytes = record.mini
        if len(raw) > WHOLE_BYTES:
            return None
        has_null = b"null" in raw
        parts = []
        for name in self.fields:
            value = record[name] if name in names else None
            if type(value) is str:
                parts.append(f'"{name}":{encode_basestring_ascii(value)}')
            elif value is not None:
                text = _copied(value, has_null=has_null)
                if text is None:
                    return None
                parts.append(f'"{name}":{text}')
        return f"{{{','.join(parts)}}}".encode(), plain_fields(time)


def _copied(value: Any, *, has_null: bool) -> str | None:
    """Return a value as JSON, as it would be in a record copied whole; None for a number.

    Args:
        value: A value other than a text or null.
        has_null: Whether the record contains a null, and so would be encoded again without it.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (simdjson.Object, simdjson.Array)):
        return None
    raw = _json(value)
    if not has_null:
        return raw.decode()
    encode = _without_nulls if len(raw) <= MAX_CACHED_BYTES else _without_nulls.__wrapped__
    return encode(raw)


@lru_cache(CACHED_VALUES)
def _without_nulls(raw: bytes) -> str:
    plain = {"": json.loads(raw)}
    remove_nulls(plain)
    return json.dumps(plain[""])


def usual_records(
    records: Sequence[Any], indexes: Iterable[int], *, with_callers: bool = False
) -> list[Usual]:
    """Return the usual records of a batch, grouped by their fields.

    A record is usual if copying it whole does not change it. Records with other names, repeated
    fields, also of the caller, objects as text, another source or another format of time are left
    out.

    Args:
        records: All records of the batch, with valid times.
        indexes: Indexes of the records to consider.
        with_callers: Also return the userIdentity of each record as JSON.
    """
    groups: defaultdict[str, list[int]] = defaultdict(list)
    objects = [index for index in indexes if type(records[index]) is OBJECT]
    shapes = map(BETWEEN_NAMES.join, [records[index] for index in objects])
    for index, shape in zip(objects, shapes, strict=True):
        groups[shape].append(index)
    found = (
        _usual(
            tuple(joined.split(BETWEEN_NAMES)),
            indexes,
            [records[index] for index in indexes],
            with_callers=with_callers,
        )
        for joined, indexes in groups.items()
    )
    return [group for group in found if group]


@lru_cache(CACHED_SHAPES)
def _is_usual_shape(names: tuple[str, ...]) -> bool:
    """Return whether records with these fields may be usual."""
    lower = {name.lower() for name in names}
    return (
        {"eventName", "eventTime", "eventSource", "eventType"} <= set(names)
        and len(lower) == len(names)
        and "addendum" not in lower
        and are_own_names(names)
    )


@lru_cache(CACHED_SHAPES)
def _is_usual_identity(names: tuple[str, ...]) -> bool:
    return len({*names}) == len(names) and has_own_identity(names)


def _usual(
    names: tuple[str, ...], indexes: list[int], records: list[Any], *, with_callers: bool
) -> Usual | None:
    """Return records of the same fields as a group; None if any of them is unusual."""
    if not _is_usual_shape(names) or {*map(len, records)} != {len(names)}:
        return None
    nested = {name: _values(name, records) for name in NESTED.intersection(names)}
    if any(str in map(type, values) for values in nested.values()):
        return None
    identities = nested.get(CALLER, [])
    are_objects = {*map(type, identities)} == {simdjson.Object}
    callers = list(map(attrgetter("mini"), identities)) if with_callers and are_objects else []
    distinct = dict(zip(callers, identities, strict=True)).values() if callers else identities
    shapes = {tuple(value) for value in distinct if isinstance(value, simdjson.Object)}
    sources, kinds = {*_values("eventSource", records)}, {*_values("eventType", records)}
    times = _values("eventTime", records)
    if (
        not all(map(_is_usual_identity, shapes))
        or {*map(type, sources), *map(type, kinds), *map(type, times)} != {str}
        or not all(source.endswith(AWS_ENDINGS) for source in sources)
        or kinds & OTHER_TYPES.keys()
        or not ALL_USUAL.fullmatch(" ".join([*times, ""]))
    ):
        return None
    return Usual(frozenset(names), indexes, records, times, callers)


def _json(value: Any) -> bytes:
    raw: bytes = value.mini
    return raw


def _values(name: str, records: Iterable[Any]) -> list[Any]:
    return list(map(itemgetter(name), records))


def plain_part(text: str) -> str:
    """Return the longest part of a text that no writer of JSON escapes; "" if there is none."""
    runs = [run.lstrip(": ") for run in PLAIN_RUN.findall(text)]
    return max(runs, key=len, default="")


def is_like_number(text: str) -> bool:
    """Return whether a text can be part of a number: 12345, but not 198.51.100.23."""
    return bool(NUMBER_PART.fullmatch(text)) and text.count(".") < 2
