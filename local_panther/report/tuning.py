"""Tuning as a page."""

from pathlib import Path

from local_panther.report.page import write_page
from local_panther.tuning.run import Tuning


def write_tuning_report(tuning: Tuning, path: Path) -> None:
    """Write the plot and tables of a tuning as one HTML file.

    Raises:
        OSError: The file cannot be written; one that was there before is as it was.
    """
    windows = sorted({verdict.window for verdict in tuning.verdicts})
    most = max((verdict.bursts for verdict in tuning.verdicts), default=0)
    plots = [
        (window // 60, [v for v in tuning.verdicts if v.window == window]) for window in windows
    ]
    write_page(path, "tuning.html.j2", tuning=tuning, plots=plots, most=max(most, 1))
