"""Which files a run of the tool has to read and test: all, or those that something depends on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local_panther.content.dependencies import Dependencies
from local_panther.content.view import without_files

SKIP_VERSION_CHECK = "_SKIP_HTTP_VERSION_CHECK"


@dataclass
class Narrowed:
    """What a run of the tool leaves out.

    Attributes:
        hidden: Absolute paths of the YAML files that it does not read: no test needs them.
        untested: Absolute paths of those that it reads, and does not test.
    """

    hidden: set[str] = field(default_factory=set)
    untested: set[str] = field(default_factory=set)

    def as_json(self) -> dict[str, list[str]]:
        """Return it as the process of the tool gets it."""
        return {"hidden": sorted(self.hidden), "untested": sorted(self.untested)}


def narrowed_to(dependencies: Dependencies, touched: Iterable[str]) -> Narrowed:
    """Return what a run leaves out that tests only some items.

    Args:
        dependencies: All files.
        touched: The files of the items, among others.
    """
    paths = {path for path in dependencies.files if not path.endswith(".py")}
    tested = dependencies.closed(touched)
    read = dependencies.needed(touched)
    return Narrowed(dependencies.places(paths - read), dependencies.places(read - tested))


def narrow(tool: Any, given: Mapping[str, list[str]]) -> None:
    """Let the tool leave out what it need not read or test.

    A version of the tool that lacks one of the functions reads and tests everything.

    Args:
        tool: `panther_analysis_tool.main`, some of whose names are replaced.
        given: What `Narrowed.as_json` returned.
    """
    names = vars(tool)
    hidden, untested = set(given["hidden"]), set(given["untested"])
    wanted = ("load_analysis", "filter_analysis", "validate_packs")
    if not hidden | untested or not all(name in names for name in wanted):
        return
    if SKIP_VERSION_CHECK in names:  # over the network
        names[SKIP_VERSION_CHECK] = True
    load, choose, check_packs = (names[name] for name in wanted)
    loaded: list[Any] = []

    def load_analysis(*args: Any, **kwargs: Any) -> Any:
        with without_files(hidden):
            specs, invalid = load(*args, **kwargs)
        loaded.append(specs)
        return specs, invalid

    def filter_analysis(*args: Any, **kwargs: Any) -> Any:
        return [item for item in choose(*args, **kwargs) if item.file_name not in untested]

    def validate_packs(specs: Any) -> Any:
        """Check the packs that are tested, which list items that are only read."""
        return check_packs(_with_listed(specs, loaded[-1])) if specs.packs else []

    names["load_analysis"] = load_analysis
    names["filter_analysis"] = filter_analysis
    names["validate_packs"] = validate_packs


def _with_listed(specs: Any, loaded: Any) -> Any:
    """Return some of the items that were loaded: all, but of the packs those that are tested."""
    found = loaded.apply(list)
    found.packs = specs.packs
    return found
