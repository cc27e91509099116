"""How a command puts itself into the box, once and for good."""

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterable
from pathlib import Path

from local_panther.box.environment import close_inherited, forget_secrets
from local_panther.box.kernel import ANY_NETWORK, NO_NETWORK, restrict
from local_panther.box.watch import start_watching
from local_panther.processes import TemporaryFolder

SHARED_MEMORY = Path("/dev/shm")  # in which the locks of worker processes lie
DEVICES = (Path(os.devnull), Path("/dev/tty"), Path("/dev/full"))

__all__ = ["ANY_NETWORK", "NO_NETWORK", "enter"]


def enter(
    *,
    writable: Iterable[Path] = (),
    named: Iterable[str] = (),
    network: int = NO_NETWORK,
    kept: tuple[str, ...] = (),
    temporary: Path | None = None,
) -> list[str]:
    """Put this process into the box; it has no threads yet.

    Args:
        writable: Folders that the command itself writes. Content code may not, as far as Python
            sees it; what reaches past Python may.
        named: Paths that the user asks for.
        network: What the command itself needs: see `kernel.restrict`.
        kept: What further variables that stay begin with.
        temporary: The folder for temporary files; by default one that goes with this process.

    Returns:
        What this system cannot refuse, in words.
    """
    forget_secrets(kept)
    close_inherited(named)
    folder = temporary or _folder()
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    _let_sqlite_use(folder)
    missing = restrict((folder, SHARED_MEMORY, *DEVICES, *writable), network)
    start_watching()
    return missing


def without(missing: Iterable[str]) -> str:
    """Return a line on what this system cannot refuse, "" if it can refuse all."""
    names = " and ".join(missing)
    return f"content runs without {names}; Python's own refusals remain" if names else ""


def _let_sqlite_use(folder: Path) -> None:
    """Let what SQLite holds on disk for a time go to a folder.

    It asks for TMPDIR once, at its start: https://sqlite.org/tempfiles.html#temporary_file_storage_locations.
    """
    path = str(folder).replace("'", "''")
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"PRAGMA temp_store_directory = '{path}'")


def _folder() -> Path:
    """Make a folder that is removed as soon as this process has ended, however it ends."""
    global _kept
    _kept = TemporaryFolder("local-panther-box-")
    return _kept.path


_kept: TemporaryFolder | None = None
