"""Examples of settings in comments and pages, and how a reader applies each of them.

They are extracted from the text, so that a new example is tested as soon as it is written.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.builders.configurations import (
    BLOCKLIST,
    SETTINGS,
    change_blocklist,
    change_settings,
    include_people,
    shown_form,
)
from tests.builders.events import REPO

FAILED_ATTEMPTS = "rules/aws_cloudtrail_rules/aws_multiple_failed_role_attempts.yml"
OFFERED_TYPE = re.compile(r'(?m)^ +(?:# )?"(\w+)",  #')
LISTED = re.compile(r'(?m)^#   ("[^"]+"),$')
SUCH_AS = re.compile(r'such as ("[^"]+")')
OTHERWISE = re.compile(r"\b(True|False):")
ASSIGNED = re.compile(r"`([A-Z_]+) = ([^`]+)`")
CONDITION = re.compile(r"`(KeyPath: \w+)`,\s+`(Condition: \w+)`,\s+`(Value: [^`]+)`")
CHANGE = re.compile(r"\b[A-Z_]+[+-]?=")
COMMANDS = re.compile(r"(?m)^ *(local-panther set [A-Z_]+[+-]?=.*)$")

KINDS = ("setting", "command", "combination", "condition")


class Example(NamedTuple):
    """One example of a setting.

    Attributes:
        name: Its setting and value, or its place.
        apply: Applies the example to a copy of this repository.
        is_listed: Whether it adds to a list, so that it can be combined with others.
    """

    name: str
    apply: Callable[[Path], None]
    is_listed: bool = False


def examples() -> list[Example]:
    """Return the examples of this repository."""
    pages = [REPO / "README.md", *sorted((REPO / "docs").rglob("*.md"))]
    text = "\n".join(path.read_text() for path in pages)
    found = [*_of_settings(), *_of_blocklist(), *_of_pages(text)]
    return list({example.name: example for example in found}.values())


def examples_of(kind: str) -> dict[str, Example]:
    """Return the examples of one of KINDS, by name."""
    return {example.name: example for example in examples() if _kind(example.name) == kind}


def _kind(name: str) -> str:
    if name.startswith("local-panther set "):
        return "combination" if len(CHANGE.findall(name)) > 1 else "command"
    return "setting" if re.match("[A-Z_]+ = ", name) else "condition"


def apply_together(folder: Path) -> None:
    """Apply all examples that add to a list: principals, people, roles."""
    for example in examples():
        if example.is_listed:
            example.apply(folder)


def _setting(name: str, value: object) -> Example:
    return Example(
        f"{name} = {value!r}",
        lambda folder: change_settings(folder, **{name: value}),
        isinstance(value, list),
    )


def _of_settings() -> Iterator[Example]:
    """Yield the examples in the comments above the second detection's settings."""
    for name, value, comment in _commented_settings((REPO / SETTINGS).read_text()):
        if isinstance(value, list):
            listed = [ast.literal_eval(text) for text in LISTED.findall(comment)]
            listed += [ast.literal_eval(text) for text in SUCH_AS.findall(comment)]
            if listed:
                yield _setting(name, listed)
        elif isinstance(value, bool):
            yield from (_setting(name, text == "True") for text in OTHERWISE.findall(comment))


def _commented_settings(text: str) -> Iterator[tuple[str, object, str]]:
    """Yield the name, the value and the comment above each assignment of a literal."""
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        try:
            value = ast.literal_eval(node.value)
        except ValueError:
            continue  # computed from other settings
        begin = node.lineno - 1
        while begin and lines[begin - 1].startswith("#"):
            begin -= 1
        assert isinstance(target, ast.Name)
        yield target.id, value, "\n".join(lines[begin : node.lineno - 1])


def _of_blocklist() -> Iterator[Example]:
    """Yield the types that PERSON_TYPES offers in comments, and the filter with Any."""
    for kind in OFFERED_TYPE.findall((REPO / f"{BLOCKLIST}.py").read_text()):
        yield Example(
            f"PERSON_TYPES: {kind}", lambda folder, kind=kind: include_people(folder, kind), True
        )
    yield Example(
        "InlineFilters: Any",
        lambda folder: change_blocklist(folder, shown_form(folder), enabled=True),
        True,
    )


def _of_pages(text: str) -> Iterator[Example]:
    """Yield the settings, commands and conditions in README and the pages under docs/."""
    for name, value in ASSIGNED.findall(text):
        is_literal = not re.match(
            "[A-Z_]{2}", value
        )  # otherwise it is computed from another setting
        if is_literal and re.search(rf"(?m)^{name}\b", (REPO / SETTINGS).read_text()):
            yield _setting(name, ast.literal_eval(value))
    for command in COMMANDS.findall(text):
        yield Example(command, lambda folder, run=command: _run(folder, run))
    for condition in CONDITION.findall(text):
        yield Example(condition[2], lambda folder, lines=condition: _add_filter(folder, lines))


def _run(folder: Path, command: str) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(
        ["sh", "-e", "-c", command], cwd=folder, check=True, env={**os.environ, "PATH": path}
    )


def _add_filter(folder: Path, condition: tuple[str, ...]) -> None:
    """Append a condition to the InlineFilters of the failed-attempts signal."""
    file = folder / FAILED_ATTEMPTS
    before, tags, after = file.read_text().partition("\nTags:\n")
    assert before and tags, file
    file.write_text(f"{before}\n  - " + "\n    ".join(condition) + tags + after)
