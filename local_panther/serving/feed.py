"""Replays CloudTrail with the stored content, and stores the results in the instance."""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing

from local_panther.instance.check.guarded import BOXED, TRUSTED
from local_panther.instance.instance import Instance
from local_panther.records.arrivals import WAITING_SECONDS
from local_panther.serving.looking import Files, Watched
from local_panther.serving.process import ReplayAgain, ReplayFailed, ReplayProcess
from local_panther.serving.results import Results

POLL_SECONDS = 2.0  # between two searches for new files
AGAIN_SECONDS = 60.0  # before a failed replay is tried again
Tell = Callable[[str], None]


class Feed:
    """A thread that replays some paths, once there is content, while its context lasts."""

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
            instance: The instance that gets the alerts.
            paths: Files and folders of CloudTrail.
            workers: Number of processes that scan files.
            tell: Called with a line about each result or problem.
            follow: Continue with files that are delivered later.
            trust: Run content without the box.
        """
        self._instance = instance
        self._paths = paths
        self._workers = workers
        self._tell = tell
        self._follows = follow
        self._box = TRUSTED if trust else BOXED
        self._files: Files = {}  # read by the latest replay
        self._process: ReplayProcess | None = None
        self._waiting_seconds = WAITING_SECONDS
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Feed":
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop the thread; an unfinished replay leaves nothing behind."""
        self._stopping.set()
        self._instance.library.changed.set()
        if process := self._process:
            process.kill()
        self._thread.join()

    def _run(self) -> None:
        changed = self._instance.library.changed
        if not self._instance.library.items:
            self._tell("--replay waits for content: upload it with panther_analysis_tool")
            changed.wait()
        changed.clear()
        self._instance.alerts.pass_over([])
        try:
            if not self._follows:
                self._replay(None)
                return
            with closing(Watched(self._paths)) as watched:
                self._follow(watched)
        finally:
            self._end_process()

    def _follow(self, watched: Watched) -> None:
        """Replay the current files, and those that are delivered later."""
        changed = self._instance.library.changed
        before: Files = {}
        told, is_first, again = watched.problems, True, math.inf
        while not self._stopping.is_set():
            if changed.is_set() and not is_first:
                changed.clear()
                self._end_process()
                self._replay(self._files, is_passed_over=True)
            found = watched.found()
            # A file that is still being written has another size at the next search.
            is_new = found != self._files and found == before
            if is_first or is_new or time.monotonic() > again:
                self._files, is_first = found, False
                is_taken = self._replay(found)
                again = math.inf if is_taken else time.monotonic() + AGAIN_SECONDS
            before = found
            if watched.problems != told:
                told = watched.problems
                for problem in told:
                    self._tell(f"--follow: {problem}; its known files stay")
            self._stopping.wait(POLL_SECONDS)

    def _replay(self, files: Files | None, *, is_passed_over: bool = False) -> bool:
        """Run the stored content over files, store the results, and return whether that succeeded.

        Args:
            files: The files; None for all.
            is_passed_over: Only record which alerts to pass over.
        """
        if self._stopping.is_set():
            return False
        why = self._add(files) if self._process and files is not None else ""
        if why is None or self._stopping.is_set():
            return why is None
        try:
            self._process = self._new_process()
            if self._stopping.is_set():
                return False
            is_last = not self._follows
            results = self._process.replay(files, is_last=is_last, is_passed_over=is_passed_over)
            if is_passed_over:
                self._pass_over(results)
            else:
                self._take(results, f" (everything again: {why})" if why else "")
        except (
            Exception
        ) as error:  # for example a full disk, or results that content code has forged
            self._fail(error)
            if not self._stopping.is_set():
                is_message = isinstance(error, ReplayFailed)
                text = f"{error}" if is_message else f"{type(error).__name__}: {error}"
                self._tell(f"replay: failed: {text}")
            return False
        return True

    def _add(self, files: Files) -> str | None:
        """Let the process that replayed the other files replay the new ones.

        Returns:
            Why a new process has to replay all files; None if the new files were added.
        """
        if self._process is None:
            return ""
        try:
            count = len(files) - len(self._process.files)
            results = self._process.replay(files)
            self._take(results, f", {count:,} of them new")
        except ReplayAgain as error:
            self._waiting_seconds = max(self._waiting_seconds, 2 * error.behind)
            self._end_process()
            return str(error)
        except Exception as error:
            self._fail(error)
            return f"{type(error).__name__}: {error}"
        return None

    def _fail(self, error: Exception) -> None:
        logging.debug("replay", exc_info=error)
        self._end_process()

    def _new_process(self) -> ReplayProcess:
        library = self._instance.library
        return ReplayProcess(
            library.work_folder(),
            library.copy_to,
            self._paths,
            self._workers,
            self._waiting_seconds,
            self._box,
        )

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process:
            process.close()

    def _take(self, results: Results, how: str) -> None:
        summary = results.read_summary()
        new = self._instance.take(
            results.read_alerts(),
            results.read_events(),
            results.databases,
            summary,
            results.read_kept_events(),
            results.read_incidents(),
            results.read_ranks(),
            results.read_queries(),
        )
        for problem in [*summary["problems"], *summary["examples"]]:
            self._tell(f"replay: {problem}")
        count = f"{summary['records']:,} records of {summary['files']:,} files"
        self._tell(f"replay: {count}{how}; new alerts: {new:,}")

    def _pass_over(self, results: Results) -> None:
        """Record which alerts new content finds in earlier records, instead of creating them."""
        self._instance.alerts.pass_over(results.read_alerts())
        self._tell("replay: the uploaded content is in use for records from now on")
