"""Finds InlineFilters that load and can never do what was meant.

A `*` under IsIn, a role's name where the event has its ARN, a key that is written twice: an
instance takes all of them, and the rule never matches.
"""

from collections.abc import Iterator
from pathlib import Path

import yaml

from local_panther.content.files import files_with
from local_panther.errors import Problem

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may be built without libyaml
LIST_CONDITIONS = ("IsIn", "IsNotIn")
WHOLE_VALUES = (*LIST_CONDITIONS, "Equals", "DoesNotEqual")
WILDCARDS = ("*", "?")
ROLE_ARN_KEY = "rolearn"
COMBINATORS = ("All", "Any")


def check_filters(folder: Path) -> list[Problem]:
    """Return a problem for each filter of a repository that cannot do what was meant.

    Args:
        folder: The root of a content repository.
    """
    found = []
    for path in files_with(folder, ".yml", ".yaml"):
        try:
            text = path.read_text(encoding="utf-8")
            root = yaml.compose(text, Loader=LOADER) if "InlineFilters" in text else None
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue  # named when the content is loaded
        if isinstance(root, yaml.MappingNode):
            for line, message in _problems(root):
                found.append(Problem(f"{path.relative_to(folder)}:{line}", message))
    return found


Finding = tuple[int, str]


def _problems(root: yaml.MappingNode) -> Iterator[Finding]:
    filters = [value for key, value in root.value if key.value == "InlineFilters"]
    yield from _duplicates(root, only=("InlineFilters",))
    for node in filters:
        yield from _list(node)


def _list(node: yaml.Node) -> Iterator[Finding]:
    if isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            if isinstance(entry, yaml.MappingNode):
                yield from _expression(entry)


def _expression(node: yaml.MappingNode) -> Iterator[Finding]:
    yield from _duplicates(node)
    fields = {key.value: value for key, value in node.value}
    for name in COMBINATORS:
        if name in fields:
            yield from _list(fields[name])
    condition, path = (_text(fields.get(name)) for name in ("Condition", "KeyPath"))
    if condition in LIST_CONDITIONS:
        yield from _values(node, fields, condition)
    if condition in WHOLE_VALUES:
        for entry in _entries(fields):
            yield from _entry(entry, condition, path)


def _values(
    node: yaml.MappingNode, fields: dict[str, yaml.Node], condition: str
) -> Iterator[Finding]:
    values = fields.get("Values")
    if isinstance(values, yaml.SequenceNode):
        return
    given = values or fields.get("Value")
    text = _text(given)
    hint = f"write Values:, and below it: - {text}" if text else "write one"
    yield (given or node).start_mark.line + 1, f"{condition} needs a list under Values; {hint}"


def _entry(node: yaml.ScalarNode, condition: str, path: str) -> Iterator[Finding]:
    line, value = node.start_mark.line + 1, node.value
    if len(value) > 1 and any(char in value for char in WILDCARDS):
        yield (
            line,
            f"{condition} compares whole values, so {value!r} matches only itself; "
            + (_instead(value, condition)),
        )
    elif path.lower().endswith(ROLE_ARN_KEY) and not value.startswith("arn:"):
        yield (
            line,
            f"{path} is an ARN, so {condition} never matches {value!r}; write the ARN, or "
            + (f"Condition: EndsWith with Value: /{value}"),
        )


def _instead(value: str, condition: str) -> str:
    """Return conditions that match what a pattern with wildcards means."""
    negated = condition in ("IsNotIn", "DoesNotEqual")
    begins, ends, contains = (
        ("DoesNotStartWith", "DoesNotEndWith", "DoesNotContain")
        if negated
        else ("StartsWith", "EndsWith", "Contains")
    )
    parts = value.replace("?", "*").split("*")
    pieces = [(begins, parts[0]), *((contains, part) for part in parts[1:-1]), (ends, parts[-1])]
    conditions = [f"Condition: {name} with Value: {part}" for name, part in pieces if part]
    return "write " + (" and ".join(conditions) or "Condition: IsNotNullOrEmpty")


def _duplicates(node: yaml.MappingNode, only: tuple[str, ...] = ()) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        name, line = _text(key), key.start_mark.line + 1
        if name in seen and (not only or name in only):
            first = seen[name]
            yield line, f"{name} is here twice, and the first one (line {first}) is lost; join them"
        seen.setdefault(name, line)


def _entries(fields: dict[str, yaml.Node]) -> Iterator[yaml.ScalarNode]:
    for name in ("Value", "Values"):
        node = fields.get(name)
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        yield from (entry for entry in nodes if isinstance(entry, yaml.ScalarNode))


def _text(node: yaml.Node | None) -> str:
    return node.value if isinstance(node, yaml.ScalarNode) else ""
