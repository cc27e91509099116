"""Changes to any part of realistic records, for tests that expect no crash."""

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

from tests.builders.hostile import OTHERS, TEXTS

MOST = 4  # changes in one record
HUGE = 300_000  # characters
_TEXTS = list(TEXTS.values())


def mutated(record: dict[str, Any], random: Random) -> dict[str, Any]:
    """Return a copy of a record with one to MOST changes, at any depth."""
    changed = copy.deepcopy(record)
    for _ in range(random.randint(1, MOST)):
        places = list(_places(changed))
        if not places:
            break
        container, key = random.choice(places)
        random.choice(_CHANGES)(container, key, random)
    return changed


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place within a value: its container, and its key or index."""
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for key, entry in entries:
            yield value, key
            yield from _places(entry)


def _drop(container: Any, key: Any, random: Random) -> None:
    del container[key]


def _text(container: Any, key: Any, random: Random) -> None:
    container[key] = random.choice(_TEXTS)


def _other(container: Any, key: Any, random: Random) -> None:
    container[key] = copy.deepcopy(random.choice(OTHERS))


def _insert(container: Any, key: Any, random: Random) -> None:
    """Insert a hostile text into the present text, which stays almost valid."""
    text = str(container[key])
    place = random.randint(0, len(text))
    container[key] = text[:place] + random.choice(_TEXTS) + text[place:]


def _retype(container: Any, key: Any, random: Random) -> None:
    value = container[key]
    forms = ([value], {"value": value}, {str(key): value}, str(value), [value] * 300, repr(value))
    container[key] = random.choice(forms)


def _case(container: Any, key: Any, random: Random) -> None:
    """Change the case of a text, or of the name of a field."""
    value = container[key]
    if isinstance(value, str) and random.random() < 0.5:
        container[key] = value.swapcase()
    elif isinstance(container, dict):
        container[key.swapcase()] = container.pop(key)


def _rename(container: Any, key: Any, random: Random) -> None:
    if isinstance(container, dict):
        container[random.choice(_TEXTS)] = container.pop(key)


def _add(container: Any, key: Any, random: Random) -> None:
    if isinstance(container, dict):
        container[random.choice(_TEXTS)] = random.choice(_TEXTS)
    else:
        container.append(random.choice(_TEXTS))


def _empty_or_huge(container: Any, key: Any, random: Random) -> None:
    value = container[key]
    if isinstance(value, str):
        huge = (value * 500)[:HUGE]
        container[key] = random.choice((huge, value[:-1], f"{value} ", f" {value}", ""))
    elif isinstance(value, dict):
        container[key] = random.choice(({}, {**value, **{f"k{n}": n for n in range(60)}}))
    else:
        container[key] = random.choice(([], 0, -1, 2**64))


def _swap(container: Any, key: Any, random: Random) -> None:
    """Swap two values of an object or list."""
    other = random.choice(list(container) if isinstance(container, dict) else range(len(container)))
    container[key], container[other] = container[other], container[key]


_CHANGES = (_drop, _text, _other, _insert, _retype, _case, _rename, _add, _empty_or_huge, _swap)
