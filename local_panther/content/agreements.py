"""Values in YAML and SQL that must agree with a setting in a repository's Python.

SQL and correlation rules cannot read Python. A file that repeats a setting says so in a comment
after the value:

    LookbackWindowMinutes: 120 # at least my_config.WINDOW_MINUTES + 45
    10 AS threshold, -- must equal my_config.THRESHOLD

`my_config` is a Python file of the repository, and the setting is an upper-case name in it. The
value is the last literal before the comment. A string that contains numbers, such as '180 m' or
"p_occurs_since(180 m)", counts as the last of them.
"""

import ast
import re
import runpy
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from local_panther.box.apart import ApartError, apart
from local_panther.box.watch import can_run_content, content_in
from local_panther.content.files import COMMENTED, files_with
from local_panther.errors import Problem, one_line

COMMENT = re.compile(
    r"(?:#|--)\s*(?P<relation>must equal|at least)\s+"
    r"(?P<module>[a-z_][a-z0-9_]*)\.(?P<name>[A-Z][A-Z0-9_]*)(?:\s*\+\s*(?P<more>[0-9]+))?"
)
LITERAL = re.compile(
    r"'(?:[^']|'')*'|\"[^\"]*\"|(?<![\w.])-?[0-9]+(?:\.[0-9]+)?|\btrue\b|\bfalse\b", re.I
)
NUMBER = re.compile(r"-?[0-9]+")


def check_agreements(folder: Path, files: Iterable[Path] | None = None) -> list[Problem]:
    """Return a problem for each value that does not agree with its setting.

    Args:
        folder: The root of a content repository. The Python files named in comments are run.
        files: The files whose comments are read; all YAML and SQL files if omitted.
    """
    settings = Settings(folder)
    files = files_with(folder, *COMMENTED) if files is None else files
    return [problem for path in files for problem in _problems(path, folder, settings)]


def has_agreements(path: Path) -> bool:
    """Return whether a comment in a file ties a value to a setting."""
    try:
        return COMMENT.search(path.read_text(encoding="utf-8")) is not None
    except (OSError, UnicodeDecodeError):
        return False  # reported when the content is loaded


class Settings:
    """The settings in the Python files of a repository."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # If files share a name, the helper wins: only it can be imported by that name.
        files = sorted(files_with(folder, ".py"), key=lambda path: "helpers" in path.parent.name)
        self._files = {path.stem: path for path in files}
        self.values = cache(self._values)

    def has(self, module: str) -> bool:
        """Return whether the repository has a Python file of this name."""
        return module in self._files

    def value(self, module: str, name: str) -> Any:
        """Return the value of a setting.

        Raises:
            LookupError: There is no such file or setting; the message says which is missing.
        """
        values = self.values(module)
        if name not in values:
            raise LookupError(f"{module}.py has no {name}")
        return values[name]

    def _values(self, module: str) -> dict[str, Any]:
        """Return the values of all names in a file.

        Raises:
            LookupError: The file is missing or does not run.
        """
        path = self._files.get(module)
        if path is None:
            raise LookupError(f"{module}.py is not in this repository")
        try:
            if can_run_content():
                return self._run(path)
        except Exception as error:
            raise LookupError(f"{module}.py does not run: {one_line(error)}") from error
        try:
            texts, reason = apart(lambda: self._run_to_text(path))[0]
        except ApartError as error:
            raise LookupError(f"{module}.py does not run: {one_line(error)}") from error
        if reason:
            raise LookupError(f"{module}.py does not run: {reason}")
        return {name: ast.literal_eval(text) for name, text in texts.items()}

    def _run(self, path: Path) -> dict[str, Any]:
        with _importable(path.parent), content_in(self._folder.resolve()):
            return runpy.run_path(str(path.resolve()))

    def _run_to_text(self, path: Path) -> tuple[dict[str, str], str]:
        """Return the settings in a file as Python literals, or the reason why it does not run."""
        try:
            return _as_text(self._run(path)), ""
        except Exception as error:
            return {}, one_line(error)

    def file(self, module: str) -> Path | None:
        """Return the Python file of this name; None if there is none."""
        return self._files.get(module)

    def place(self, module: str, name: str = "") -> str:
        """Return the file and line of a setting; only the file if the setting is not found."""
        path = self._files[module]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if name and re.match(rf"{name}\b\s*[:=]", line):
                return f"{path.relative_to(self._folder)}:{number}"
        return str(path.relative_to(self._folder))


def repeated_at(folder: Path, module: str, name: str) -> list[str]:
    """Return the files and lines whose comments tie a value to a setting."""
    return [
        f"{path.relative_to(folder)}:{number}"
        for path in files_with(folder, *COMMENTED)
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1)
        for found in COMMENT.finditer(line)
        if (found["module"], found["name"]) == (module, name)
    ]


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let a file import its neighbours, even if modules with their names are already loaded."""
    names = [path.stem for path in folder.glob("*.py")]
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


@dataclass(frozen=True)
class Agreement:
    """A comment that ties the value before it to a setting.

    Attributes:
        relation: "must equal" or "at least".
        module: The name of the Python file, without its suffix.
        name: The name of the setting.
        more: The number to add to the setting.
        literal: The value as written in the line; "" if there is none.
        start: The column of the literal, from 0.
    """

    relation: str
    module: str
    name: str
    more: int
    literal: str
    start: int

    @property
    def reference(self) -> str:
        """The setting as written in the comment."""
        return f"{self.module}.{self.name}" + (f" + {self.more}" if self.more else "")

    def wanted(self, settings: Settings) -> Any:
        """Return the value of the setting, with `more` added.

        Raises:
            LookupError: There is no such setting; the message says what is missing.
            TypeError: The setting is not a number, so that nothing can be added.
        """
        value = settings.value(self.module, self.name)
        return value + self.more if self.more else value

    def value(self, wanted: Any) -> Any:
        """Return the literal's value, read as the type of the wanted value."""
        return _value(self.literal, wanted)

    def problem(self, settings: Settings) -> str:
        """Return why the value does not agree with the setting; "" if it does."""
        try:
            wanted = self.wanted(settings)
        except (LookupError, TypeError) as error:
            return f"{self.relation} {self.reference}: {error}"
        if not self.literal:
            return f"no value before the comment: {self.relation} {self.reference}"
        value = self.value(wanted)
        if _agrees(value, self.relation, wanted):
            return ""
        relation = "must equal" if self.relation == "must equal" else "must be at least"
        where = settings.place(self.module, self.name)
        return f"{value!r} {relation} {wanted!r}, which is {self.reference} in {where}"


def agreement_in(line: str) -> Agreement | None:
    """Return the agreement that the comment of a line asks for; None if there is none."""
    found = COMMENT.search(line)
    if found is None:
        return None
    literals = list(LITERAL.finditer(line, 0, found.start()))
    if found["relation"] == "at least":  # only a number can be compared
        literals = [one for one in literals if NUMBER.search(one[0])] or literals
    literal, start = (literals[-1][0], literals[-1].start()) if literals else ("", 0)
    return Agreement(
        found["relation"], found["module"], found["name"], int(found["more"] or 0), literal, start
    )


def _problems(path: Path, folder: Path, settings: Settings) -> Iterator[Problem]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return  # reported when the content is loaded
    for number, line in enumerate(lines, 1):
        agreement = agreement_in(line)
        message = agreement.problem(settings) if agreement else ""
        if message:
            yield Problem(f"{path.relative_to(folder)}:{number}", message)


def _as_text(values: dict[str, Any]) -> dict[str, str]:
    """Return the settings of a module as Python literals.

    A value that has no literal becomes a string with its `repr`, which agrees with nothing and can
    be shown in a message.
    """
    found = {}
    for name, value in values.items():
        if name.isupper():
            found[name] = repr(repr(value))
            with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
                if ast.literal_eval(repr(value)) == value:
                    found[name] = repr(value)
    return found


def _agrees(value: Any, relation: str, wanted: Any) -> bool:
    if relation == "must equal" or isinstance(wanted, bool) or not isinstance(wanted, int):
        return type(value) is type(wanted) and value == wanted
    return isinstance(value, int) and value >= wanted


def _value(literal: str, wanted: Any) -> Any:
    """Read a literal as the type of a setting: the last number in a string if that is a number."""
    if literal.lower() in ("true", "false"):
        return literal.lower() == "true"
    text = literal[1:-1].replace("''", "'") if literal[0] in "'\"" else literal
    if isinstance(wanted, str):
        return text
    if literal[0] not in "'\"":
        return ast.literal_eval(text)
    numbers = NUMBER.findall(text)
    return int(numbers[-1]) if numbers else text
