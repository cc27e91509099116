"""Finds where a rule's threshold is set, what must change with it, and how to exempt subjects.

A tuning query can have the tag `Exempts:<module>.<NAME>`. It names a list in a Python file of the
repository: the subjects that the rule exempts, as exact names or patterns with `*` and `?`.
"""

import ast
import inspect
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType

from local_panther.content.agreements import Settings, repeated_at
from local_panther.content.files import files_with
from local_panther.content.following import Repository
from local_panther.content.model import PythonRule, Query

THRESHOLD, WINDOW = "THRESHOLD", "WINDOW_MINUTES"
EXEMPTS = "Exempts:"
DEFAULT_WINDOW = 60  # minutes


@dataclass(frozen=True)
class Exemption:
    """The setting that exempts subjects.

    Attributes:
        place: File and line of the setting.
        name: Name of the setting in its file.
        reference: Name of the setting in a command.
        entries: Current entries.
    """

    place: str
    name: str
    reference: str
    entries: tuple[str, ...]

    def covers(self, subject: str) -> bool:
        """Return whether a subject is exempt."""
        return any(fnmatchcase(subject, entry) for entry in self.entries)

    def command(self, subjects: Sequence[str]) -> str:
        """Return the command that exempts further subjects."""
        joined = ",".join(subjects)
        is_plain = all("," not in subject and subject.strip() == subject for subject in subjects)
        entries = joined if is_plain else json.dumps(list(subjects), ensure_ascii=False)
        return shlex.join(["local-panther", "set", f"{self.reference}+={entries}"])


@dataclass(frozen=True)
class RuleSettings:
    """The settings of a rule.

    Attributes:
        threshold: Distinct values that make a burst.
        window: Length of the window in minutes.
        places: Files and lines to change for another threshold, the setting itself first.
        reference: Name of the threshold in a command; "" if it is set in the rule's YAML.
        exemption: Setting that exempts subjects; None if the tuning query names none.
    """

    threshold: int
    window: int
    places: tuple[str, ...]
    reference: str
    exemption: Exemption | None

    def command(self, threshold: int) -> str:
        """Return the command that sets another threshold; "" if there is none."""
        return f"local-panther set {self.reference}={threshold}" if self.reference else ""


def rule_settings(folder: Path, rule: PythonRule, query: Query) -> RuleSettings:
    """Return the settings of a rule.

    The threshold is the rule's constant THRESHOLD, also if it is imported, else the `Threshold` of
    its YAML. The window is its constant WINDOW_MINUTES, else the one in the file that defines
    THRESHOLD, else an hour.

    Args:
        folder: Root of the content repository.
        rule: The rule.
        query: Tuning query of the rule.

    Raises:
        LookupError: The tuning query's exemption names a setting that does not exist.
    """
    settings, module = Settings(folder), rule.detection.module
    repository, reference = Repository(folder), ""
    home = _home(module, folder)
    places: tuple[str, ...] = (f"Threshold in the YAML of {rule.metadata.rule_id}",)
    if hasattr(module, THRESHOLD) and home:
        places = settings.place(home, THRESHOLD), *repeated_at(folder, home, THRESHOLD)
        reference = repository.reference(home, THRESHOLD)
    beside = settings.values(home) if home else {}
    exemption = None
    for name in query.names_tagged(EXEMPTS):
        file, _, setting = name.rpartition(".")
        entries = tuple(map(str, settings.value(file, setting)))
        called = repository.reference(file, setting)
        exemption = Exemption(settings.place(file, setting), setting, called, entries)
    return RuleSettings(
        int(getattr(module, THRESHOLD, rule.threshold)),
        int(getattr(module, WINDOW, beside.get(WINDOW, DEFAULT_WINDOW))),
        places,
        reference,
        exemption,
    )


def _home(module: ModuleType, folder: Path) -> str | None:
    """Return the module that defines a rule's THRESHOLD, its own or an imported one; else None."""
    source = inspect.getsource(module)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and any(a.name == THRESHOLD for a in node.names):
            return node.module
    own = (path for path in files_with(folder, ".py") if path.read_text("utf-8") == source)
    return next((path.stem for path in own), None)
