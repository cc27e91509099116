"""Counts distinct values in a sliding window of event time, exactly, in one bounded string set.

A *sighting* is a value seen at a time. Every sighting of one subject goes into one string set of
the key-value store, time and value in the same member, so that a single atomic
`add_to_string_set` both records it and returns everything that is needed to answer: no read, no
lost update, and members outside the window (late deletion by DynamoDB, old runs) do not count.

**Why the set stays small and the answer stays exact.** Cut time into blocks as long as the window.
A window cannot fall strictly inside a block, so within a block it covers the block's beginning or
its end. For the question "at least `threshold` distinct values?" a block's beginning is decided by
the first sightings of its `threshold` earliest values, and its end by the last sightings of its
`threshold` latest values. These sightings are *essential*; all others can be left out or removed
without changing the answer for any window. A sighting that is essential among all sightings is
essential among any part of them, so a worker that knows only a part never drops one that matters,
whatever the order of arrival and however many workers share the stream.

**Late, early and wrong times.** The answer is exact while events arrive at most MAX_DELAY out of
order. No event can happen after its arrival, so a sighting dated later than the wall clock plus
MAX_FUTURE is not kept, and the present is never later than the wall clock: one wrong clock hides
nothing. Older sightings, from a backlog that is processed beside live events, have room of their
own; when it is full, the oldest are removed.
"""

import contextlib
import hashlib
import itertools
import time as wall_clock
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError
from panther_detection_helpers.caching import add_to_string_set, remove_from_string_set

MAX_DELAY = 2 * 60 * 60  # seconds that an event may arrive out of order
MAX_FUTURE = 15 * 60  # seconds by which clocks may differ
TTL_SLACK = 60 * 60  # seconds that an item outlives its newest member's use

# An item holds at most 10 x threshold essential members (two ends of five blocks, as many as
# MAX_DELAY, a window of an hour and MAX_FUTURE touch) and this many bytes of others. With members
# of at most 182 bytes it stays under 20 KB for a threshold of 10, and under 57 KB for one of 30.
MAX_INESSENTIAL_BYTES = 1536
MAX_OLD_BYTES = 4096  # for older sightings, if the item has that much room left
MAX_ITEM_BYTES = 16_000
MAX_VALUE = 82  # characters; an account ID, ":role/" and a role name of full length fit
MAX_DETAILS = 88  # characters of all details together
SEPARATOR = "\t"

# What this process knows of the store: sets that its own writes returned. They may lack what others
# have stored since, but a part is enough to decide that a sighting can be left out.
MAX_KNOWN_SUBJECTS = 1000
KNOWN_FOR = 10 * 60  # wall-clock seconds; far less than any item's time to live
MAX_PARSED = 4096  # members; most of them recur with the next attempt of the same subject
_known: OrderedDict[str, tuple[float, frozenset[str]]] = OrderedDict()


class Sighting(NamedTuple):
    """A value seen at a time, with short texts about it."""

    time: int  # seconds since 1970, event time
    value: str
    details: tuple[str, ...] = ()


def record(
    subject: str, sighting: Sighting, window: int, threshold: int, spacing: int = 0
) -> list[Sighting]:
    """Record a sighting and return all known sightings of the subject, including this one.

    Args:
        subject: What the values are counted for; the item's key in the key-value store.
        sighting: What was seen. A value longer than 82 characters is stored with a hash in place of
            its end; details are cut to 88 characters together.
        window: Length of the sliding window in seconds, both ends inclusive.
        threshold: The number of distinct values that the caller compares with.
        spacing: Leave out a sighting when this process has recorded the same value less than this
            many seconds of event time away. Zero is exact.

    Returns:
        The essential sightings of every window that contains this one, and usually more. A window
        with fewer distinct values than the threshold lacks none of them.

    Raises:
        botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: The key-value store did
            not answer or refused. An attempt that cannot be recorded must show as a rule error.
    """
    if sighting.time > clock() + MAX_FUTURE:
        return [sighting]
    member = _encode(sighting)
    remembered = _recall(subject)
    if _adds_nothing(member, remembered, window, threshold, spacing):
        return _decode(remembered | {member})
    stored = frozenset(add_to_string_set(subject, member, epoch_seconds=_ttl(window)))
    surplus = _surplus(stored, window, threshold)
    if surplus:
        # The sighting is already stored, and the next clean-up makes up for one that fails.
        with contextlib.suppress(BotoCoreError, ClientError):
            remove_from_string_set(subject, surplus, epoch_seconds=_ttl(window))
        stored -= surplus
    _remember(subject, stored)
    return _decode(stored)


def clock() -> float:
    """Return the time at which events arrive, in seconds since 1970."""
    return wall_clock.time()


def known(subject: str) -> list[Sighting]:
    """Return what this process's last `record` of a subject returned, without asking the store."""
    return _decode(_recall(subject))


def fullest_window(sightings: Iterable[Sighting], time: int, window: int) -> list[Sighting]:
    """Return the sightings of the window around a time that has the most distinct values.

    Args:
        sightings: Any sightings, in any order.
        time: Seconds since 1970; only windows that contain it are considered.
        window: Length of the window in seconds, both ends inclusive.

    Returns:
        The sightings of the earliest such window, in order of time; empty if none is near.
    """
    near = sorted(s for s in sightings if abs(s.time - time) <= window)
    starts = sorted({s.time for s in near if s.time <= time})
    windows = ([s for s in near if start <= s.time <= start + window] for start in starts)
    return max(windows, key=lambda found: len({s.value for s in found}), default=[])


def may_lack_values(
    sightings: Iterable[Sighting], found: list[Sighting], time: int, window: int, threshold: int
) -> bool:
    """Return whether a window may have had more distinct values than are known.

    A block with fewer than `threshold` values has lost none. A block that has lost all sightings of
    a value keeps `threshold` sightings before it and `threshold` after it. A block that has lost
    only some sightings of a value keeps others, which count if `found` contains all that are near.

    Args:
        sightings: What is known, from `record` or `known`.
        found: The fullest window among them.
        time: The time that was passed to `fullest_window`.
        window: Length of the window in seconds.
        threshold: As for `record`.
    """
    blocks: dict[int, set[Sighting]] = defaultdict(set)
    for sighting in sightings:
        blocks[sighting.time // window].add(sighting)
    first, last = (time - window) // window, (time + window) // window
    near = [blocks[block] for block in range(first, last + 1) if block in blocks]
    full = [block for block in near if len({s.value for s in block}) >= threshold]
    return any(len(block) >= 2 * threshold for block in near) or (
        bool(full) and not set().union(*near) <= set(found)
    )


def essential(members: Iterable[str], window: int, threshold: int) -> set[str]:
    """Return the members that decide, for every window, whether it holds `threshold` values.

    In each block of `window` seconds, these are the first sightings of the earliest `threshold`
    values and the last sightings of the latest ones. Members of an unknown form are not essential.
    """
    blocks: dict[int, list[tuple[int, str, str]]] = defaultdict(list)
    for member in members:
        sighting = parse(member)
        if sighting:
            blocks[sighting.time // window].append((sighting.time, sighting.value, member))
    found: set[str] = set()
    for block in blocks.values():
        block.sort()
        found.update(_first_of_each(block, threshold))
        found.update(_first_of_each(reversed(block), threshold))
    return found


def _first_of_each(block: Iterable[tuple[int, str, str]], limit: int) -> list[str]:
    first: dict[str, str] = {}
    for _, value, member in block:
        if len(first) == limit:
            break
        first.setdefault(value, member)
    return list(first.values())


def _adds_nothing(
    member: str, remembered: frozenset[str], window: int, threshold: int, spacing: int
) -> bool:
    if member in remembered:
        return True
    if spacing:
        new = parse(member)
        for old in _decode(remembered):
            if new and old.value == new.value and abs(old.time - new.time) < spacing:
                return True
    return bool(remembered) and member not in essential(remembered | {member}, window, threshold)


def _surplus(members: frozenset[str], window: int, threshold: int) -> set[str]:
    """Return the members to remove, in bulk: inessential ones, future ones, too old ones."""
    if _size(members) <= MAX_INESSENTIAL_BYTES:
        return set()  # too little to remove, even if all of it were surplus
    now = clock()
    times = {member: sighting.time for member in members if (sighting := parse(member))}
    past = {member for member, time in times.items() if time <= now + MAX_FUTURE}
    present = min(now, max((times[member] for member in past), default=0))
    kept = essential(past, window, threshold)
    old = {member for member in kept if times[member] < present - window - MAX_DELAY}
    surplus = members - (kept - old) - _youngest(old, times, _size(kept - old))
    return set(surplus) if _size(surplus) > MAX_INESSENTIAL_BYTES else set()


def _youngest(old: set[str], times: Mapping[str, int], used: int) -> set[str]:
    """Return the youngest old members, as many as fit into the item beside the bytes in use."""
    room = min(MAX_OLD_BYTES, MAX_ITEM_BYTES - MAX_INESSENTIAL_BYTES - used)
    by_age = sorted(old, key=lambda member: (-times[member], member))
    sizes = itertools.accumulate(map(len, by_age))
    return {member for member, size in zip(by_age, sizes, strict=True) if size <= room}


def _size(members: Iterable[str]) -> int:
    return sum(map(len, members))


def _encode(sighting: Sighting) -> str:
    details = SEPARATOR.join(_clean(detail, MAX_DETAILS) for detail in sighting.details)
    fields = [str(sighting.time), shorten(sighting.value), details[:MAX_DETAILS]]
    return SEPARATOR.join(field for field in fields if field)


@lru_cache(MAX_PARSED)
def parse(member: str) -> Sighting | None:
    """Parse a stored member; return None if it has an unknown form."""
    time, _, rest = member.partition(SEPARATOR)
    value, *details = rest.split(SEPARATOR)
    return Sighting(int(time), value, tuple(details)) if time.isdecimal() and value else None


def _decode(members: Iterable[str]) -> list[Sighting]:
    return [sighting for sighting in map(parse, members) if sighting]


def shorten(value: str, limit: int = MAX_VALUE) -> str:
    """Return a value in at most `limit` printable ASCII characters, distinct from all others."""
    plain = _clean(value, limit)
    if plain == value:
        return plain
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{plain[: limit - len(digest) - 1]}~{digest}"


def _clean(text: str, limit: int) -> str:
    if text.isascii() and text.isprintable():
        return text[:limit]
    return "".join(char if " " <= char <= "~" else "?" for char in text[:limit])


def _ttl(window: int) -> int:
    return window + MAX_DELAY + TTL_SLACK


def _recall(subject: str) -> frozenset[str]:
    written_at, members = _known.get(subject, (0.0, frozenset()))
    return members if wall_clock.time() - written_at < KNOWN_FOR else frozenset()


def _remember(subject: str, members: frozenset[str]) -> None:
    _known[subject] = (wall_clock.time(), members)
    _known.move_to_end(subject)
    while len(_known) > MAX_KNOWN_SUBJECTS:
        _known.popitem(last=False)
