"""A replay that continues with files that are delivered later.

After each delivery, its results are those of a replay of all files so far, but only the new files
are read. This process only processes records whose order is settled (see `records.arrivals`). Then
it forks. The child processes the waiting records too, finishes the replay and writes the results;
this process continues with the next delivery.
"""

import gc
import json
import logging
import os
import shutil
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from local_panther import containment
from local_panther.alerts.model import Alert
from local_panther.alerts.parameters import TIMELINE_TAG
from local_panther.alerts.timelines import Timelines
from local_panther.errors import one_line
from local_panther.processes import end_with_parent
from local_panther.records.arrivals import Arrivals, OutOfPlace
from local_panther.records.files import find_files
from local_panther.records.model import Tally
from local_panther.records.s3 import S3, s3_for
from local_panther.replay import Run, Stream, running
from local_panther.roles.settings import RoleSettings, read_settings
from local_panther.serving.orders import Order
from local_panther.serving.recorder import Recorder
from local_panther.serving.results import Results

COPIES = "copies"


@contextmanager
def following(
    content: Path, folder: Path, paths: Sequence[str], workers: int, waiting_seconds: float
) -> Iterator["Following"]:
    """Load content and start with no files.

    Args:
        content: The root of the content repository.
        folder: The folder for the data of the replay.
        paths: The folders and buckets that the files come from.
        workers: Number of processes that scan files.
        waiting_seconds: See `Arrivals`.

    Raises:
        ContentError: The content does not load.
    """
    records = folder / "records"
    records.mkdir()
    with (
        s3_for(paths) as s3,
        closing(Recorder(records)) as recorder,
        running(content, saved_queries=TIMELINE_TAG) as run,
    ):
        yield Following(run, read_settings(content), recorder, s3, workers, waiting_seconds)


class Following:
    """The state of a replay that can continue."""

    def __init__(
        self,
        run: Run,
        settings: RoleSettings,
        recorder: Recorder,
        s3: S3,
        workers: int,
        waiting_seconds: float,
    ) -> None:
        self._run = run
        self._recorder = recorder
        self._s3 = s3
        self._timelines = Timelines(run.content, run.lake, run.errors)
        self._stream = Stream(run, settings, self._timelines, observer=recorder)
        self._read = Tally()
        self._found = Tally()  # problems of the search for files
        self._paths_overlap = False  # files would be read twice
        self._arrivals = Arrivals(self._read, workers, s3, waiting_seconds=waiting_seconds)

    def add(self, order: Order, results: Results) -> bool:
        """Read further files and write the results of all; return whether that succeeded.

        Raises:
            OutOfPlace: A record belongs before one that was already processed. No files can be
                added any more.
        """
        results.folder.mkdir()
        results.databases.mkdir()
        if self._paths_overlap:
            raise OutOfPlace("paths overlap")
        for record in self._arrivals.read(self._files(order)):
            self._stream.process(record)
        if order.is_last:
            self._finish(results)
            return True
        for record in self._arrivals.settle():
            self._stream.process(record)
        self._stream.ask_ahead()
        if not self._finish_in_a_fork(results):
            return False
        handed = json.loads(results.handed.read_text(encoding="utf-8"))
        self._recorder.handed.take_note(
            handed["kept"], handed["provisional"], passed=order.is_passed_over
        )
        if not order.is_passed_over:
            self._recorder.incidents.take_note(handed["incidents"])
        return True

    def _files(self, order: Order) -> list[str]:
        """Return the files to read. If paths had problems before, search them again."""
        if order.files is not None and order.number > 1 and not self._found.problems:
            return order.files
        self._found = Tally()
        files = find_files(order.paths, self._found, self._s3)
        if order.files is not None:
            wanted = {*order.files}
            files = [path for path in files if path in wanted]
        self._paths_overlap = self._paths_overlap or len({*files}) < len(files)
        return files

    def _finish(self, results: Results) -> None:
        for record in self._arrivals.rest():
            self._stream.process(record)
        self._stream.finish()
        tally = Tally()
        tally.add(self._found)
        tally.add(self._read)
        self._recorder.finish(self._stream.outcome(tally), results, self._attach)

    def _attach(self, alerts: Sequence[Alert]) -> None:
        with self._run.errors.caught("timelines"):
            self._timelines.attach(alerts)

    def _finish_in_a_fork(self, results: Results) -> bool:
        self._recorder.rest()
        self._run.rest()
        self._stream.role_log.rest()
        sys.stderr.flush()
        gc.freeze()  # a garbage collection in the child would copy all memory of this process
        child = os.fork()
        if child:
            gc.unfreeze()
            is_done = os.waitpid(child, 0)[1] == 0
            shutil.rmtree(results.folder / COPIES, ignore_errors=True)
            return is_done
        status = 1
        try:
            end_with_parent()
            containment.move()
            copies = results.folder / COPIES
            copies.mkdir()
            self._run.move(copies)
            self._stream.role_log.move()
            self._recorder.move(results)
            self._finish(results)
            status = 0
        except BaseException as error:
            logging.debug("results", exc_info=True)
            traceback.print_exc()
            print(f"{type(error).__name__}: {one_line(error)}", file=sys.stderr)
        finally:
            sys.stderr.flush()
            os._exit(status)
