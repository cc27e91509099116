"""Alerts as cards and the summary as tables, for a person at a terminal."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from local_panther.alerts.model import Alert
from local_panther.output.times import iso, span
from local_panther.replay import Outcome

COLOURS = {"CRITICAL": "bold red", "HIGH": "red", "MEDIUM": "yellow", "LOW": "cyan", "INFO": "blue"}
MAX_ENTRIES = 12
MAX_VALUE = 400
# Shown above the context already, or noise in a terminal; JSON output has everything.
SHOWN_ABOVE = {"sourceIPAddress", "awsRegion", "recipientAccountId", "eventSource"}


def print_alerts(alerts: Iterable[Alert], console: Console) -> None:
    """Print a card for each alert."""
    for alert in alerts:
        console.print(_card(alert))


def print_summary(outcome: Outcome, console: Console) -> None:
    """Print what was read, what matched and what could not be done."""
    console.print(_reading(outcome))
    console.print(_detections(outcome))
    for rule_id in outcome.content.disabled:
        console.print(Text(f"disabled: {rule_id} (--include-disabled runs it)", style="dim"))
    for item in outcome.content.not_replayed:
        console.print(Text(f"not replayed: {item}", style="dim"))
    for problem in outcome.tally.problems:
        console.print(Text(f"not read: {problem}", style="yellow"))
    hidden = sum(outcome.tally.skipped.values()) - len(outcome.tally.problems)
    if hidden > 0:
        console.print(Text(f"not read: {hidden:,} more", style="yellow"))
    for problem in outcome.errors.examples:
        console.print(Text(f"rule error: {problem}", style="yellow"))
    if outcome.interrupted:
        console.print(Text("interrupted: the rest was not read", style="yellow"))


def _card(alert: Alert) -> Panel:
    facts = _facts()
    for name, value in _headline(alert):
        facts.add_row(name, Text(printable(value)))
    for name, value in _context(alert):
        facts.add_row(name, Text(value))
    parts: list[Any] = [facts]
    if alert.runbook:
        parts += [Text("\nRunbook", style="bold"), Text(alert.runbook)]
    if alert.reference:
        parts.append(Text(f"\nReference  {alert.reference}", style="dim"))
    colour = COLOURS.get(alert.severity, "white")
    title = Text(f" {alert.severity}  {printable(alert.title)} ", style=colour)
    return Panel(Group(*parts), title=title, title_align="left", border_style=colour)


def _headline(alert: Alert) -> Iterator[tuple[str, str]]:
    yield "Rule", f"{alert.metadata.rule_id} ({alert.metadata.display_name})"
    yield "Alert at", iso(alert.created_at)
    length = alert.last - alert.first
    yield (
        "Events",
        f"{alert.event_count} from {iso(alert.first)}"
        + (f" to {iso(alert.last)} ({span(length)})" if length else ""),
    )
    identity = alert.event.get("userIdentity")
    identity = identity if isinstance(identity, Mapping) else {}
    who = identity.get("arn") or identity.get("invokedBy")
    names = ("sourceIPAddress", "awsRegion", "recipientAccountId")
    where = ", ".join(str(alert.event[name]) for name in names if alert.event.get(name))
    yield from ((name, str(text)) for name, text in (("Who", who), ("Where", where)) if text)


def _context(alert: Alert) -> Iterator[tuple[str, str]]:
    if not alert.is_correlation:
        yield from _flat(alert.context)
        return
    for step, context in alert.context.items():
        count = alert.signals.get(step, 0)
        yield f"{step}", f"{count} signal{'s' * (count != 1)}; the latest one's context:"
        yield from ((f"  {name}", value) for name, value in _flat(context))


def _flat(context: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in context.items():
        if name in SHOWN_ABOVE or value in (None, "", [], {}):
            continue
        if isinstance(value, list):
            entries = [_short(entry) for entry in value[:MAX_ENTRIES]]
            more = [f"… and {len(value) - MAX_ENTRIES} more"] * (len(value) > MAX_ENTRIES)
            yield name, "\n".join(entries + more)
        elif isinstance(value, Mapping):
            scalars = {k: v for k, v in value.items() if not isinstance(v, (Mapping, list))}
            yield name, _short("  ".join(f"{key}={entry}" for key, entry in scalars.items()))
        else:
            yield name, _short(value)


def _short(value: Any) -> str:
    text = printable(str(value))
    return text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + "…"


def printable(text: str) -> str:
    """Return text from a log as it can be shown: no control character reaches the terminal."""
    return "".join(
        char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text
    )


def _reading(outcome: Outcome) -> Table:
    tally, table = outcome.tally, _table("Read", "")
    table.add_row("files", f"{tally.files:,}")
    table.add_row("records", f"{tally.records:,}")
    if tally.first is not None and tally.last is not None:
        length = span(tally.last - tally.first)
        table.add_row("from, to", f"{iso(tally.first)}, {iso(tally.last)} ({length})")
    table.add_row("duplicates dropped", f"{tally.duplicates:,}")
    table.add_row("looked at by rules", f"{tally.wanted:,}")
    if tally.late:
        table.add_row("out of order beyond the buffer", f"{tally.late:,}")
    for reason, count in sorted(tally.skipped.items()):
        table.add_row(f"skipped: {reason}", f"{count:,}")
    return table


def _detections(outcome: Outcome) -> Table:
    table = _table("Rule", "Signals", "Alerts", "Errors")
    alerts = [alert.metadata.rule_id for alert in outcome.alerts]
    for rule_id, signals in sorted(outcome.signals.items()):
        errors = outcome.errors.counts.get(rule_id, 0)
        table.add_row(rule_id, f"{signals:,}", f"{alerts.count(rule_id):,}", f"{errors:,}")
    table.add_section()
    total = sum(outcome.signals.values())
    table.add_row("all", f"{total:,}", f"{len(alerts):,}", f"{outcome.errors.counts.total():,}")
    return table


def _facts() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i and len(columns) > 2 else "left")
    return table
