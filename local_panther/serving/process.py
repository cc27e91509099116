"""Starts and controls the process that replays for an instance."""

import os
import select
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from local_panther.instance.check import guard
from local_panther.processes import OWN_CODE, TemporaryFolder
from local_panther.records.s3 import is_s3
from local_panther.serving.looking import Files
from local_panther.serving.orders import BYTE, Answer, Order, make_pipes
from local_panther.serving.results import Results

SECRET = "PANTHER_"  # prefix of the variables with the token and the address
LAST_LINES = 5
LAST_BYTES = 8192
LOOK_SECONDS = 0.25  # between two checks that it still runs


class ReplayFailed(Exception):
    """A replay without results; the message says why."""


class ReplayAgain(Exception):
    """Files that cannot be added to a replay, so that all are replayed; the message says why.

    Attributes:
        behind: Seconds by which a record was late, if that is why.
    """

    def __init__(self, message: str, behind: float = 0.0) -> None:
        super().__init__(message)
        self.behind = behind


class ReplayProcess:
    """A process that replays files as they are delivered.

    Attributes:
        files: The files that it has been given.
    """

    def __init__(
        self,
        work: TemporaryFolder,
        copy_content: Callable[[Path], None],
        paths: Sequence[str],
        workers: int,
        waiting_seconds: float,
        box: str,
    ) -> None:
        """Start the process.

        Args:
            work: A folder for its files, which `close` removes.
            copy_content: Copies the content into a folder.
            paths: The folders and buckets that the files come from.
            workers: Number of processes that scan files.
            waiting_seconds: How long an event waits for earlier ones.
            box: BOXED, or TRUSTED to run content without the box.

        Raises:
            OSError: The process cannot be started.
        """
        self.files: Files = {}
        self._work = work
        self._folder = work.path / "replay"  # content could write to it
        self._paths = list(paths)
        self._orders = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._pipes: tuple[int, ...] = ()
        try:
            content = work.path / "content"
            copy_content(content)
            self._folder.mkdir(mode=0o700)
            self._pipes = make_pipes(self._folder)
            module = "local_panther.serving.worker"
            arguments = [str(content), str(self._folder), str(workers), str(waiting_seconds), box]
            worker = [sys.executable, "-P", "-m", module, *arguments]
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, guard.REPLAY, *worker],
                env=_environment(with_aws=any(map(is_s3, paths))),
                stdin=subprocess.PIPE,  # the guard stops when it closes
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,  # not a file, since the disk may be full
            )
            self._messages = _Messages(self._process.stderr)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop the process and remove its files."""
        self.kill()
        if self._process:
            self._process.wait()
            self._messages.join()
        for pipe in self._pipes:
            os.close(pipe)
        self._pipes = ()
        self._work.cleanup()

    def kill(self) -> None:
        """Make the guard kill the process and all that it has started. Any thread may call it."""
        if self._process and self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()

    @property
    def number(self) -> int:
        """The process ID of the guard, which started it."""
        return self._process.pid if self._process else 0

    def added(self, files: Files) -> list[str] | None:
        """Return the files that it has not been given; None if one that it has has changed."""
        if any(files.get(path) != stamp for path, stamp in self.files.items()):
            return None
        return [path for path in files if path not in self.files]

    def replay(
        self, files: Files | None, *, is_last: bool = False, is_passed_over: bool = False
    ) -> Results:
        """Replay further files and return the results of all.

        Args:
            files: All current files; None for those that the process finds itself.
            is_last: True if no further files will be replayed.
            is_passed_over: True if the instance will only pass the alerts over.

        Raises:
            ReplayFailed: The process has exited.
            ReplayAgain: Another process has to replay all files.
        """
        added = None if files is None else self.added(files)
        if files is not None and added is None:
            raise ReplayAgain("a file has changed or is gone")
        if self._orders:
            shutil.rmtree(self._order(None).results(self._folder).folder, ignore_errors=True)
        self._orders += 1
        self.files = dict(files or {})
        order = self._order(added, is_last=is_last, is_passed_over=is_passed_over)
        order.write(self._folder)
        os.write(self._pipes[0], BYTE)
        self._await_answer()
        results = order.results(self._folder)
        answer = Answer.read(results)
        self._messages.last = b""
        if answer.again:
            raise ReplayAgain(answer.again, answer.behind)
        return results

    def _order(self, files: list[str] | None, **options: bool) -> Order:
        return Order(self._orders, self._paths, files, **options)

    def _await_answer(self) -> None:
        process, pipe = self._process, self._pipes[1]
        while not select.select([pipe], [], [], LOOK_SECONDS)[0]:
            if process and process.poll() is not None:
                self._messages.join()
                raise ReplayFailed(self._messages.text or f"status {process.returncode}")
        os.read(pipe, 1)


class _Messages(threading.Thread):
    """A thread that reads the messages of a process and keeps the latest."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        super().__init__(daemon=True)
        assert pipe
        self._pipe = pipe
        self.last = b""
        self.start()

    def run(self) -> None:
        with self._pipe as pipe:
            while chunk := os.read(pipe.fileno(), LAST_BYTES):
                self.last = (self.last + chunk)[-LAST_BYTES:]

    @property
    def text(self) -> str:
        """The last lines."""
        lines = self.last.decode(errors="replace").strip().splitlines()
        return "\n".join(lines[-LAST_LINES:])


def _environment(*, with_aws: bool) -> dict[str, str]:
    """Return the environment of the replay process.

    It has the user's settings but not the token, and credentials of AWS only if S3 is read. The
    box then removes more.
    """
    secret = (SECRET,) if with_aws else (SECRET, "AWS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(secret)}
    return kept | OWN_CODE
