"""What one query can need of records, so that the rest is neither copied nor enriched.

All of this only ever leaves out what cannot change an answer. A record is passed over where its
text shows that the query's conditions cannot be met, and of the others only the fields that the
query names are kept. Whatever is in an unusual form goes the exact way, as if there were no
selection.
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
CACHED_VALUES, MAX_CACHED_BYTES = 4000, 1024  # callers, which come again and again
# The lake shortens a large record by all of its fields. Written anew, a record takes at most six
# bytes for each that it has here (an escaped character).
WHOLE_BYTES = 8 * 1024
SLACK = 1.0  # seconds to both sides of a bound, as times are rounded
CALLER = "userIdentity"
OBJECT: type[Any] = simdjson.Object  # whose stub has its JSON as str
BETWEEN_NAMES = "\0"
BEFORE_ALL, AFTER_ALL = "", "~"  # in the order of times as texts

# Characters that no writer of JSON escapes and that no text loses on its way into the lake, where
# "?" stands for what it cannot hold. Without those that JSON has between its values.
PLAIN_RUN = re.compile(r"[ !#-+\-./0-9:;<=>@A-Z^_`a-z|~]+")
NUMBER_PART = re.compile(r"[-+.0-9eE]*")


class Usual(NamedTuple):
    """Records of a batch that have the same fields, all in CloudTrail's own form.

    Attributes:
        names: Of their fields.
        indexes: Where they are in the batch.
        records: Objects of simdjson. To ask one for a field that it lacks costs as much as reading
            ten that it has.
        times: The eventTime of each as CloudTrail writes it; as texts they are in order too.
        callers: The userIdentity of each as JSON; none if they have none, or one is no object.
    """

    names: frozenset[str]
    indexes: list[int]
    records: list[Any]
    times: list[str]
    callers: list[bytes]


class Trait(NamedTuple):
    """A text that must be in a field of a record.

    Attributes:
        field: A field of the record; "" for anywhere in it.
        text: As the field's value has it; no writer of JSON writes it in another way.
        ignores_case: True if its case does not matter; it is in lower case then.
        is_like_number: True if a number could have it too, which can be written in several ways.
    """

    field: str
    text: str
    ignores_case: bool = False
    is_like_number: bool = False

    def possible_in(self, usual: Usual) -> list[bool]:
        """Return for each record whether the text may be in the field."""
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
        text, wanted = self.text, self.text.encode()  # the usual way, without a call for each
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


Clause = tuple[Trait, ...]  # one of them must be there


class Sieve(NamedTuple):
    """What must be so of each record that one part of a query sees.

    Attributes:
        clauses: Each of them must be met.
        first: The earliest time that matters, in seconds since 1970.
        last: The latest.
    """

    clauses: tuple[Clause, ...] = ()
    first: float = float("-inf")
    last: float = float("inf")

    def possible_in(self, usual: Usual) -> list[bool]:
        """Return for each record whether the part of the query may see it."""
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
    """What a query can need of records.

    Attributes:
        fields: Those of a record that are needed, with what Panther adds to every record alike;
            None for all, with the indicators and the row's ID.
        sieves: Of each place where the query reads records; none if it may need any record.
    """

    fields: tuple[str, ...] | None = None
    sieves: tuple[Sieve, ...] = ()

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
            record: One of usual records.
            names: Of its fields.
            time: Its eventTime in seconds since 1970.

        Returns:
            None for a record that has to be copied whole.
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
                text = _text_of(value, has_null=has_null)
                if text is None:
                    return None
                parts.append(f'"{name}":{text}')
        return f"{{{','.join(parts)}}}".encode(), plain_fields(time)


def _text_of(value: Any, *, has_null: bool) -> str | None:
    """Return a value as the JSON that it has in a record that is copied whole; None for a number.

    Args:
        value: Neither text nor null.
        has_null: Whether there is a null in the record, which is then written anew.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (simdjson.Object, simdjson.Array)):
        return None
    raw = _json(value)
    if not has_null:
        return raw.decode()
    write = _written_anew if len(raw) <= MAX_CACHED_BYTES else _written_anew.__wrapped__
    return write(raw)


@lru_cache(CACHED_VALUES)
def _written_anew(raw: bytes) -> str:
    plain = {"": json.loads(raw)}
    remove_nulls(plain)
    return json.dumps(plain[""])


def usual_records(records: Sequence[Any], indexes: Iterable[int]) -> list[Usual]:
    """Return the usual records of a batch, those with the same fields together.

    Usual is what is copied as it is when it is copied whole. Others are left out: whatever has
    other names, fields twice, objects that are text, another source or a time that is written in
    another way.

    Args:
        records: All of the batch. Their times are valid.
        indexes: Where those are in it that are looked at.
    """
    groups: defaultdict[str, list[int]] = defaultdict(list)
    objects = [index for index in indexes if type(records[index]) is OBJECT]
    shapes = map(BETWEEN_NAMES.join, [records[index] for index in objects])
    for index, shape in zip(objects, shapes, strict=True):
        groups[shape].append(index)
    found = (
        _usual(tuple(joined.split(BETWEEN_NAMES)), indexes, [records[index] for index in indexes])
        for joined, indexes in groups.items()
    )
    return [group for group in found if group]


@lru_cache(CACHED_SHAPES)
def _is_usual_shape(names: tuple[str, ...]) -> bool:
    """Return whether records with these fields may be of a usual form."""
    lower = {name.lower() for name in names}
    return (
        {"eventName", "eventTime", "eventSource", "eventType"} <= set(names)
        and len(lower) == len(names)
        and "addendum" not in lower
        and are_own_names(names)
    )


_is_usual_identity = lru_cache(CACHED_SHAPES)(has_own_identity)


def _usual(names: tuple[str, ...], indexes: list[int], records: list[Any]) -> Usual | None:
    """Return records that have the same fields; None if one of them is unusual."""
    if not _is_usual_shape(names) or {*map(len, records)} != {len(names)}:
        return None
    if any(str in map(type, _values(name, records)) for name in NESTED.intersection(names)):
        return None
    identities = _values(CALLER, records) if CALLER in names else []
    are_objects = {*map(type, identities)} == {simdjson.Object}
    callers = list(map(attrgetter("mini"), identities)) if are_objects else []
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
    """Return the longest part of a text that every writer of JSON writes as it is; "" for none."""
    runs = [run.lstrip(": ") for run in PLAIN_RUN.findall(text)]
    return max(runs, key=len, default="")


def is_like_number(text: str) -> bool:
    """Return whether a text can be a part of a number: 12345, but not 198.51.100.23."""
    return bool(NUMBER_PART.fullmatch(text)) and text.count(".") < 2
