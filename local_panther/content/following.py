"""Changes settings of a repository together with every place that has to follow them.

The settings are in Python files, and what follows them is in YAML and SQL, where a comment says
what it has to agree with (see `local_panther.content.agreements`). Nothing is written here: a
change is the text that a file would have.
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

ASKED = re.compile(
    r"(?:(?P<module>[a-z_][a-z0-9_]*)\.)?(?P<name>[A-Za-z_]\w*)\s*(?P<operator>\+=|-=|=)(?P<value>.*)",
    re.DOTALL,
)

Texts = dict[str, str]  # of files, by their path in the repository


@dataclass(frozen=True)
class Setting:
    """A setting and where it is.

    Attributes:
        module: The name of its file, without the suffix.
        path: The file, in the repository.
        assignment: Its name and value.
    """

    module: str
    path: str
    assignment: Assignment

    @property
    def name(self) -> str:
        """Its name in its file."""
        return self.assignment.name

    @property
    def place(self) -> str:
        """Its file and line."""
        return f"{self.path}:{self.assignment.line}"


class Repository:
    """The settings of a content repository."""

    def __init__(self, folder: Path) -> None:
        """Take the root of the repository; files are read as they are asked for."""
        self._folder = folder
        self._python = Settings(folder)

    def settings(self) -> list[Setting]:
        """Return the settings in all files that a comment names, in their order."""
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
            module: Its file without the suffix. If it is None, the files that comments name come
                first, then all others.
            name: Its name.

        Raises:
            LookupError: There is none that can be set, or there are several; the message says which
                there are.
            ContentError: A file that was named, here or in a comment, is no Python.
        """
        known = self.settings()
        modules = [module] if module else list(dict.fromkeys(s.module for s in known))
        found = [s for m in modules for s in self._settings_in(m) if s.name == name]
        if not found and not module:
            stems = dict.fromkeys(path.stem for path in files_with(self._folder, ".py"))
            for stem in stems:
                with suppress(ContentError):  # of a file that nobody named
                    found += [s for s in self._settings_in(stem) if s.name == name]
        if len(found) > 1:
            choice = " or ".join(f"{setting.module}.{name}" for setting in found)
            raise LookupError(f"{name} is in several files: is it {choice}?")
        if not found:
            raise LookupError(_unknown(f"{module}.{name}" if module else name, known))
        if found[0].assignment.value is None:
            raise LookupError(
                f"{name} in {found[0].place} cannot be set: it is worked out, assigned more than"
                " once, or no number, text, true, false or list of these"
            )
        return found[0]

    def reference(self, module: str, name: str) -> str:
        """Return what a setting is called in a command: with its file only if that is needed."""
        try:
            return name if self.named(None, name).module == module else f"{module}.{name}"
        except (LookupError, ContentError):
            return f"{module}.{name}"

    def changed(self, asked: Sequence[str]) -> Texts:
        """Return the files that are different once settings have other values.

        Args:
            asked: Settings and values, each such as THRESHOLD=5, NAMES+=alice or
                my_config.THRESHOLD=5.

        Raises:
            LookupError: There is no such setting.
            ValueError: That is no value of it.
            ContentError: Something that has to follow cannot.
        """
        texts: Texts = {}
        places = set()
        for text in asked:
            found = ASKED.fullmatch(text)
            if found is None:
                raise ValueError(f"{text!r} is not NAME=VALUE, such as THRESHOLD=5")
            setting = self.named(found["module"], found["name"])
            if setting.place in places:
                raise ValueError(f"{setting.name} is set twice")
            places.add(setting.place)
            value = setting.assignment.parsed(found["operator"], found["value"])
            if value != setting.assignment.value:
                old = texts.get(setting.path) or self._text(setting.path)
                texts[setting.path] = assigned(old, assignments(old)[setting.name], value)
        with self._overlaid(texts) as after:
            texts |= self._follow(after, lambda agreement: self._has_changed(agreement, after))
        return texts

    def fixed(self) -> Texts:
        """Return the files that are different once all values agree with their settings.

        What has no such setting, or no value that could follow, stays as it is.
        """
        return self._follow(self._python, lambda agreement: bool(agreement.problem(self._python)))

    def _has_changed(self, agreement: Agreement, after: Settings) -> bool:
        try:
            return bool(agreement.wanted(after) != self._wanted(agreement))
        except (LookupError, TypeError):
            return False  # which was so before

    def _wanted(self, agreement: Agreement) -> Any:
        try:
            return agreement.wanted(self._python)
        except (LookupError, TypeError):
            return None

    def _follow(self, settings: Settings, has_to: Callable[[Agreement], bool]) -> Texts:
        """Return the files of which lines follow settings.

        Raises:
            ContentError: A line has to and cannot.
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
                        problems.append(Problem(f"{path}:{i + 1}", f"cannot follow: {left}"))
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
        """Yield the path and the lines of each file in which a comment names a setting."""
        for path in files_with(self._folder, *COMMENTED):
            try:
                text = path.read_bytes().decode()
            except (OSError, UnicodeDecodeError):
                continue  # named when the content is loaded
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
            raise ContentError([Problem(path, f"is no Python: {one_line(error)}")]) from error
        return [Setting(module, path, assignment) for assignment in found.values()]

    def _text(self, path: str) -> str:
        return (self._folder / path).read_bytes().decode()

    @contextmanager
    def _overlaid(self, texts: Mapping[str, str]) -> Iterator[Settings]:
        """Give the settings that the repository has with other texts of some Python files."""
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
    """Return a value in the form of a literal: a number within a text stays within it.

    Args:
        literal: What the value replaces, in YAML or SQL.
        wanted: True or false, a number or a text.
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
        return f"there is no setting {name}: no comment in YAML or SQL names one"
    meant = f"is it {' or '.join(near)}? There are" if near else "there are"
    there = ", ".join(f"{setting.name}={setting.assignment.shown()}" for setting in known)
    return f"there is no setting {name}; {meant}: {there}"
