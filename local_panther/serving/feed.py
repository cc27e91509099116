"""Feeds an instance with what the stored content finds in recorded CloudTrail."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import local_panther
from local_panther.instance.instance import Instance
from local_panther.serving.results import Results

SECRET = "PANTHER_"  # what variables with the token and the address begin with
LAST_LINES = 5
Tell = Callable[[str], None]


class Feed:
    """A replay of some paths, as soon as there is content; a context manager that ends it."""

    def __init__(self, instance: Instance, paths: Sequence[str], workers: int, tell: Tell) -> None:
        """Prepare the replay.

        Args:
            instance: What gets the alerts.
            paths: Files and folders of CloudTrail.
            workers: Processes that scan files.
            tell: Called with a line on how it went.
        """
        self._instance = instance
        self._paths = paths
        self._workers = workers
        self._tell = tell
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
            self._process.kill()
        self._thread.join()

    def _run(self) -> None:
        if not self._instance.library.items:
            self._tell("--replay waits for content: upload it with panther_analysis_tool")
            self._instance.library.changed.wait()
        if not self._stopping.is_set():
            try:
                self._replay()
            except (OSError, ValueError, TypeError) as error:
                self._tell(f"replay: {error}")

    def _replay(self) -> None:
        self._instance.replaying = True
        try:
            with self._instance.library.work_folder() as work:
                content, results = work / "content", Results(work / "results")
                self._instance.library.copy_to(content)
                results.folder.mkdir(mode=0o700)
                messages = self._worker(content, results)
                if self._stopping.is_set():
                    return
                if messages is not None:
                    self._tell(f"replay: failed: {messages}")
                    return
                self._take(results)
        finally:
            self._instance.replaying = False

    def _worker(self, content: Path, results: Results) -> str | None:
        """Run the replay; returns its last messages if it fails."""
        module = "local_panther.serving.worker"
        arguments = [str(content), str(results.folder), str(self._workers), *self._paths]
        with (results.folder / "messages.txt").open("w+b") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, *arguments],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=file,
            )
            if self._stopping.is_set():
                self._process.kill()
            if self._process.wait() == 0:
                return None
            file.seek(0)
            lines = file.read().decode(errors="replace").strip().splitlines()
            return "\n".join(lines[-LAST_LINES:]) or f"status {self._process.returncode}"

    def _take(self, results: Results) -> None:
        summary = results.read_summary()
        new = self._instance.take(
            results.read_alerts(), results.read_events(), results.databases, summary
        )
        for problem in [*summary["problems"], *summary["examples"]]:
            self._tell(f"replay: {problem}")
        count = f"{summary['records']:,} records of {summary['files']:,} files"
        self._tell(f"replay: {count}, {new:,} new alerts")


def _environment() -> dict[str, str]:
    """Return what the replay gets of the environment: not the token, but AWS's for `s3://`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SECRET)}
    return kept | {"PYTHONPATH": str(Path(local_panther.__file__).parents[1])}
