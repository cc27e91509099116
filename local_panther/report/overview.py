"""The overview of a report: incidents by severity, and a chart of alerts over time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from local_panther.alerts.incidents import SEVERITIES, Incident
from local_panther.alerts.model import Alert
from local_panther.times import clock, iso

COLUMNS = 60  # most columns of the chart
MIN_COLUMNS, MIN_TIMES = 30, 5
STEPS = (60, 300, 900, 3600, 4 * 3600, 86_400, 7 * 86_400, 30 * 86_400)  # seconds of a column


@dataclass(frozen=True)
class Block:
    """The alerts of one severity in one column of the chart.

    Attributes:
        x: Left edge, in columns.
        y: Upper edge, in alerts below the top of the chart.
        height: Number of alerts.
        severity: Severity of the alerts.
        label: Text that a browser shows when the pointer is on the block.
    """

    x: float
    y: float
    height: float
    severity: str
    label: str


@dataclass(frozen=True)
class Chart:
    """A chart of alerts over time, with a column for each span of time.

    Attributes:
        blocks: Blocks of all columns.
        columns: Number of columns.
        most: Number of alerts in the highest column, which is the height of the chart.
        first: Time at the left end, as text.
        last: Time at the right end, as text.
    """

    blocks: tuple[Block, ...]
    columns: int
    most: int
    first: str
    last: str


def severity_counts(incidents: Sequence[Incident]) -> list[tuple[str, int]]:
    """Return the number of incidents of each severity, most severe first."""
    counts = Counter(incident.severity for incident in incidents)
    return [(severity, counts[severity]) for severity in SEVERITIES if counts[severity]]


def alerts_over_time(alerts: Sequence[Alert]) -> Chart | None:
    """Return a chart of the times of alerts; None for fewer than MIN_TIMES different times."""
    times = [alert.created_at for alert in alerts]
    if len(set(times)) < MIN_TIMES:
        return None
    length = max(times) - min(times)
    step = next((s for s in STEPS if length / s < COLUMNS - 1), length / (COLUMNS - 2))
    start = min(times) // step * step
    columns = max(int((max(times) - start) // step) + 1, MIN_COLUMNS)
    counts = Counter((int((a.created_at - start) // step), a.severity) for a in alerts)
    heights = Counter[int]()
    for (column, _), count in counts.items():
        heights[column] += count
    most = max(heights.values())
    blocks = []
    for column in sorted(heights):
        below = 0.0
        for severity in SEVERITIES:
            if count := counts[column, severity]:
                below += count
                label = f"{count:,} {severity} from {iso(start + column * step)}"
                blocks.append(Block(column, most - below, count, severity, label))
    form = "%Y-%m-%d %H:%M" if step < 86_400 else "%Y-%m-%d"
    last = clock(start + columns * step, form)
    return Chart(tuple(blocks), columns, most, clock(start, form), last)
