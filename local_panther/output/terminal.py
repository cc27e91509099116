"""Alerts as cards and the summary as tables, for a person at a terminal."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from local_panther.alerts.model import Alert
from local_panther.output.facts import (
    alert_facts,
    detection_facts,
    in_one_line,
    notes,
    printable,
    reading_facts,
)
from local_panther.replay import Outcome

COLOURS = {"CRITICAL": "bold red", "HIGH": "red", "MEDIUM": "yellow", "LOW": "cyan", "INFO": "blue"}
STYLES = {"warning": "yellow", "dim": "dim"}
MAX_LINES = 12  # of one value


def print_alerts(alerts: Iterable[Alert], console: Console) -> None:
    """Print a card for each alert."""
    for alert in alerts:
        console.print(_card(alert))


def print_summary(outcome: Outcome, console: Console) -> None:
    """Print what was read, what matched and what could not be done."""
    reading = table("Read", "")
    for name, value in reading_facts(outcome):
        reading.add_row(Text(name), Text(value))
    console.print(reading)
    detections, totals = table("Rule", "Signals", "Alerts", "Errors"), [0, 0, 0]
    for rule_id, *counts in detection_facts(outcome):
        detections.add_row(Text(rule_id), *(f"{count:,}" for count in counts))
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
    detections.add_section()
    detections.add_row("all", *(f"{total:,}" for total in totals))
    console.print(detections)
    for style, text in notes(outcome):
        console.print(Text(in_one_line(text), style=STYLES[style]))


def table(*columns: str) -> Table:
    """Return an empty table; numbers stand right where there are more than two columns."""
    empty = Table(box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        empty.add_column(column, justify="right" if i and len(columns) > 2 else "left")
    return empty


def _card(alert: Alert) -> Panel:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, lines in alert_facts(alert):
        more = [f"… and {len(lines) - MAX_LINES} more"] * (len(lines) > MAX_LINES)
        facts.add_row(Text(name), Text("\n".join([*lines[:MAX_LINES], *more])))
    colour = COLOURS.get(alert.severity, "white")
    parts: list[Any] = [Text(in_one_line(alert.title) + "\n", style=colour), facts]
    if alert.runbook:
        parts += [Text("\nRunbook", style="bold"), Text(printable(alert.runbook))]
    if alert.reference:
        parts.append(Text(f"\nReference  {in_one_line(alert.reference)}", style="dim"))
    title = Text(f" {alert.severity} ", style=colour)
    return Panel(Group(*parts), title=title, title_align="left", border_style=colour)
