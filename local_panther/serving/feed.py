"""Feeds an instance with what the stored content finds in recorded CloudTrail."""

import json
import logging
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

import local_panther
from local_panther.instance import guard
from local_panther.instance.guarded import BOXED, TRUSTED
from local_panther.instance.instance import Instance
from local_panther.records.s3 import is_s3
from local_panther.serving.looking import Files, Watched
from local_panther.serving.results import Results

SECRET = "PANTHER_"  # what variables with the token and the address begin with
LAST_LINES = 5
LAST_BYTES = 8192
POLL_SECONDS = 2.0  # between two looks for new files
AGAIN_SECONDS = 60.0  # from a replay that failed to the next one
Tell = Callable[[str], None]


class Feed:
    """A replay of some paths, as soon as there is content; a context manager that ends it."""

    def __init__(
        self,
        instance: Instance,
        paths: Sequence[str],
        workers: int,
        tell: Tell,
        *,
        follow: bool = False,
        trust: bool = False,
    ) -> None:
        """Prepare the replay.

        Args:
            instance: What gets the alerts.
            paths: Files and folders of CloudTrail.
            workers: Processes that scan files.
            tell: Called with a line on how it went.
            follow: Go on with files that are delivered later.
            trust: Run content without the box.
        """
        self._instance = instance
        self._paths = paths
        self._workers = workers
        self._tell = tell
        self._follows = follow
        self._box = TRUSTED if trust else BOXED
        self._files: Files = {}  # that the latest replay has read
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Feed":
        """Start it."""
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop it; what it has not finished leaves nothing behind."""
        self._stopping.set()
        self._instance.library.changed.set()
        if self._process:
            _end(self._process)
        self._thread.join()

    def _run(self) -> None:
        changed = self._instance.library.changed
        if not self._instance.library.items:
            self._tell("--replay waits for content: upload it with panther_analysis_tool")
            changed.wait()
        changed.clear()
        self._instance.alerts.pass_over([])
        if not self._follows:
            self._replay(self._take)
            return
        with closing(Watched(self._paths)) as watched:
            self._follow(watched)

    def _follow(self, watched: Watched) -> None:
        """Replay what there is, and everything again whenever there is more."""
        changed = self._instance.library.changed
        before: Files = {}
        told, is_first, again = watched.problems, True, math.inf
        while not self._stopping.is_set():
            if changed.is_set() and not is_first:
                changed.clear()
                self._replay(self._pass_over, self._files)
            found = watched.found()
            # A file that is still being written has another size at the next look.
            is_new = found != self._files and found == before
            if is_first or is_new or time.monotonic() > again:
                self._files, is_first = found, False
                is_taken = self._replay(self._take, found)
                again = math.inf if is_taken else time.monotonic() + AGAIN_SECONDS
            before = found
            if watched.problems != told:
                told = watched.problems
                for problem in told:
                    self._tell(f"--follow: {problem}; what was there stays")
            self._stopping.wait(POLL_SECONDS)

    def _replay(self, take: Callable[[Results], None], only: Files | None = None) -> bool:
        """Run the content in use over files, hand what it finds on, and return whether it could."""
        if self._stopping.is_set():
            return False
        try:
            with self._instance.library.work_folder() as work:
                content, results = work / "content", Results(work / "results")
                self._instance.library.copy_to(content)
                results.folder.mkdir(mode=0o700)
                asked = self._paths, None if only is None else list(only)
                results.paths.write_text(json.dumps(asked), encoding="utf-8")
                messages = self._worker(content, results)
                if self._stopping.is_set():
                    return False
                if messages is not None:
                    self._tell(f"replay: failed: {messages}")
                    return False
                take(results)
                return True
        except Exception as error:  # a full disk, results that content code has spoiled
            logging.debug("replay", exc_info=True)
            self._tell(f"replay: failed: {type(error).__name__}: {error}")
            return False

    def _worker(self, content: Path, results: Results) -> str | None:
        """Run the replay; returns its last messages if it fails."""
        module = "local_panther.serving.worker"
        arguments = [str(content), str(results.folder), str(self._workers), self._box]
        worker = [sys.executable, "-P", "-m", module, *arguments]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, guard.REPLAY, *worker],
            env=_environment(with_aws=any(map(is_s3, self._paths))),
            stdin=subprocess.PIPE,  # for whose end the guard waits
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,  # and no file: the disk may be what is full
        )
        if self._stopping.is_set():
            _end(self._process)
        messages = _last_lines(self._process)
        if self._process.wait() == 0:
            return None
        return messages or f"status {self._process.returncode}"

    def _take(self, results: Results) -> None:
        summary = results.read_summary()
        new = self._instance.take(
            results.read_alerts(), results.read_events(), results.databases, summary
        )
        for problem in [*summary["problems"], *summary["examples"]]:
            self._tell(f"replay: {problem}")
        count = f"{summary['records']:,} records of {summary['files']:,} files"
        self._tell(f"replay: {count}; new alerts: {new:,}")

    def _pass_over(self, results: Results) -> None:
        """Take note of what new content finds in records that came before it: no alerts."""
        self._instance.alerts.pass_over(results.read_alerts())
        self._tell("replay: the content that was uploaded is in use for what comes from now on")


def _last_lines(process: "subprocess.Popen[bytes]") -> str:
    """Return the last of what a process says, once it has ended."""
    assert process.stderr
    last = b""
    with process.stderr as messages:
        while chunk := messages.read(LAST_BYTES):
            last = (last + chunk)[-LAST_BYTES:]
    return "\n".join(last.decode(errors="replace").strip().splitlines()[-LAST_LINES:])


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Let the guard end the replay and all that it has started."""
    if process.stdin:
        with suppress(OSError):
            process.stdin.close()


def _environment(*, with_aws: bool) -> dict[str, str]:
    """Return what the replay gets of the environment: no secrets, unless AWS's are needed."""
    secret = (SECRET,) if with_aws else (SECRET, "AWS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(secret)}
    return kept | {"PYTHONPATH": str(Path(local_panther.__file__).parents[1])}
