"""Changes settings of a repository together with the values that must agree with them.

The settings are in Python files. The values that must follow are in YAML and SQL, marked by
comments (see `local_panther.content.agreements`). No file is written here: the functions return the
new texts of the files.
"""

import difflib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_panther.content.agreements import (
    COMMENT,
    NUMBER,
    Agreement,
    Settings,
    agreement_in,
)
from local_panther.content.assignments import Assignment, assigned, assignments
from local_panther.content.files import COMMENTED, files_with
from local_panther.errors import ContentError, Problem, one_line

CHANGE = re.compile(
    r"(?:(?P<module>[a-z_][a-z0-9_]*)\.)?(?P<name>[A-Za-z_]\w*)\s*(?P<operator>\+=|-=|=)(?P<value>.*)",
    re.DOTALL,
)

Texts = dict[str, str]  # texts of files, by their path in the repository


@dataclass(frozen=True)
class Setting:
    """A setting and its place in the repository.

    Attributes:
        module: The name of its file, without the suffix.
        path: The file, relative to the repository.
        assignment: Its name and value.
    """

    module: str
    path: str
    assignment: Assignment

    @property
    def name(self) -> str:
        """The name of the setting."""
        return self.assignment.name

    @property
    def place(self) -> str:
        """The file and line of the setting."""
        return f"{self.path}:{self.assignment.line}"


class Repository:
    """The settings of a content repository."""

    def __init__(self, folder: Path) -> None:
        """Keep the root of the repository; files are read when they are needed."""
        self._folder = folder
        self._python = Settings(folder)

    def settings(self) -> list[Setting]:
        """Return the settings in all files named in comments, in order."""
        modules = dict.fromkeys(
            agreement.module for _, lines in self._following() for agreement in _agreements(lines)
        )
        return [
            setting
            for module in modules
            for setting in self._settings_in(module)
            if setting.assignment.value is not None
        ]

    def named(self, module: str | None, name: str) -> Setting:
        """Return a setting.

        Args:
            module: Its file without the suffix. If None, the files named in comments are searched
                first, then all others.
            name: Its name.

        Raises:
            LookupError: There is no such setting, several have the name, or it cannot be set; the
                message says which settings there are.
            ContentError: The file, or one named in a comment, is not valid Python.
        """
        known = self.settings()
        modules = [module] if module else list(dict.fromkeys(s.module for s in known))
        found = [s for m in modules for s in self._settings_in(m) if s.name == name]
        if not found and not module:
            stems = dict.fromkeys(path.stem for path in files_with(self._folder, ".py"))
            for stem in stems:
                with suppress(ContentError):  # unrelated to settings, as no comment names the file
                    found += [s for s in self._settings_in(stem) if s.name == name]
        if len(found) > 1:
            choice = " or ".join(f"{setting.module}.{name}" for setting in found)
            raise LookupError(f"{name} is set in several files: write {choice}")
        if not found:
            raise LookupError(_unknown(f"{module}.{name}" if module else name, known))
        if found[0].assignment.value is None:
            raise LookupError(
                f"{name} in {found[0].place} cannot be set: it is computed, assigned more than"
                " once, or not a number, string, true, false or a list of these"
            )
        return found[0]

    def reference(self, module: str, name: str) -> str:
        """Return how a command refers to a setting: with its file only if the name is ambiguous."""
        try:
            return name if self.named(None, name).module == module else f"{module}.{name}"
        except (LookupError, ContentError):
            return f"{module}.{name}"

    def changed(self, changes: Sequence[str]) -> Texts:
        """Return the files that differ once settings have new values.

        Args:
            changes: Settings and values, each such as THRESHOLD=5, NAMES+=alice or
                my_config.THRESHOLD=5.

        Raises:
            LookupError: There is no such setting.
            ValueError: The value is not valid for the setting.
            ContentError: A value that must agree with a setting cannot be changed.
        """
        texts: Texts = {}
        places = set()
        for text in changes:
            found = CHANGE.fullmatch(text)
            if found is None:
                raise ValueError(f"{text!r} is not NAME=VALUE; write, for example, THRESHOLD=5")
            setting = self.named(found["module"], found["name"])
            if setting.place in places:
                raise ValueError(f"{setting.name} is set twice; give it one value")
            places.add(setting.place)
            value = setting.assignment.parsed(found["operator"], found["value"])
            if value != setting.assignment.value:
                old = texts.get(setting.path) or self._text(setting.path)
                texts[setting.path] = assigned(old, assignments(old)[setting.name], value)
        with self._overlaid(texts) as after:
            texts |= self._follow(after, lambda agreement: self._has_changed(agreement, after))
        return texts

    def fixed(self) -> Texts:
        """Return the files that differ once all values agree with their settings.

        A value stays as it is if its setting does not exist or it cannot be changed.
        """
        return self._follow(self._python, lambda agreement: bool(agreement.problem(self._python)))

    def _has_changed(self, agreement: Agreement, after: Settings) -> bool:
        try:
            return bool(agreement.wanted(after) != self._wanted(agreement))
        except (LookupError, TypeError):
            return False  # it could not be evaluated before either

    def _wanted(self, agreement: Agreement) -> Any:
        try:
            return agreement.wanted(self._python)
        except (LookupError, TypeError):
            return None

    def _follow(self, settings: Settings, has_to: Callable[[Agreement], bool]) -> Texts:
        """Return the files that differ once lines agree with settings.

        Args:
            settings: The settings.
            has_to: Decides which lines to change.

        Raises:
            ContentError: A line must be changed but cannot be.
        """
        texts: Texts = {}
        problems = []
        for path, lines in self._following():
            new = list(lines)
            for i, line in enumerate(lines):
                agreement = agreement_in(line)
                if agreement and has_to(agreement):
                    new[i] = self._line(line, agreement, settings)
                    written = agreement_in(new[i])
                    left = written.problem(settings) if written else ""
                    if left and settings is not self._python:
                        problems.append(Problem(f"{path}:{i + 1}", f"cannot be changed: {left}"))
            if new != lines:
                texts[path] = "".join(new)
        if problems:
            raise ContentError(problems)
        return texts

    def _line(self, line: str, agreement: Agreement, settings: Settings) -> str:
        try:
            wanted = agreement.wanted(settings)
        except (LookupError, TypeError):
            return line
        value = agreement.value(wanted) if agreement.literal else None
        was_exact = settings is not self._python and value == self._wanted(agreement)
        is_enough = not agreement.problem(settings) and agreement.relation == "at least"
        if not agreement.literal or (is_enough and not was_exact):
            return line
        end = agreement.start + len(agreement.literal)
        return line[: agreement.start] + written_as(agreement.literal, wanted) + line[end:]

    def _following(self) -> Iterator[tuple[str, list[str]]]:
        """Yield path and lines of each file with a comment that names a setting."""
        for path in files_with(self._folder, *COMMENTED):
            try:
                text = path.read_bytes().decode()
            except (OSError, UnicodeDecodeError):
                continue  # reported when the content is loaded
            if COMMENT.search(text):
                yield path.relative_to(self._folder).as_posix(), text.splitlines(keepends=True)

    def _settings_in(self, module: str) -> list[Setting]:
        file = self._python.file(module)
        if file is None:
            return []
        path = file.relative_to(self._folder).as_posix()
        try:
            found = assignments(self._text(path))
        except (OSError, SyntaxError, ValueError) as error:
            message = f"is not valid Python: {one_line(error)}"
            raise ContentError([Problem(path, message)]) from error
        return [Setting(module, path, assignment) for assignment in found.values()]

    def _text(self, path: str) -> str:
        return (self._folder / path).read_bytes().decode()

    @contextmanager
    def _overlaid(self, texts: Mapping[str, str]) -> Iterator[Settings]:
        """Yield the settings of the repository with new texts of some Python files."""
        with tempfile.TemporaryDirectory(prefix="local-panther-") as name:
            for path in files_with(self._folder, ".py"):
                inside = path.relative_to(self._folder)
                target = Path(name) / inside
                target.parent.mkdir(parents=True, exist_ok=True)
                if inside.as_posix() in texts:
                    target.write_bytes(texts[inside.as_posix()].encode())
                else:
                    shutil.copy(path, target)
            yield Settings(Path(name))


def written_as(literal: str, wanted: Any) -> str:
    """Return a value in the form of an old literal: in a string, only the number is replaced.

    Args:
        literal: The literal that the value replaces, in YAML or SQL.
        wanted: The value: true or false, a number or a string.
    """
    if isinstance(wanted, bool):
        return str(wanted).lower() if literal.islower() else str(wanted).upper()
    quote = literal[0] if literal[0] in "'\"" else ""
    if isinstance(wanted, str):
        if quote == '"' and not set('"\\') & set(wanted):
            return f'"{wanted}"'
        return "'" + wanted.replace("'", "''") + "'"
    numbers = list(NUMBER.finditer(literal))
    if quote and numbers and isinstance(wanted, int):
        last = numbers[-1]
        return literal[: last.start()] + str(wanted) + literal[last.end() :]
    return str(wanted)


def _agreements(lines: Sequence[str]) -> Iterator[Agreement]:
    return filter(None, map(agreement_in, lines))


def _unknown(name: str, known: Sequence[Setting]) -> str:
    near = difflib.get_close_matches(name, [setting.name for setting in known], n=2)
    if not known:
        return f"there is no setting {name}: no comment in YAML or SQL names a setting"
    meant = f"did you mean {' or '.join(near)}? There are" if near else "there are"
    there = ", ".join(f"{setting.name}={setting.assignment.shown()}" for setting in known)
    return f"there is no setting {name}; {meant}: {there}"
