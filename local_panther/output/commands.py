"""Arguments of the commands that are printed for an analyst to run."""

from pathlib import Path

from local_panther.instance.store.index import is_stored
from local_panther.replay import Outcome


def source_arguments(outcome: Outcome) -> tuple[str, ...]:
    """Return the arguments that let another command read the same records and content."""
    if outcome.folder == Path():
        return outcome.paths
    # Name the state folder: the next upload replaces the content folder in it.
    folder = outcome.folder.parent if is_stored(outcome.folder) else outcome.folder
    return (*outcome.paths, "--content", str(folder))
