"""Finds InlineFilters that load but cannot do what was intended, and keys that appear twice.

Examples are a `*` under IsIn, a role's name where the event has its ARN, and an ARN that no role
can have. An instance accepts all of them, and the rule never matches. If a key appears twice, YAML
keeps only the second value, so that the tests under the first of two keys `Tests` are lost.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from local_panther.content.files import files_with
from local_panther.content.role_arns import Part, why_never
from local_panther.errors import Problem

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may be built without libyaml
TEXT_TAG = "tag:yaml.org,2002:str"
LIST_CONDITIONS = ("IsIn", "IsNotIn")
WILDCARDS = ("*", "?")
# CloudTrail writes account numbers as text
ACCOUNT_PATHS = ("recipientAccountId", "userIdentity.accountId")
ROLE_ARN_PATH = re.compile("(?<!assumed)rolearn$", re.I)
COMBINATORS = ("All", "Any")


class Comparison(NamedTuple):
    """How a condition compares a field with a text.

    Attributes:
        part: The part of the field that has to equal the text.
        prefix: "I" if the comparison ignores case, else "".
        is_negated: True if the condition holds where the field differs.
    """

    part: Part
    prefix: str = ""
    is_negated: bool = False


# The condition for each part of a text, and its negation
CONDITIONS: dict[Part, tuple[str, str]] = {
    "whole": ("Equals", "DoesNotEqual"),
    "start": ("StartsWith", "DoesNotStartWith"),
    "end": ("EndsWith", "DoesNotEndWith"),
    "inside": ("Contains", "DoesNotContain"),
}
COMPARISONS = {
    **{
        prefix + name: Comparison(part, prefix, name == opposite)
        for part, (same, opposite) in CONDITIONS.items()
        for name in (same, opposite)
        for prefix in ("", "I")
    },
    "IsIn": Comparison("whole"),
    "IsNotIn": Comparison("whole", is_negated=True),
}


def check_filters(folder: Path) -> list[Problem]:
    """Return a problem for each filter that cannot do what was intended, and each repeated key.

    Args:
        folder: The root of a content repository.
    """
    found = []
    for path in files_with(folder, ".yml", ".yaml"):
        try:
            text = path.read_text(encoding="utf-8")
            root = yaml.compose(text, Loader=LOADER)
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue  # reported when the content is loaded
        if isinstance(root, yaml.MappingNode) and any(
            _text(k) == "AnalysisType" for k, _ in root.value
        ):
            for line, message in _problems(root):
                found.append(Problem(f"{path.relative_to(folder)}:{line}", message))
    return found


Finding = tuple[int, str]


def _problems(root: yaml.MappingNode) -> Iterator[Finding]:
    filters = [value for key, value in root.value if key.value == "InlineFilters"]
    yield from _repeated(root)
    for node in filters:
        yield from _list(node)


def _repeated(root: yaml.Node) -> Iterator[Finding]:
    """Yield the keys that appear twice in one mapping, at any depth."""
    waiting, seen = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue  # an alias
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield from _duplicates(node)
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _list(node: yaml.Node) -> Iterator[Finding]:
    if isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            if isinstance(entry, yaml.MappingNode):
                yield from _expression(entry)


def _expression(node: yaml.MappingNode) -> Iterator[Finding]:
    fields = {key.value: value for key, value in node.value}
    for name in COMBINATORS:
        if name in fields:
            yield from _list(fields[name])
    condition, path = (_text(fields.get(name)) for name in ("Condition", "KeyPath"))
    if condition in LIST_CONDITIONS:
        yield from _values(node, fields, condition)
    if condition in COMPARISONS:
        for entry in _entries(fields):
            message = _entry(entry, condition, path)
            if message:
                yield entry.start_mark.line + 1, message


def _values(
    node: yaml.MappingNode, fields: dict[str, yaml.Node], condition: str
) -> Iterator[Finding]:
    values = fields.get("Values")
    if isinstance(values, yaml.SequenceNode):
        return
    given = values or fields.get("Value")
    text = _text(given)
    hint = f"write Values: ['{text}']" if text else "add one"
    yield (given or node).start_mark.line + 1, f"{condition} needs a list under Values; {hint}"


def _entry(node: yaml.Node, condition: str, path: str) -> str | None:
    """Return why one value of a condition has no effect; None if it has one.

    Args:
        node: The value, or an entry of its list.
        condition: The condition's name.
        path: The field that is compared.
    """
    value, (part, prefix, _) = _text(node), COMPARISONS[condition]
    is_whole, is_role = part == "whole", ROLE_ARN_PATH.search(path) is not None
    if len(value) > 1 and any(char in value for char in WILDCARDS) and (is_whole or is_role):
        compares = "whole values" if is_whole else "text"
        matches = f"{condition} compares {compares}, without wildcards, so {value!r} matches only "
        matches += "that exact text"
        return f"{matches}; {_instead(value, condition)}"
    never = _never(condition, value)
    if (is_role or path in ACCOUNT_PATHS) and node.tag != TEXT_TAG:
        return f"{path} is text, so {never}: {_why_no_text(node)}"
    if not is_role:
        return None
    compared = value.lower() if prefix else value
    if is_whole and not compared.startswith("arn:"):
        return f"{path} is an ARN, so {never}; write the ARN{_or_end(value, condition)}"
    reason = why_never(compared, part)
    return f"{path} is a role's ARN, so {never}: {reason}" if reason else None


def _never(condition: str, value: str) -> str:
    if COMPARISONS[condition].is_negated:
        return f"{condition} excludes nothing with {value!r}"
    return f"{condition} never matches {value!r}"


def _why_no_text(node: yaml.Node) -> str:
    value = _text(node)
    if not isinstance(node, yaml.ScalarNode):
        return "it is a list or mapping, not text; put quotes around a text with a colon"
    return f"it is not text; put it in quotes: '{value}'" if value else "it is empty; add a value"


def _or_end(value: str, condition: str) -> str:
    """Return, as a hint, a condition on the end of the ARN or its account; "" if none fits."""
    if re.fullmatch("[0-9]{12}", value):
        return f", or {_named('inside', condition)} with Value: '::{value}:'"
    before = "" if value.startswith(("/", ":")) else ":" if value.startswith("role/") else "/"
    end = before + value
    if why_never(end, "end"):
        return ""
    return f", or {_named('end', condition)} with Value: {end}"


def _named(part: Part, condition: str) -> str:
    """Return the counterpart of a condition that compares another part of the text."""
    _, prefix, is_negated = COMPARISONS[condition]
    return f"Condition: {prefix}{CONDITIONS[part][is_negated]}"


def _instead(value: str, condition: str) -> str:
    """Return, as a hint, conditions that match what a pattern with wildcards is meant to match."""
    part = COMPARISONS[condition].part
    parts = value.replace("?", "*").split("*")
    first: Part = "start" if part in ("whole", "start") else "inside"
    last: Part = "end" if part in ("whole", "end") else "inside"
    pieces: list[tuple[Part, str]] = [(first, parts[0])]
    pieces += [*(("inside", piece) for piece in parts[1:-1]), (last, parts[-1])]
    named = [f"{_named(place, condition)} with Value: {text}" for place, text in pieces if text]
    return "write " + (" and ".join(named) or "Condition: IsNotNullOrEmpty")


def _duplicates(node: yaml.MappingNode) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        name, line = _text(key), key.start_mark.line + 1
        if name in ("", "<<"):
            continue  # not a scalar, or a merge
        if name in seen:
            first = seen[name]
            lost = f"the first one, on line {first}, is ignored"
            yield line, f"{name} appears twice, and {lost}; merge the two"
        seen.setdefault(name, line)


def _entries(fields: dict[str, yaml.Node]) -> Iterator[yaml.Node]:
    for name in ("Value", "Values"):
        node = fields.get(name)
        if isinstance(node, yaml.SequenceNode):
            yield from node.value
        elif node is not None:
            yield node


def _text(node: yaml.Node | None) -> str:
    return node.value if isinstance(node, yaml.ScalarNode) else ""
