"""Settings in the files of the detections: told apart from other changes, and carried over.

A setting is what a user is meant to change, so it never conflicts with what a new version changes:

- in Python, an upper-case name that is assigned a literal (`THRESHOLD = 5`);
- in YAML, a key of `KEYS`, such as `Enabled` and `InlineFilters`;
- in YAML and SQL, a value beside a comment that names a setting ("must equal", "at least").
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from local_panther.content.agreements import NUMBER, agreement_in
from local_panther.content.assignments import assignments

KEYS = (
    "Enabled",
    "Severity",
    "DedupPeriodMinutes",
    "Threshold",
    "InlineFilters",
    "OutputIds",
    "CreateAlert",
)
KEY = re.compile(rf"^({'|'.join(KEYS)}):", re.MULTILINE)
BLOCK_END = re.compile(r"^(?![ \t-]|$)", re.MULTILINE)  # the next key or comment at the margin
AT_LEAST = "at least "


@dataclass(frozen=True)
class Value:
    """A setting in a text.

    Attributes:
        start: The index of its first character.
        end: The index after its last one.
        text: What is written there.
    """

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Changed:
    """A setting that a user changed.

    Attributes:
        mine: What the user wrote.
        base: What was shipped.
    """

    mine: str
    base: str


def changed_settings(path: str, mine: str, base: str) -> dict[str, Changed]:
    """Return the settings that a user changed, by name.

    Args:
        path: The path of the file, which tells Python from YAML.
        mine: The text of the user.
        base: The text that was shipped.
    """
    before = _values(path, base)
    return {
        name: Changed(value.text, before[name].text)
        for name, value in _values(path, mine).items()
        if name in before and before[name].text != value.text
    }


def without(path: str, mine: str, changed: Mapping[str, Changed]) -> str:
    """Return a user's text with the settings as they were shipped."""
    return _replaced(path, mine, {name: change.base for name, change in changed.items()})


def carried_over(path: str, text: str, changed: Mapping[str, Changed]) -> tuple[str, list[str]]:
    """Return a new text with a user's settings, and what to tell the user about them.

    Values beside a comment follow their settings later; here only one that is "at least" as much is
    kept, if the user's is more.
    """
    new, notes = {}, list[str]()
    kept: list[str] = []
    there = _values(path, text)
    for name, change in changed.items():
        is_repeated = name.startswith((AT_LEAST, "must equal "))
        if name not in there:
            if not is_repeated:
                notes.append(f"{name} is gone, yours was {_short(change.mine)}")
        elif not is_repeated:
            new[name] = change.mine
            kept.append(name)
            if there[name].text not in (change.base, change.mine):
                notes.append(f"the new {name} would be {_short(there[name].text)}")
        elif name.startswith(AT_LEAST) and _number(change.mine) > _number(there[name].text):
            new[name] = change.mine
    if kept:
        notes.insert(0, f"with your {', '.join(kept)}")
    return _replaced(path, text, new), notes


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) < 60 else f"{line[:57]}..."


def _number(text: str) -> int:
    numbers = NUMBER.findall(text)
    return int(numbers[-1]) if numbers else 0


def _replaced(path: str, text: str, new: Mapping[str, str]) -> str:
    values = [(value, new[name]) for name, value in _values(path, text).items() if name in new]
    for value, replacement in sorted(values, key=lambda pair: -pair[0].start):
        text = text[: value.start] + replacement + text[value.end :]
    return text


def _values(path: str, text: str) -> dict[str, Value]:
    """Return the settings in a text by name."""
    return dict(_in_python(text) if path.endswith(".py") else _in_yaml(text))


def _in_python(text: str) -> Iterator[tuple[str, Value]]:
    try:
        found = assignments(text)
    except (SyntaxError, ValueError):
        return
    data = text.encode()
    for name, assignment in found.items():
        if assignment.value is not None:
            start, end = (len(data[:place].decode()) for place in assignment.span)
            yield name, Value(start, end, text[start:end])


def _in_yaml(text: str) -> Iterator[tuple[str, Value]]:
    blocks = []
    for key in KEY.finditer(text):
        end = BLOCK_END.search(text, key.end() + 1)
        place = key.end() + len(text[key.end() : end.start() if end else len(text)].rstrip())
        blocks.append(range(key.start(), place))
        yield key[1], Value(key.end(), place, text[key.end() : place])
    times: Counter[str] = Counter()
    start = 0
    for line in text.splitlines(keepends=True):
        agreement = agreement_in(line)
        if agreement and agreement.literal and not any(start in block for block in blocks):
            name = f"{agreement.relation} {agreement.reference}"
            times[name] += 1
            place = start + agreement.start
            value = Value(place, place + len(agreement.literal), agreement.literal)
            yield f"{name} ({times[name]})", value
        start += len(line)
