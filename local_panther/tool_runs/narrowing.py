"""Narrows a run of the tool to the files that it has to read and test."""

import json
import os
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from panther_analysis_tool.constants import CONFIG_FILE

from local_panther.content.dependencies import Dependencies
from local_panther.content.facts import Facts
from local_panther.content.verdicts import logged
from local_panther.content.view import without_files
from local_panther.remembered import verdicts

SKIP_VERSION_CHECK = "_SKIP_HTTP_VERSION_CHECK"
QUIET = "quiet"
# Options of the tool that do not change what it logs about files that it does not test
OTHER_OPTIONS = ("--filter", "--test-names", "--minimum-tests")
OTHER_FLAGS = ("--show-failures-only", "--sort-test-results", "--skip-disabled-tests")
OTHER_VARIABLES = ("PANTHER_API_HOST", "PANTHER_API_TOKEN", "PANTHER_FILTER", "PANTHER_TEST_NAMES")


@dataclass
class Narrowed:
    """The files that a run of the tool leaves out.

    Attributes:
        hidden: Absolute paths of the YAML files that it does not read.
        untested: Absolute paths of the YAML files that it reads but does not test.
        is_complete: Whether its output is that of a run that leaves nothing out.
    """

    hidden: set[str] = field(default_factory=set)
    untested: set[str] = field(default_factory=set)
    is_complete: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON, for the tool's process."""
        paths = {"hidden": sorted(self.hidden), "untested": sorted(self.untested)}
        return {**paths, "is_complete": self.is_complete}


@dataclass
class Loaded:
    """The outcome of the tool's reading of all items.

    Attributes:
        files: Absolute paths of the valid items.
        said: Messages that it logged about items.
    """

    files: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def narrowed_to(dependencies: Dependencies, touched: Iterable[str]) -> Narrowed:
    """Return the files to leave out of a run that tests only some items.

    Args:
        dependencies: Dependencies of all files.
        touched: Files of the items to test, and others.
    """
    paths = {path for path in dependencies.files if not path.endswith(".py")}
    tested, read = dependencies.closed(touched), dependencies.needed(touched)
    hidden, untested = dependencies.places(paths - read), dependencies.places(read - tested)
    return Narrowed(hidden, untested, is_complete=False)


class Filters:
    """A cache for runs with `--filter`, of the items about which the tool logs nothing.

    A run with a filter reads all items and names the invalid ones. An item that was valid in an
    earlier run, without a message, need not be read if no tested item depends on it.
    """

    def __init__(self, dependencies: Dependencies, arguments: Sequence[str]) -> None:
        """Parse the arguments of the tool that select what is tested."""
        self._dependencies = dependencies
        parser = ArgumentParser(add_help=False, allow_abbrev=False)
        for option in OTHER_OPTIONS:
            parser.add_argument(option, action="append", default=[])
        for flag in OTHER_FLAGS:
            parser.add_argument(flag, action="store_true")
        given, others = parser.parse_known_args(arguments)
        self._filters: list[str] = given.filter
        settings = dependencies.folder / CONFIG_FILE
        variables = sorted(
            f"{name}={value}"
            for name, value in os.environ.items()
            if name.startswith("PANTHER_") and name not in OTHER_VARIABLES
        )
        written = settings.read_text(errors="replace") if settings.is_file() else ""
        self._surroundings = "\n".join([str(Path.cwd()), *others, *variables, written])

    def narrowed(self) -> Narrowed:
        """Return the files that need not be read; none without a filter."""
        if not self._filters:
            return Narrowed()
        files = self._dependencies.files
        keys = {self._key(path): path for path in files if files[path].facts.kind}
        quiet = {keys[key] for key in verdicts.get_all(QUIET, keys)}
        wanted = {path for path in keys.values() if self._may_match(files[path].facts)}
        others = {path for path in files if not path.endswith(".py")} - quiet
        read = self._dependencies.needed(wanted | others)
        return Narrowed(self._dependencies.places(quiet - read))

    def remember(self, loaded: Loaded) -> None:
        """Remember the items about which the tool logged nothing when it read them."""
        valid, files = set(loaded.files), self._dependencies.files
        ids = {file.facts.item for file in files.values()} - {""}
        named = {item for item in ids if any(item in line for line in loaded.said)}
        if not all(any(item in line for item in named) for line in loaded.said):
            return  # the item of some message is unknown
        keys = {
            self._key(path)
            for path, file in files.items()
            if file.facts.item not in named and self._dependencies.places([path]) & valid
        }
        known = verdicts.get_all(QUIET, keys)
        verdicts.keep(QUIET, dict.fromkeys(keys - known.keys(), ""))

    def _key(self, path: str) -> str:
        return f"{self._surroundings}\n{path}\n{self._dependencies.files[path].digest}"

    def _may_match(self, facts: Facts) -> bool:
        """Return whether the filters may select an item; the tool decides among such items."""
        for given in self._filters:
            key, _, values = given.partition("=")
            if not facts.kind or (not key.endswith("!") and not _may_have(facts, key, values)):
                return False
        return True


def _may_have(facts: Facts, key: str, values: str) -> bool:
    value = facts.fields.get(key, "")
    if value is None:
        return True  # the value that the tool reads is unknown
    found = value if isinstance(value, list) else [value]
    return not {each.lower() for each in found}.isdisjoint(values.lower().split(","))


def narrow(tool: Any, given: Mapping[str, Any], report: Path) -> None:
    """Let the tool leave out files, and record what it logs about the others.

    A version of the tool that lacks one of the replaced functions reads and tests everything.

    Args:
        tool: `panther_analysis_tool.main`, some of whose names are replaced.
        given: Value of `Narrowed.as_json`.
        report: File to write `Loaded` to, as JSON.
    """
    names = vars(tool)
    hidden, untested = set(given["hidden"]), set(given["untested"])
    wanted = ("load_analysis", "filter_analysis", "validate_packs")
    if not all(name in names for name in wanted):
        return
    load, choose, check_packs = (names[name] for name in wanted)
    read: list[Any] = []

    def load_analysis(*args: Any, **kwargs: Any) -> Any:
        with without_files(hidden), logged() as records:
            specs, invalid = load(*args, **kwargs)
        read.append(specs)
        refused = {name for name, _ in invalid}
        files = [item.file_name for item in specs.items() if item.file_name not in refused]
        said = [record.getMessage() for record in records]
        report.write_text(json.dumps(asdict(Loaded(files, said))), encoding="utf-8")
        return specs, invalid

    def filter_analysis(*args: Any, **kwargs: Any) -> Any:
        return [item for item in choose(*args, **kwargs) if item.file_name not in untested]

    def validate_packs(specs: Any) -> Any:
        """Check the tested packs; they may list items that are read but not tested."""
        if not specs.packs:
            return []
        every = read[-1].apply(list)
        every.packs = specs.packs
        return check_packs(every)

    names["load_analysis"] = load_analysis
    if not given["is_complete"]:
        names["filter_analysis"] = filter_analysis
        names["validate_packs"] = validate_packs
        if SKIP_VERSION_CHECK in names:  # the check uses the network
            names[SKIP_VERSION_CHECK] = True
