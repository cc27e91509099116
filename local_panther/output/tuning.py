"""Prints the result of tuning in a terminal, and writes it as JSON."""

import json
from dataclasses import asdict
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from local_panther.output.basis import as_json as read_as_json
from local_panther.output.basis import basis, without_answer
from local_panther.output.tables import table
from local_panther.text import in_one_line
from local_panther.times import iso
from local_panther.tuning.advice import some
from local_panther.tuning.run import Tuning
from local_panther.tuning.sweep import Trial

NOW = "*"


def print_tuning(tuning: Tuning, console: Console) -> None:
    """Print the advice, alerts by threshold and window, and the busiest principals."""
    for line, style in advice_lines(tuning):
        # A command stays on one line, so that it can be copied.
        console.print(Text(in_one_line(line), style=style), soft_wrap=line.startswith(" "))
    if without_answer(tuning.tally):
        _print_problems(tuning, console)
        return
    console.print()
    console.print(
        Text(
            in_one_line(f"{tuning.rule_id}: alerts (bursts) by threshold and window"), style="bold"
        )
    )
    grid = table("Threshold", *(f"{minutes} min" for minutes in tuning.windows))
    for threshold in tuning.thresholds:
        trials = [tuning.trial(threshold, minutes) for minutes in tuning.windows]
        grid.add_row(str(threshold), *(_cell(trial, tuning) for trial in trials))
    console.print(grid)
    console.print(
        Text(f"{NOW} current setting; a burst alerts only if a companion event is near it\n")
    )
    _print_busiest(tuning, console)
    _print_problems(tuning, console)


def _print_problems(tuning: Tuning, console: Console) -> None:
    for problem in tuning.problems:
        console.print(Text(in_one_line(f"left out: {problem}"), style="yellow"))
    for problem in tuning.tally.problems:
        console.print(Text(in_one_line(f"not read: {problem}"), style="yellow"))


def advice_lines(tuning: Tuning) -> list[tuple[str, str]]:
    """Return lines with the advice and how to follow it, each with its style."""
    if reason := without_answer(tuning.tally):
        return [(reason, "bold")]
    advice, settings = tuning.advice, tuning.settings
    lines = [(basis(tuning.tally), "dim"), (advice.headline, "bold")]
    lines += [(f"Based on {tuning.evidence}.", "")]
    lines += [(reason, "") for reason in advice.reasons]
    if tuning.effect:
        lines.append((tuning.effect, ""))
    if advice.threshold not in (None, settings.threshold):
        lines += [(line, "") for line in _threshold_lines(tuning, advice.threshold)]
    lines += [(line, "") for line in _exemption_lines(tuning)]
    if tuning.exempt:
        lines.append((f"Not counted, because exempt: {some(tuning.exempt)}.", "dim"))
    return lines


def _threshold_lines(tuning: Tuning, threshold: int) -> list[str]:
    command = tuning.settings.command(threshold)
    if command:
        return ["Run in the content repository, to change every file:", f"  {command}"]
    return ["Places to change:", *(f"  {place}" for place in tuning.settings.places)]


def _exemption_lines(tuning: Tuning) -> list[str]:
    advice, exemption = tuning.advice, tuning.settings.exemption
    if not advice.automation:
        return []
    then = ""
    if advice.threshold_without is not None:
        then = f" (a threshold of {advice.threshold_without} is then enough)"
    if exemption is None:
        return [f"To exempt them, add an inline filter to {tuning.rule_id}{then}."]
    return [
        f"To exempt those of them that are automation{then}:",
        f"  {exemption.command(advice.automation)}",
    ]


def write_json(tuning: Tuning, file: TextIO) -> None:
    """Write the result of tuning as one JSON object."""
    settings, exemption = tuning.settings, tuning.settings.exemption
    document: dict[str, Any] = {
        "read": read_as_json(tuning.tally),
        "no_answer": without_answer(tuning.tally),
        "rule_id": tuning.rule_id,
        "threshold": settings.threshold,
        "window_minutes": settings.window,
        "advice": asdict(tuning.advice),
        "effect": tuning.effect,
        "places": settings.places,
        "exemption": exemption and {"place": exemption.place, "name": exemption.name},
        "exempt": tuning.exempt,
        "evidence": asdict(tuning.evidence),
        "trials": [asdict(trial) for trial in tuning.trials],
        "peaks": [{**asdict(peak), "time": iso(peak.time)} for peak in tuning.peaks],
        "problems": [str(problem) for problem in [*tuning.problems, *tuning.tally.problems]],
    }
    json.dump(document, file, indent=2)
    file.write("\n")


def _cell(trial: Trial, tuning: Tuning) -> Text:
    settings = tuning.settings
    is_now = (trial.threshold, trial.window) == (settings.threshold, settings.window * 60)
    style = "reverse" if is_now else ("dim" if not trial.bursts else "")
    return Text(f"{NOW if is_now else ''}{trial.alerts} ({trial.bursts})", style=style)


def _print_busiest(tuning: Tuning, console: Console) -> None:
    settings = tuning.settings
    now = tuning.trial(settings.threshold)
    busiest = table("Distinct", "Of", "Principal", "By", "At", "Companion", "Alerts")
    for peak in tuning.peaks:
        busiest.add_row(
            str(peak.count),
            str(settings.threshold),
            Text(in_one_line(peak.subject), overflow="fold"),
            Text(in_one_line(peak.counter)),
            iso(peak.time),
            "yes" if peak.paired else "no",
            "yes" if peak.subject in now.subjects and peak.count >= settings.threshold else "no",
        )
    console.print(Text(f"The busiest principals in {settings.window} minutes", style="bold"))
    console.print(busiest)
