"""Tuning as tables in a terminal."""

from rich.console import Console
from rich.text import Text

from local_panther.output.facts import in_one_line
from local_panther.output.terminal import table
from local_panther.times import iso
from local_panther.tuning.run import Tuning


def print_tuning(tuning: Tuning, console: Console) -> None:
    """Print alerts by threshold and window, the busiest principals, and the advice."""
    windows = sorted({verdict.window for verdict in tuning.verdicts})
    found = {(v.threshold, v.window): v for v in tuning.verdicts}
    console.print(Text(f"{tuning.rule_id}: alerts (bursts) by threshold and window", style="bold"))
    grid = table("Threshold", *(f"{window // 60} min" for window in windows))
    for threshold in sorted({verdict.threshold for verdict in tuning.verdicts}):
        cells = []
        for window in windows:
            verdict = found[threshold, window]
            is_set = (threshold, window) == (tuning.threshold, tuning.window * 60)
            style = "reverse" if is_set else ("dim" if not verdict.bursts else "")
            cells.append(Text(f"{verdict.alerts} ({verdict.bursts})", style=style))
        grid.add_row(str(threshold), *cells)
    console.print(grid)
    console.print(Text("marked: as it is set now; a burst alerts where its companion is near\n"))
    _print_busiest(tuning, console)
    console.print(Text.assemble(("Set it to ", "bold"), (str(tuning.advice.threshold), "bold")))
    console.print(Text(in_one_line(tuning.advice.reason)))
    console.print(Text(tuning.effect))
    for problem in tuning.problems:
        console.print(Text(in_one_line(f"left out: {problem}"), style="yellow"))
    for problem in tuning.tally.problems:
        console.print(Text(in_one_line(f"not read: {problem}"), style="yellow"))


def _print_busiest(tuning: Tuning, console: Console) -> None:
    now = next(
        v
        for v in tuning.verdicts
        if (v.threshold, v.window) == (tuning.threshold, tuning.window * 60)
    )
    busiest = table("Distinct", "Of", "Principal", "By", "At", "Companion", "Alerts")
    for peak in tuning.peaks:
        busiest.add_row(
            str(peak.count),
            str(tuning.threshold),
            Text(in_one_line(peak.subject), overflow="fold"),
            Text(in_one_line(peak.counter)),
            iso(peak.time),
            "yes" if peak.paired else "no",
            "yes" if peak.subject in now.subjects and peak.count >= tuning.threshold else "no",
        )
    console.print(Text(f"The busiest, in {tuning.window} minutes", style="bold"))
    console.print(busiest)
    console.print()
