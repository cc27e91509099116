"""Known log types: those that Panther manages, and custom ones."""

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from importlib import resources

from local_panther.errors import FieldError

CLOUDTRAIL = "AWS.CloudTrail"

# Environment variable with managed log types that are newer than the list, separated by commas.
FURTHER = "LOCAL_PANTHER_LOG_TYPES"

# The names of custom log types that panther_analysis_tool accepts.
CUSTOM = re.compile(r"Custom\.([A-Z][A-Za-z0-9]*)(\.[A-Z][A-Za-z0-9]*){0,5}")


@cache
def _documented() -> frozenset[str]:
    text = resources.files(__package__).joinpath("log_types.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


def managed_log_types() -> frozenset[str]:
    """Return the names of the log types that Panther manages a schema for.

    The names are those that Panther documents, and those in LOCAL_PANTHER_LOG_TYPES.
    """
    further = os.environ.get(FURTHER, "").replace(",", " ").split()
    return _documented().union(further)


def check_log_types(names: Iterable[str]) -> None:
    """Check the `LogTypes` of an item.

    Raises:
        FieldError: A log type is neither a managed one nor a valid custom one.
    """
    managed = managed_log_types()
    for name in names:
        if name not in managed and not CUSTOM.fullmatch(name):
            raise FieldError(f"LogTypes: {name} is not a known log type{_hint(name)}")


def _hint(name: str) -> str:
    lower = {known.lower(): known for known in managed_log_types()}
    close = get_close_matches(name.lower(), lower, n=1, cutoff=0.8)
    if close:
        return f"; did you mean {lower[close[0]]}?"
    return f"; if Panther has added it since, list it in {FURTHER}"
