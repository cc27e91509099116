"""The lake, open in a process of its own."""

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from local_panther.errors import FieldError
from local_panther.instance.check.guarded import ENVIRONMENT
from local_panther.instance.lake.worker import TOO_MUCH
from local_panther.lake.reading import Rows
from local_panther.processes import OWN_CODE


class LakeProcess:
    """Answers one query after the other, until it is ended; from another thread at any moment.

    Attributes:
        folder: The folder of the databases.
        tables: The columns of each table of each database: names and types.
        is_ended: True once it answers nothing more.
    """

    def __init__(self, folder: Path) -> None:
        """Open the databases.

        Raises:
            FieldError: They cannot be opened.
        """
        self.folder = folder
        self.is_ended = False
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "local_panther.instance.lake.worker", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,  # Ctrl-C in a terminal is for the server, which ends it
        )
        self.tables: dict[str, dict[str, list[tuple[str, str]]]] = self._answer()

    def ask(self, sql: str, database: str) -> Rows:
        """Run a query and return its rows.

        Args:
            sql: In Snowflake's dialect, with Panther's macros.
            database: Where tables are that it names without one.

        Raises:
            FieldError: It cannot be run, or the process was ended.
        """
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps([sql, database]).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            self.end()
            raise FieldError("the process of the query has ended") from None
        return Rows(**self._answer()["found"])

    def end(self) -> None:
        """End it, whatever it is at; it leaves nothing."""
        with self._lock:
            self.is_ended = True
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End it, and let go of its pipes: not while another thread asks it."""
        self.end()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(OSError):  # what was not written yet
                    pipe.close()

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            was_ended = self.is_ended
            self.end()
            raise FieldError("the query was stopped" if was_ended else TOO_MUCH)
        answer = json.loads(line)
        if "error" in answer:
            raise FieldError(answer["error"])
        return answer


def _environment() -> dict[str, str]:
    """Return what DuckDB needs: no token, no credentials."""
    names = (*ENVIRONMENT, "TMPDIR", "HOME")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return kept | OWN_CODE
