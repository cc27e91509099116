"""Finds the settings in a Python file and changes their values in its source text.

A setting is an upper-case name that a module assigns once, at its top level, to a number, a string,
True or False, or a list or tuple of these. Comments and everything else in the file stay as they
are.
"""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NAME = re.compile(r"[A-Z][A-Z0-9_]*")
LINE_LENGTH = 100  # as in panther-analysis
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
TRUTH = {"true": True, "false": False}

Scalar = bool | int | float | str


@dataclass(frozen=True)
class Assignment:
    """An upper-case name that a module assigns at its top level.

    Attributes:
        name: The name.
        line: The line of the assignment, from 1.
        value: The assigned value; None if it is not a setting, because it is computed or of another
            type.
        item: The type of the value, or of its items if it is a list.
        span: Position of the value in the source: its first byte, and the byte after its last.
    """

    name: str
    line: int
    value: Scalar | Sequence[Scalar] | None
    item: type
    span: tuple[int, int]

    @property
    def is_list(self) -> bool:
        """True for a list or a tuple."""
        return isinstance(self.value, (list, tuple))

    @property
    def kind(self) -> str:
        """The type of its value, in words."""
        return f"a list, each entry {KINDS[self.item]}" if self.is_list else KINDS[self.item]

    def shown(self) -> str:
        """Return its value in the form that `parsed` accepts."""
        if isinstance(self.value, (list, tuple)):
            return _shown_list(self.value)
        return str(self.value).lower() if self.item is bool else str(self.value)

    def parsed(self, operator: str, text: str) -> Scalar | Sequence[Scalar]:
        """Return the new value that a user has written.

        Args:
            operator: "=" to replace the value; for a list also "+=" to add entries and "-=" to
                remove entries.
            text: The value. Entries of a list are separated by commas, or are a JSON array.

        Raises:
            ValueError: The text is not a value of this setting; the message says which values are.
        """
        if not isinstance(self.value, (list, tuple)):
            if operator != "=":
                raise ValueError(f"{operator} is for lists, but {self.name} is {self.kind}: use =")
            return self._scalar(text)
        entries = [self._scalar(entry) for entry in _entries(text)]
        if operator == "=":
            return type(self.value)(entries)
        if operator == "+=":
            return type(self.value)(dict.fromkeys([*self.value, *entries]))
        missing = [entry for entry in entries if entry not in self.value]
        if missing:
            entries_now = self.shown() or "none"
            raise ValueError(f"{self.name} has no entry {missing[0]!r}; it has: {entries_now}")
        return type(self.value)(entry for entry in self.value if entry not in entries)

    def _scalar(self, text: str) -> Scalar:
        try:
            return _read(text.strip() if self.item is not str else text, self.item)
        except ValueError as error:
            raise ValueError(
                f"{self.name} must be {self.kind}, not {text!r}; it is now {self.shown() or 'none'}"
            ) from error


def assignments(text: str) -> dict[str, Assignment]:
    """Return the assignments to upper-case names at the top level of a module, by name.

    Raises:
        SyntaxError: The text is not valid Python.
        ValueError: The text contains a null byte (only in some versions of Python).
    """
    tree = ast.parse(text)
    stored = (node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and _is_set(node))
    times = Counter(stored)
    starts = _line_starts(text)
    return {
        name: _assignment(name, value, annotation, starts, is_only=times[name] == 1)
        for name, value, annotation in _assigned(tree)
        if NAME.fullmatch(name)
    }


def assigned(text: str, assignment: Assignment, value: Scalar | Sequence[Scalar]) -> str:
    """Return the source of a module with a new value for a setting.

    Args:
        text: The source.
        assignment: The setting, as `assignments` found it in the source.
        value: The new value.
    """
    data = text.encode()
    start, end = assignment.span
    old = data[start:end].decode()
    before = data[:start].decode()
    new = _kept_lines(old.replace("\r\n", "\n"), value) if assignment.is_list else None
    if new is None:
        new = _written(value, len(before) - before.rfind("\n") - 1)
    if "\r\n" in text:
        new = new.replace("\n", "\r\n")
    return before + new + data[end:].decode()


def _shown_list(value: Sequence[Scalar]) -> str:
    """Return a list separated by commas, or as JSON if that could not be read back."""
    texts = [str(entry).lower() if isinstance(entry, bool) else str(entry) for entry in value]
    joined = ",".join(texts)
    return joined if _entries(joined) == texts else json.dumps(list(value), ensure_ascii=False)


def _entries(text: str) -> list[str]:
    """Return the entries of a list, from a JSON array or a text with commas."""
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{text!r} is not a valid JSON array: {error}") from error
        return [
            entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False)
            for entry in found
        ]
    return [entry for entry in (part.strip() for part in text.split(",")) if entry]


def _read(text: str, kind: type) -> Scalar:
    if kind is bool:
        if text.lower() not in TRUTH:
            raise ValueError
        return TRUTH[text.lower()]
    if kind is int:
        if not re.fullmatch(r"[+-]?[0-9]+", text):
            raise ValueError
        return int(text)
    if kind is float:
        if not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", text):
            raise ValueError
        return float(text)
    if not text.isprintable():
        raise ValueError
    return text


def _is_set(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr, ast.expr | None]]:
    """Yield name, value and annotation of each plain assignment at the top level of a module."""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            yield node.target.id, node.value, node.annotation
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if isinstance(target, ast.Name):
                yield target.id, node.value, None


def _assignment(
    name: str,
    node: ast.expr,
    annotation: ast.expr | None,
    starts: Sequence[int],
    *,
    is_only: bool,
) -> Assignment:
    end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0
    span = starts[node.lineno - 1] + node.col_offset, starts[end_line - 1] + end_column
    value, item = _literal(node, annotation) if is_only else (None, str)
    return Assignment(name, node.lineno, value, item, span)


def _literal(
    node: ast.expr, annotation: ast.expr | None
) -> tuple[Scalar | Sequence[Scalar] | None, type]:
    """Return a value and its type (a list's: that of its items); None if it is not a setting."""
    try:
        value: Any = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None, str
    if type(value) in KINDS:
        return value, type(value)
    if not isinstance(value, (list, tuple)):
        return None, str
    kinds = {type(entry) for entry in value} or {_annotated(annotation)}
    item = kinds.pop()
    return (value, item) if not kinds and item in KINDS else (None, str)


def _annotated(annotation: ast.expr | None) -> type:
    """Return the item type of an annotation such as list[int]; str if there is none."""
    names = {n.id for n in ast.walk(annotation) if isinstance(n, ast.Name)} if annotation else set()
    return next((kind for kind in KINDS if kind.__name__ in names), str)


def _line_starts(text: str) -> list[int]:
    """Return the position of the first byte of each line, as Python counts lines."""
    starts, position = [0], 0
    for line in re.split(rb"(\r\n|\n|\r)", text.encode()):
        position += len(line)
        if line in (b"\n", b"\r\n", b"\r"):
            starts.append(position)
    return starts


def _written(value: Scalar | Sequence[Scalar], column: int) -> str:
    """Return a value as Python source; a long list has a line for each entry."""
    if isinstance(value, (bool, int, float, str)):
        return _literal_of(value)
    opening, closing = "[]" if isinstance(value, list) else "()"
    entries = [_literal_of(entry) for entry in value]
    comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
    line = f"{opening}{', '.join(entries)}{comma}{closing}"
    if column + len(line) <= LINE_LENGTH or not entries:
        return line
    return "\n".join([opening, *(f"    {entry}," for entry in entries), closing])


def _literal_of(value: Scalar) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _kept_lines(old: str, value: Scalar | Sequence[Scalar]) -> str | None:
    """Return a list as Python source, with the lines and comments of the old one.

    Return None unless each entry has a line of its own and the kept entries keep their order.
    """
    assert isinstance(value, (list, tuple))
    lines = old.split("\n")
    entries = _entry_lines(old)
    if entries is None or len(lines) < 3:
        return None
    kept = [entry for entry in entries if entry in value]
    if kept != list(value)[: len(kept)] or len(set(value)) != len(value):
        return None
    gone = {number for entry, number in entries.items() if entry not in value}
    body = [line for number, line in enumerate(lines[1:-1], 1) if number not in gone]
    last = max((n for entry, n in entries.items() if entry in value), default=0)
    if last and (place := last - sum(number < last for number in gone) - 1) < len(body):
        body[place] = _with_comma(body[place])
    added = [f"    {_literal_of(entry)}," for entry in list(value)[len(kept) :]]
    return "\n".join([lines[0], *body, *added, lines[-1]])


def _entry_lines(old: str) -> Mapping[Scalar, int] | None:
    """Return the line of each entry of a list, from 0; None unless each has exactly one line."""
    tree = ast.parse(f"({old})", mode="eval").body
    assert isinstance(tree, (ast.List, ast.Tuple))
    last = old.count("\n")
    found: dict[Scalar, int] = {}
    for node in tree.elts:
        number = node.lineno - 1
        is_alone = node.end_lineno == node.lineno and 0 < number < last
        if not is_alone or number in found.values():
            return None
        found[ast.literal_eval(node)] = number
    return found if len(found) == len(tree.elts) else None


def _with_comma(line: str) -> str:
    """Return the line of an entry with a comma after the entry, before any comment."""
    node = ast.parse(f"[\n{line}\n]", mode="eval").body
    assert isinstance(node, ast.List)
    end = node.elts[0].end_col_offset or 0
    data = line.encode()
    rest = data[end:].decode()
    return line if rest.lstrip().startswith(",") else data[:end].decode() + "," + rest
