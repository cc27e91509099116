"""Checks the installed versions of Panther's own packages against the supported ranges.

pip reads the same ranges, from `dependencies` in pyproject.toml. Commands check them again when
they start, since other tools in the environment can have changed what is installed.
"""

import importlib.metadata
from collections.abc import Iterator
from functools import cache

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

OWN_NAME = "local-panther"
PANTHER_PACKAGES = ("panther-analysis-tool", "panther-core", "panther-detection-helpers")
LOWER = (">", ">=", "==", "~=")


def installed(name: str) -> str | None:
    """Return the version of a package in this environment; None if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def unusable_versions() -> Iterator[str]:
    """Yield a line for each of Panther's packages that is missing or too old."""
    for name, wanted in _ranges().items():
        version = installed(name)
        oldest = SpecifierSet(",".join(str(s) for s in wanted if s.operator in LOWER))
        if version is None or not oldest.contains(Version(version), prereleases=True):
            wrong = f"{name} {version} is too old" if version else f"{name} is not installed"
            yield f"{wrong} for local-panther: pip install '{name}{_text(wanted)}'"


def untested_versions() -> Iterator[str]:
    """Yield a line for each of Panther's packages that is newer than the tested versions."""
    for name, wanted in _ranges().items():
        version = installed(name)
        if version and not wanted.contains(Version(version), prereleases=True):
            yield f"{name} {version} was not tested with local-panther, {_text(wanted)} was"


def _text(wanted: SpecifierSet) -> str:
    return ",".join(sorted(map(str, wanted), reverse=True))  # the lower bound first


@cache
def _ranges() -> dict[str, SpecifierSet]:
    requirements = map(Requirement, importlib.metadata.requires(OWN_NAME) or ())
    return {r.name: r.specifier for r in requirements if r.name in PANTHER_PACKAGES}
