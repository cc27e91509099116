"""Checks content for what unit tests do not show: errors of an upload, and values without effect.

The findings about a file are cached, keyed by all files that it depends on and by the installed
packages, since a check imports the body of a rule.
"""

import json
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from panther_analysis_tool.constants import CONFIG_FILE

from local_panther.box.apart import ApartError, apart
from local_panther.content.dependencies import Dependencies
from local_panther.content.files import special_files, unread_items
from local_panther.content.left_out import Reason, named_or_counted, unread_line
from local_panther.content.log_types import FURTHER
from local_panther.content.view import without_files
from local_panther.errors import ContentError, Problem
from local_panther.remembered import code_digest, verdicts

if TYPE_CHECKING:
    from sqlglot import exp

    from local_panther.content.queries import QueryCheck

CHECKED = ("content", "lake", "tool_runs")  # packages whose code decides what is found


@dataclass
class Doubts:
    """The doubts about a repository's content.

    Attributes:
        problems: Problems that have to be fixed.
        notes: Notes for the user.
    """

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Finding:
    """The findings about a file.

    Attributes:
        problems: Place and message of each problem.
        kept_back: IDs of its items that are not uploaded because of their Status.
    """

    problems: list[tuple[str, str]] = field(default_factory=list)
    kept_back: list[str] = field(default_factory=list)


def check_content(
    dependencies: Dependencies, *, has_comments: bool = True, only: Collection[str] | None = None
) -> Doubts:
    """Check a repository as an instance checks an upload, and check values and filters.

    Args:
        dependencies: Dependencies of the repository's files.
        has_comments: False for uploads, which lose the comments that name settings.
        only: Files to check, relative to the root; by default all.
    """
    check = _Check(dependencies, has_comments=has_comments)
    found = check.findings(check.paths if only is None else check.paths & set(only))
    verdicts.flush()  # for the tool, which validates the same items in its own process
    problems = [*_settings_problems(dependencies.folder)]
    problems += [Problem(*each) for path in sorted(found) for each in found[path].problems]
    if only is not None:
        return Doubts(problems)
    notes = [unread_line(list(unread_items(dependencies.folder)))]
    if kept_back := sorted(item for one in found.values() for item in one.kept_back):
        notes.append(f"tested, but {Reason.STATUS}: {named_or_counted(kept_back)}")
    return Doubts(problems, notes)


def checked_apart(check: Callable[[], Doubts], writable: Iterable[Path]) -> Doubts:
    """Check content in the box, in a process of its own, since loading content runs it.

    Args:
        check: Function that calls `check_content`.
        writable: Folders that the process may write to, which is the cache.
    """

    def as_json() -> Any:
        verdicts.take_over()
        return asdict(check())

    verdicts.flush()
    try:
        found, refusals = apart(as_json, writable=writable)
    except ApartError as error:
        return Doubts([Problem("", str(error))])
    problems = [Problem(**problem) for problem in found["problems"]]
    problems += [Problem(one.item, f"refused: line {one.line}: {one.what}") for one in refusals]
    return Doubts(problems, found["notes"])


class _Check:
    """A check of a repository, file by file."""

    def __init__(self, dependencies: Dependencies, *, has_comments: bool) -> None:
        self._dependencies = dependencies
        self._folder = dependencies.folder
        self._has_comments = has_comments
        self.paths = {path for path in dependencies.files if not path.endswith(".py")}

    def findings(self, paths: Collection[str]) -> dict[str, _Finding]:
        """Return the findings about some files, by path."""
        kept = {path: verdicts.get("content", self._key(path)) for path in paths}
        found = {path: _Finding(**json.loads(text)) for path, text in kept.items() if text}
        new = set(paths) - set(found)
        if new:
            checked, is_all = self._checked(new)
            found |= checked
            if is_all and not list(special_files(self._folder)):
                verdicts.keep(
                    "content",
                    {self._key(path): json.dumps(vars(one)) for path, one in checked.items()},
                )
        return found

    def _key(self, path: str) -> str:
        return f"{self._surroundings}\n{path}\n{self._dependencies.digest(path)}"

    @cached_property
    def _surroundings(self) -> str:
        folders = [place for place in sys.path if Path(place or ".").is_dir()]
        installed = [
            f"{place}/{name}"
            for place in folders
            for name in sorted(os.listdir(place or "."))  # noqa: PTH208 - names alone
            if name.endswith((".dist-info", ".egg-info"))
        ]
        further = os.environ.get(FURTHER, "")
        return "\n".join([code_digest(*CHECKED), str(self._has_comments), further, *installed])

    def _checked(self, paths: Collection[str]) -> tuple[dict[str, _Finding], bool]:
        """Check files in a view of the repository that has only them and the files they need.

        Returns:
            The findings about each file, and whether all findings are about one of these files.
        """
        needed = self._dependencies.closed(paths)
        hidden = self._dependencies.places(self._dependencies.files.keys() - needed)
        found = {path: _Finding() for path in paths}
        is_all = True
        with without_files(hidden):
            problems, kept_back = self._problems()
        for problem in problems:
            name = problem.where.partition(":")[0]
            if name in found:
                found[name].problems.append((problem.where, problem.message))
            elif name not in needed:
                is_all = False
                found.setdefault(name, _Finding()).problems.append((problem.where, problem.message))
        for item in kept_back:
            for path in self._dependencies.items([item]) & found.keys():
                found[path].kept_back.append(item)
        return found, is_all

    def _problems(self) -> tuple[list[Problem], Iterable[str]]:
        """Return the problems of the visible files, and the IDs of items that are kept back."""
        from local_panther.containment import contained
        from local_panther.content.doubtful import doubtful_values
        from local_panther.content.load import checked_content
        from local_panther.content.template_checks import check_imports

        folder = self._folder
        problems = check_imports(folder)
        reported = {problem.where.partition(":")[0] for problem in problems}
        problems += doubtful_values(folder, with_comments=self._has_comments)
        try:
            with contained():
                content = checked_content(folder, _lake_on_demand)
        except ContentError:
            return problems, ()  # no content at all, which the tool reports
        problems += [problem for problem in content.problems if problem.where not in reported]
        return problems, content.ids_left_out(Reason.STATUS)


@contextmanager
def _lake_on_demand() -> "Iterator[QueryCheck]":
    """Yield the empty lake's check of queries, which loads its database at the first query."""
    with ExitStack() as stack:
        yield _LakeOnDemand(stack)


class _LakeOnDemand:
    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    @cached_property
    def _check(self) -> "QueryCheck":
        from local_panther.lake.preparing import empty_lake

        return self._stack.enter_context(empty_lake())

    def knows(self, text: str) -> bool:
        return self._check.knows(text)

    def check(self, query: "exp.Query", text: str) -> None:
        self._check.check(query, text)


def _settings_problems(folder: Path) -> Iterator[Problem]:
    """Yield a problem if the tool's settings file is empty: the tool fails on such a file."""
    path = folder / CONFIG_FILE
    try:
        is_empty = path.is_file() and yaml.safe_load(path.read_bytes()) is None
    except (OSError, yaml.YAMLError):
        return  # reported by the tool
    if is_empty:
        message = "holds no setting, so panther_analysis_tool fails; remove the file"
        yield Problem(CONFIG_FILE, message)
