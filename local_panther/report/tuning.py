"""Writes the result of tuning as a page."""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from local_panther.output.tuning import advice_lines
from local_panther.report.page import write_page
from local_panther.tuning.run import Tuning
from local_panther.tuning.sweep import Trial

WIDTH, HEIGHT, MARGIN = 640, 220, 30  # size of the plot in SVG units
DASHES = ("", "6 3", "2 3", "10 3 2 3", "1 5")  # lines also differ without colours


@dataclass(frozen=True)
class Point:
    """A trial on the plot."""

    x: float
    y: float
    trial: Trial


@dataclass(frozen=True)
class Line:
    """A line of the plot, with the trials of one window.

    Attributes:
        minutes: Length of the window.
        is_now: True for the current window, which is drawn above the others.
        dash: Pattern of the line, as in SVG's stroke-dasharray.
        points: Trials by threshold.
    """

    minutes: int
    is_now: bool
    dash: str
    points: tuple[Point, ...]

    @property
    def path(self) -> str:
        """Points of the line, as in SVG's polyline."""
        return " ".join(f"{point.x},{point.y}" for point in self.points)


def write_tuning_report(tuning: Tuning, path: Path) -> None:
    """Write the advice, the plot and the tables of a tuning as one HTML file.

    Raises:
        OSError: The file cannot be written; an existing file is unchanged then.
    """
    lines = advice_lines(tuning)
    most = max((trial.alerts for trial in tuning.trials), default=0)
    write_page(
        path,
        "tuning.html.j2",
        tuning=tuning,
        advice=[(indented, list(group)) for indented, group in groupby(lines, _is_indented)],
        lines=_lines(tuning, max(most, 1)),
        most=most,
        size=(WIDTH, HEIGHT, MARGIN),
    )


def _is_indented(line: tuple[str, str]) -> bool:
    return line[0].startswith(" ")


def _lines(tuning: Tuning, most: int) -> list[Line]:
    thresholds = tuning.thresholds
    step = (WIDTH - 2 * MARGIN) / max(len(thresholds) - 1, 1)

    def point(place: int, trial: Trial) -> Point:
        share = trial.alerts / most
        x, y = MARGIN + place * step, HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)
        return Point(round(x, 1), round(y, 1), trial)

    return [
        Line(
            minutes,
            minutes == tuning.settings.window,
            DASHES[number % len(DASHES)],
            tuple(point(place, tuning.trial(t, minutes)) for place, t in enumerate(thresholds)),
        )
        for number, minutes in enumerate(tuning.windows)
    ]
