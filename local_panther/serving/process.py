"""The process that replays for an instance, as the instance sees it."""

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

SECRET = "PANTHER_"  # what variables with the token and the address begin with
LAST_LINES = 5
LAST_BYTES = 8192
LOOK_SECONDS = 0.25  # between two looks whether it still runs


class ReplayFailed(Exception):
    """A replay that has no results; the message says why."""


class ReplayAgain(Exception):
    """Files that cannot be added to what was replayed; the message says why.

    Attributes:
        behind: Seconds by which a record was late, if that is why.
    """

    def __init__(self, message: str, behind: float = 0.0) -> None:
        super().__init__(message)
        self.behind = behind


class ReplayProcess:
    """A process that replays files as they come.

    Attributes:
        files: Those that it has been given.
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
        """Start it.

        Args:
            work: A folder for all that it writes, which goes with it.
            copy_content: Copies the content into a folder.
            paths: What the files come from.
            workers: Processes that scan files.
            waiting_seconds: How long an event waits for earlier ones.
            box: BOXED, or TRUSTED to run content without the box.

        Raises:
            OSError: It cannot be started.
        """
        self.files: Files = {}
        self._work = work
        self._folder = work.path / "replay"  # what content could write
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
                stdin=subprocess.PIPE,  # for whose end the guard waits
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,  # and no file: the disk may be what is full
            )
            self._messages = _Messages(self._process.stderr)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it; what it has not finished leaves nothing behind."""
        self.kill()
        if self._process:
            self._process.wait()
            self._messages.join()
        for pipe in self._pipes:
            os.close(pipe)
        self._pipes = ()
        self._work.cleanup()

    def kill(self) -> None:
        """Let the guard end it and all that it has started; any thread may."""
        if self._process and self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()

    @property
    def number(self) -> int:
        """The number that the system gives to the guard, which started it."""
        return self._process.pid if self._process else 0

    def added(self, files: Files) -> list[str] | None:
        """Return the files that it has not been given; None if one of the others has changed."""
        if any(files.get(path) != stamp for path, stamp in self.files.items()):
            return None
        return [path for path in files if path not in self.files]

    def replay(
        self, files: Files | None, *, is_last: bool = False, is_passed_over: bool = False
    ) -> Results:
        """Replay further files and return the results of all.

        Args:
            files: All files that there are now; None for those that it finds itself.
            is_last: No more will come.
            is_passed_over: The instance will only take note of the alerts.

        Raises:
            ReplayFailed: It has ended.
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
    """What a process says, of which the last is kept."""

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
    """Return what the replay gets of the environment: no secrets, unless AWS's are needed."""
    secret = (SECRET,) if with_aws else (SECRET, "AWS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(secret)}
    return kept | OWN_CODE
