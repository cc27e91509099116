"""A process that has the lake open and answers queries."""

import json
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from local_panther.errors import FieldError
from local_panther.instance.check.guarded import inherited_environment
from local_panther.instance.lake.worker import TOO_MUCH
from local_panther.lake.reading import Rows


class LakeProcess:
    """A process that answers one query after the other. Any thread may end it at any time.

    Attributes:
        folder: The folder of the databases.
        tables: The columns of each table of each database: names and types.
        is_ended: True once it was ended or has failed.
    """

    def __init__(self, folder: Path) -> None:
        """Start the process and open the databases.

        Raises:
            FieldError: The databases cannot be opened.
        """
        self.folder = folder
        self.is_ended = False
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "local_panther.instance.lake.worker", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=inherited_environment("TMPDIR", "HOME"),  # which DuckDB needs
            start_new_session=True,  # Ctrl-C in a terminal must reach the server only
        )
        self.tables: dict[str, dict[str, list[tuple[str, str]]]] = self._answer()

    def ask(self, sql: str, database: str) -> Rows:
        """Run a query and return its rows.

        Args:
            sql: In Snowflake's dialect, with Panther's macros.
            database: The database of tables that the query names without one.

        Raises:
            FieldError: The query cannot be run, or the process was ended.
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
        """Kill the process, also in the middle of a query."""
        with self._lock:
            self.is_ended = True
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Kill the process and close its pipes. No other thread may be in `ask` then."""
        self.end()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(OSError):  # closing flushes, and nobody reads
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
