"""Arguments of the commands that are printed for an analyst to run."""

from pathlib import Path

from local_panther.instance.store.index import is_stored
from local_panther.replay import Outcome


def source_arguments(outcome: Outcome) -> tuple[str, ...]:
    """Return the arguments with which another command reads the same records and content."""
    if outcome.folder == Path():
        return outcome.paths
    # The state folder rather than the content in it, which the next upload replaces.
    folder = outcome.folder.parent if is_stored(outcome.folder) else outcome.folder
    return (*outcome.paths, "--content", str(folder))
