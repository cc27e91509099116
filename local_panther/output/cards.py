"""Prints incidents in a terminal: the verdict, what to do now, and the evidence, each fact once."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from local_panther.alerts.incidents import Incident
from local_panther.alerts.model import Alert
from local_panther.alerts.runbook import Step
from local_panther.output.facts import Fact, context_facts
from local_panther.output.terminal import COLOURS
from local_panther.roles.calls import FAILED, RoleCall, name_of
from local_panther.roles.facts import RoleFacts
from local_panther.text import in_one_line, printable, short
from local_panther.times import event_time, iso

MAX_LINES = 12  # lines of one fact
MAX_ALERTS = 5
INDENT = "   "


def print_card(
    incident: Incident, source: Sequence[str], console: Console, *, details: bool
) -> None:
    """Print an incident, without a frame so that commands can be copied.

    Args:
        incident: Incident to print.
        source: Arguments that let another command read the same records.
        console: Console to print on.
        details: Also print the contexts of alerts that the incident's facts summarise.
    """
    colour = COLOURS.get(incident.severity, "white")
    console.print(Rule(Text(f" {incident.severity} ", style=colour), style=colour, align="left"))
    console.print(Text(in_one_line(incident.sentence), style=colour))
    _print_containment(incident, console)
    for number, runbook in enumerate(incident.runbooks):
        what = f"Then, for {in_one_line(runbook.alert.title)}" if number else "Runbook"
        console.print(Text(f"\n{what}", style="bold"))
        _print_steps(runbook.steps, incident, source, console)
    steps = [step for runbook in incident.runbooks for step in runbook.steps]
    printed = {name for step in steps for name, _ in step.facts}
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, lines in _evidence(incident, printed, details=details):
        more = [f"… and {len(lines) - MAX_LINES:,} more"] * (len(lines) > MAX_LINES)
        facts.add_row(Text(name), Text("\n".join([*lines[:MAX_LINES], *more])))
    console.print(Text("\nEvidence", style="bold"))
    console.print(facts)


def _print_containment(incident: Incident, console: Console) -> None:
    if incident.containment:
        console.print(Text("\nStop", style="bold"))
    for action in incident.containment:
        console.print(Text(in_one_line(action.text)))
        for command in action.commands:
            console.print(Text(INDENT + in_one_line(command), style="cyan"), soft_wrap=True)


def _print_steps(
    steps: Sequence[Step], incident: Incident, source: Sequence[str], console: Console
) -> None:
    for number, step in enumerate(steps, 1):
        start = f"{number}. " if len(steps) > 1 else ""
        # Indented, so that no line of text from a record looks like a line of this output.
        console.print(Text(printable(start + step.text).replace("\n", "\n   ")))
        for name, values in _unprinted(step, incident):
            text = Text(f"{name}: {', '.join(map(short, values))}", overflow="fold")
            console.print(Padding(text, (0, 0, 0, len(INDENT))))
        for call in (call for call in step.queries if call.can_run):
            # On one line, however long: the terminal wraps it, and it is copied without breaks.
            command = Text(INDENT + in_one_line(call.command(source)), style="cyan")
            console.print(command, soft_wrap=True)
            if call.others:
                console.print(Text(f"{INDENT}… and {call.others:,} more, one command each"))


def _unprinted(step: Step, incident: Incident) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the facts of a step that its commands, the verdict and the evidence do not have."""
    printed = {value for call in step.queries for _, value in call.values}
    printed |= {incident.principal, *incident.addresses, *incident.agents}
    roles = {name_of(role) for role in incident.roles.tried} if incident.roles else set()
    for name, values in step.facts:
        if not all(value in printed or name_of(value) in roles for value in values):
            yield in_one_line(name), values


def _evidence(incident: Incident, printed: set[str], *, details: bool) -> Iterator[Fact]:
    """Yield the evidence; fields of alerts' contexts only if their names are not in `printed`."""
    yield "First seen, last seen", [f"{event_time(incident.first)}, {event_time(incident.last)}"]
    yield "Alerts", list(_alerts(incident.alerts))
    mitre = dict.fromkeys(code for alert in incident.alerts for code in alert.metadata.mitre)
    if mitre:
        yield "MITRE ATT&CK", [short(", ".join(mitre))]
    if len(incident.addresses) > 1:
        yield "Addresses", list(map(short, incident.addresses))
    yield from incident.caller.facts
    if incident.roles:
        yield from _roles(incident.roles)
    for alert in incident.alerts if details or not incident.roles else ():
        for name, lines in context_facts(alert):
            if name.strip() not in printed:
                yield name, lines
    for alert in incident.alerts[:1]:
        if alert.reference:
            yield "Reference", [short(alert.reference)]


def _alerts(alerts: Sequence[Alert]) -> Iterator[str]:
    for alert in alerts[:MAX_ALERTS]:
        where = ", ".join(map(short, alert.destinations))
        goes = " goes nowhere" if alert.suppressed else f" goes to {where}" if where else ""
        title, rule = in_one_line(alert.title), in_one_line(alert.metadata.rule_id)
        yield f"{alert.severity} {iso(alert.created_at)} {title} ({rule}){goes}"
    if len(alerts) > MAX_ALERTS:
        yield f"… and {len(alerts) - MAX_ALERTS:,} more"


def _roles(facts: RoleFacts) -> Iterator[Fact]:
    if len(facts.entered) > 1 or (facts.entered and len(facts.tried) > 1):
        yield "Entered", [_success(call) for call in facts.entered]
    failed = [call for call in facts.attempts if call.outcome in FAILED]
    if not failed:
        return
    by_account: dict[str, dict[str, None]] = {}
    for call in failed:
        account = call.role.partition(":")[0]
        by_account.setdefault(account, {})[name_of(call.role)] = None
    lines = []
    for account, names in by_account.items():
        shown = ", ".join(list(names)[:MAX_LINES])
        more = f" and {len(names) - MAX_LINES:,} more" if len(names) > MAX_LINES else ""
        lines.append(f"{in_one_line(shown)}{more} in {account}")
    yield "Failed on", lines
    counts = Counter(f"{call.api} {call.error}".strip() for call in failed)
    yield "Errors", [f"{short(error)}: {count:,}" for error, count in counts.most_common()]


def _success(call: RoleCall) -> str:
    return f"{event_time(call.time)} {call.api} {in_one_line(call.role)}"
