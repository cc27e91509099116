"""Prints incidents in a terminal: an overview, most severe first, and a card for each."""

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from local_panther.alerts.incidents import SEVERITIES, Incident
from local_panther.alerts.model import Alert
from local_panther.output.basis import no_alert
from local_panther.output.cards import print_card
from local_panther.output.commands import source_arguments
from local_panther.output.tables import table
from local_panther.output.terminal import COLOURS
from local_panther.replay import Outcome
from local_panther.roles.principals import described
from local_panther.roles.summary import nearest
from local_panther.text import in_one_line
from local_panther.times import clock, iso

MAX_CARDS = 5  # more incidents get cards only with --details
MAX_LINES = 15  # lines of the overview, so that it fits a screen
MAX_NEAREST = 5
WIDE = 120  # columns of a console that has room for the year


def print_incidents(outcome: Outcome, console: Console, *, details: bool = False) -> None:
    """Print an overview of the incidents, and a card for each if they are few or with details."""
    incidents = outcome.incidents
    if not incidents:
        _print_nearest(outcome, console)
        return
    has_cards = details or len(incidents) <= MAX_CARDS
    console.print(Text(_counts(outcome.alerts, incidents), style="bold"))
    if not has_cards or len(incidents) > 1:
        _print_overview(incidents, console, None if details else MAX_LINES)
    if has_cards:
        source = source_arguments(outcome)
        for incident in incidents:
            print_card(incident, source, console, details=details)
    console.print()


def _counts(alerts: Sequence[Alert], incidents: Sequence[Incident]) -> str:
    by_severity = _by_severity(incidents)
    several = f"{len(incidents):,} incident{'s' * (len(incidents) != 1)}"
    return f"{several} ({by_severity}) of {len(alerts):,} alert{'s' * (len(alerts) != 1)}"


def _by_severity(incidents: Iterable[Incident]) -> str:
    counts = Counter(incident.severity for incident in incidents)
    return ", ".join(f"{counts[name]:,} {name}" for name in SEVERITIES if counts[name])


def _print_overview(incidents: Sequence[Incident], console: Console, limit: int | None) -> None:
    is_wide = console.width >= WIDE
    grid = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    grid.add_column("Severity", no_wrap=True, width=8)
    grid.add_column("What", no_wrap=True, ratio=1)
    grid.add_column("Who", ratio=1, overflow="fold")
    grid.add_column("First, last", no_wrap=True, width=27 if is_wide else 17)
    grid.add_column("From", no_wrap=True, width=18 if is_wide else 15)
    of_name: dict[str, set[str]] = {}
    for incident in incidents[:limit]:
        of_name.setdefault(_name(incident), set()).add(incident.principal)
    for incident in incidents[:limit]:
        colour = COLOURS.get(incident.severity, "white")
        what, who = incident.headline, incident.who
        is_ambiguous = len(of_name[_name(incident)]) > 1
        if not is_wide:
            what, who = what.removesuffix(" roles"), who if is_ambiguous else _name(incident)
        others = f" +{len(incident.addresses) - 1}" if len(incident.addresses) > 1 else ""
        address = f"{incident.addresses[0]}{others}" if incident.addresses else ""
        grid.add_row(
            Text(incident.severity, style=colour),
            Text(in_one_line(what), style=colour if incident.entered else ""),
            # A name that several principals have is shown whole, on several lines if need be.
            Text(
                in_one_line(who),
                no_wrap=not is_ambiguous,
                overflow="fold" if is_ambiguous else "ellipsis",
            ),
            _times(incident.first, incident.last, has_year=is_wide),
            Text(in_one_line(address)),
        )
    console.print(grid)
    if limit is not None and len(incidents) > limit:
        rest = incidents[limit:]
        text = f"… and {len(rest):,} more: {_by_severity(rest)} (--details shows all)"
        console.print(Text(text, style="dim"))


def _name(incident: Incident) -> str:
    """Return the name of a principal without its kind and account."""
    return incident.who.partition(" (")[0]


def _times(first: float, last: float, *, has_year: bool) -> str:
    """Return both times to the minute in UTC; the last with its day only if it is another day."""
    day = "%Y-%m-%d" if has_year else "%m-%d"
    is_same_day = clock(first, "%Y-%m-%d") == clock(last, "%Y-%m-%d")
    begin, end = clock(first, f"{day} %H:%M"), clock(last, "%H:%M" if is_same_day else day)
    return begin if clock(first, "%F %H:%M") == clock(last, "%F %H:%M") else f"{begin}–{end}"


def _print_nearest(outcome: Outcome, console: Console) -> None:
    """Print that there is no alert, and who failed on the most roles."""
    console.print(Text(no_alert(outcome.tally), style="bold"))
    found = nearest(outcome.role_log, MAX_NEAREST)
    if not found:
        console.print(Text("No principal failed on any role.\n"))
        return
    settings = outcome.role_log.settings
    window = f"{settings.window_minutes} min"
    needed = f"{settings.threshold} roles in {window}"
    console.print(Text(f"Nearest to an alert, which needs failures on {needed}:"))
    grid = table(f"In {window}", "Failed on", "Tried", "Entered", "Who", "From", "First", "Last")
    for summary in found:
        addresses = [address for address, _ in summary.addresses.most_common()]
        others = f" +{len(addresses) - 1}" if len(addresses) > 1 else ""
        expected = " (expected)" if summary.is_expected else ""
        grid.add_row(
            f"{summary.in_window:,}",
            f"{len(summary.failed):,}",
            f"{len(summary.tried):,}",
            f"{len(summary.entered):,}",
            Text(in_one_line(described(summary.principal)) + expected, overflow="fold"),
            Text(in_one_line(f"{addresses[0]}{others}" if addresses else "")),
            iso(summary.first),
            iso(summary.last),
        )
    console.print(grid)
    console.print()
