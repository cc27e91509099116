"""Prints the summary of a run as tables in a terminal."""

from rich.console import Console
from rich.text import Text

from local_panther.output.facts import detection_facts, notes, reading_facts
from local_panther.output.tables import table
from local_panther.replay import Outcome
from local_panther.text import in_one_line

COLOURS = {"CRITICAL": "bold red", "HIGH": "red", "MEDIUM": "yellow", "LOW": "cyan", "INFO": "blue"}
STYLES = {"warning": "yellow", "dim": "dim"}
MAX_QUIET = 10  # most rules without a signal that are listed; if there are more, only their count


def print_summary(outcome: Outcome, console: Console) -> None:
    """Print what was read, what matched, and what was left out or failed."""
    reading = table("Read", "")
    for name, value in reading_facts(outcome.tally):
        reading.add_row(Text(name), Text(value))
    console.print(reading)
    detections, totals = table("Rule", "Signals", "Alerts", "Errors"), [0, 0, 0]
    facts = list(detection_facts(outcome))
    quiet = [rule_id for rule_id, *counts in facts if not any(counts)]
    hidden = set(quiet if len(quiet) > MAX_QUIET else ())
    for rule_id, *counts in facts:
        if rule_id not in hidden:
            detections.add_row(Text(rule_id), *(f"{count:,}" for count in counts))
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
    if hidden:
        detections.add_row(f"{len(hidden):,} rules without a signal", "0", "0", "0")
    detections.add_section()
    detections.add_row("all", *(f"{total:,}" for total in totals))
    console.print(detections)
    for style, text in notes(outcome):
        console.print(Text(in_one_line(text), style=STYLES[style]))
