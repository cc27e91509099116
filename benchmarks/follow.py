"""Measures `serve --follow`: one more delivered file, compared with a replay of all files.

The content is this repository's. Linux reports the processor time of the process that replays,
including the processes that it forks.
"""

import itertools
import os
import shutil
import tempfile
from pathlib import Path

from benchmarks.data import RECORDS_A_FILE, REPO, generated_files
from benchmarks.measure import Figure
from local_panther.instance.check.guarded import BOXED
from local_panther.processes import TemporaryFolder
from local_panther.records.arrivals import WAITING_SECONDS
from local_panther.serving.looking import Files, Stamp
from local_panther.serving.process import ReplayProcess

SIZES = (15, 30, 60)
RUNS = 3
FILES_A_DAY = 48
MOST_SECONDS = 2.0
CONTENT = ("rules", "correlation_rules", "global_helpers", "data_models", "queries")


def measure(records: int) -> list[Figure]:
    """Return the seconds of both ways for each number of files.

    Args:
        records: Larger sizes are left out.
    """
    count = max(SIZES) + RUNS
    paths = generated_files(count * RECORDS_A_FILE, days=count / FILES_A_DAY)
    figures = []
    for size in SIZES:
        if size * RECORDS_A_FILE > records:
            continue
        with tempfile.TemporaryDirectory() as folder:
            everything = _seconds(Path(folder), paths[: size + 1])[0]
            one_more = min(_seconds(Path(folder), paths[:size], paths[size : size + RUNS])[1:])
        figures.append(
            Figure(
                f"one more file of {RECORDS_A_FILE:,} records with {size} there, beside all again",
                one_more,
                "s of processor time",
                everything,
                one_more / everything,
                f"≤ {MOST_SECONDS:g} s",
                one_more <= MOST_SECONDS,
            )
        )
    return figures


def _seconds(folder: Path, paths: list[Path], later: list[Path] | None = None) -> list[float]:
    """Return the seconds of a start with some files, and of each file that is added later."""
    files: Files = {str(path): Stamp(0, 0) for path in paths}
    work = TemporaryFolder("follow-", inside=folder)
    trail = [str(paths[0].parent)]
    process = ReplayProcess(work, _copy_content, trail, 1, WAITING_SECONDS, BOXED)
    try:
        process.replay(files)
        used = [_processor_seconds(process.number)]
        for path in later or ():
            files[str(path)] = Stamp(0, 0)
            process.replay(files)
            used.append(_processor_seconds(process.number))
    finally:
        process.close()
    return [used[0], *(after - before for before, after in itertools.pairwise(used))]


def _copy_content(target: Path) -> None:
    target.mkdir()
    for name in CONTENT:
        shutil.copytree(REPO / name, target / name)


def _processor_seconds(process: int) -> float:
    """Return the processor seconds of a process and of all its children, also of exited ones."""
    folder = Path(f"/proc/{process}")
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    children = [task.read_text().split() for task in folder.glob("task/*/children")]
    running = sum(_processor_seconds(int(child)) for found in children for child in found)
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") + running
