"""Puts the process of a command into the box, permanently."""

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

SHARED_MEMORY = Path("/dev/shm")  # multiprocessing keeps its locks there
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
    """Put this process into the box; it must not have started threads yet.

    Args:
        writable: Folders that the command itself writes. Content code is refused to write them by
            `watch`, but code that bypasses Python can.
        named: Paths that the user passed to the command.
        network: The network that the command itself needs; see `kernel.restrict`.
        kept: Prefixes of environment variables to keep, in addition to the usual ones.
        temporary: The folder for temporary files; by default one that is removed with this process.

    Returns:
        The protections that this system lacks, in words.
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
    """Return a line about the protections that this system lacks; "" if it lacks none."""
    names = " and ".join(missing)
    return f"content runs without {names}; Python's own refusals remain" if names else ""


def _let_sqlite_use(folder: Path) -> None:
    """Set the folder for SQLite's temporary files.

    SQLite reads TMPDIR only once, at its start: https://sqlite.org/tempfiles.html#temporary_file_storage_locations.
    """
    path = str(folder).replace("'", "''")
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"PRAGMA temp_store_directory = '{path}'")


def _folder() -> Path:
    """Make a folder that is removed when this process exits, even if it is killed."""
    global _kept
    _kept = TemporaryFolder("local-panther-box-")
    return _kept.path


_kept: TemporaryFolder | None = None
