"""Finds the settings that a user changed in the detections, and carries them over to a new version.

Users are meant to change settings, so these never conflict with changes of a new version. They are:

- in Python, an upper-case name with a literal value (`THRESHOLD = 5`);
- in YAML, a key of `KEYS`, such as `Enabled` and `InlineFilters`;
- in YAML and SQL, a value with a comment that names a setting ("must equal", "at least").
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
BLOCK_END = re.compile(r"^(?![ \t-]|$)", re.MULTILINE)  # the next line without indentation
AT_LEAST = "at least "


@dataclass(frozen=True)
class Value:
    """The value of a setting in a text.

    Attributes:
        start: Index of its first character.
        end: Index after its last character.
        text: Text of the value.
    """

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Changed:
    """A setting that a user changed.

    Attributes:
        mine: Value of the user.
        base: Value that was shipped.
    """

    mine: str
    base: str


def changed_settings(path: str, mine: str, base: str) -> dict[str, Changed]:
    """Return the settings that a user changed, by name.

    Args:
        path: Path of the file, whose suffix tells Python from YAML.
        mine: Text of the user.
        base: Text that was shipped.
    """
    before = _values(path, base)
    return {
        name: Changed(value.text, before[name].text)
        for name, value in _values(path, mine).items()
        if name in before and before[name].text != value.text
    }


def without(path: str, mine: str, changed: Mapping[str, Changed]) -> str:
    """Return a user's text with the changed settings set back to the shipped values."""
    return _replaced(path, mine, {name: change.base for name, change in changed.items()})


def carried_over(path: str, text: str, changed: Mapping[str, Changed]) -> tuple[str, list[str]]:
    """Return a new text with a user's settings, and notes for the user.

    Values with a comment are adapted to their settings later. Only a value with "at least" is kept
    here, if the user's is higher.
    """
    new, notes = {}, list[str]()
    kept: list[str] = []
    present = _values(path, text)
    for name, change in changed.items():
        is_repeated = name.startswith((AT_LEAST, "must equal "))
        if name not in present:
            if not is_repeated:
                notes.append(f"{name} no longer exists, yours was {_short(change.mine)}")
        elif not is_repeated:
            new[name] = change.mine
            kept.append(name)
            if present[name].text not in (change.base, change.mine):
                notes.append(f"the new default of {name} is {_short(present[name].text)}")
        elif name.startswith(AT_LEAST) and _number(change.mine) > _number(present[name].text):
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
