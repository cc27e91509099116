"""Facts about alerts and runs in words, for the terminal and the report."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from local_panther.alerts.rule_errors import noisy_rules
from local_panther.content.left_out import problem_lines, summary_lines, unread_line
from local_panther.text import in_one_line, short
from local_panther.times import iso, span

if TYPE_CHECKING:  # commands that make no alerts need not import these modules
    from local_panther.alerts.model import Alert
    from local_panther.records.model import Tally
    from local_panther.replay import Outcome

Fact = tuple[str, list[str]]

# What an instance does if a function raises on a match. Source: panther_core's batch mode.
INSTEAD = {
    "title": "takes the rule's ID",
    "dedup": "groups all such matches as one",
    "unique": "counts no value for the threshold",
    "severity": "takes the rule's Severity",
    "destinations": "takes those of the rule's YAML",
    "alert_context": "puts the error in its place",
    "description": "takes the rule's Description",
    "runbook": "takes the rule's Runbook",
    "reference": "takes the rule's Reference",
}

# Already shown above the context, or noise to a person; JSON output has everything.
ALREADY_SHOWN = {"sourceIPAddress", "awsRegion", "recipientAccountId", "eventSource"}


def alert_facts(alert: "Alert") -> Iterator[Fact]:
    """Yield name and lines of each fact that an analyst wants first about an alert."""
    yield "Rule", [in_one_line(f"{alert.metadata.rule_id} ({alert.metadata.display_name})")]
    yield "Alert at", [iso(alert.created_at)]
    if alert.suppressed:
        yield "Goes to", ["nowhere: destinations() returned none"]
    elif alert.destinations:
        yield "Goes to", [short(name) for name in alert.destinations]
    length = f" to {iso(alert.last)} ({span(alert.last - alert.first)})"
    what = f"{alert.event_count} from {iso(alert.first)}"
    yield "Events", [what + (length if alert.last > alert.first else "")]
    identity = alert.event.get("userIdentity")
    identity = identity if isinstance(identity, Mapping) else {}
    who = identity.get("arn") or identity.get("invokedBy")
    names = ("sourceIPAddress", "awsRegion", "recipientAccountId")
    where = ", ".join(str(alert.event[name]) for name in names if alert.event.get(name))
    yield from ((name, [short(text)]) for name, text in (("Who", who), ("Where", where)) if text)
    yield from context_facts(alert)


def reading_facts(tally: "Tally") -> Iterator[tuple[str, str]]:
    """Yield name and value of each count of files and records."""
    yield "files", f"{tally.files:,}"
    yield "records", f"{tally.records:,}"
    if tally.first is not None and tally.last is not None:
        length = span(tally.last - tally.first)
        yield "from, to", f"{iso(tally.first)}, {iso(tally.last)} ({length})"
    yield "duplicates dropped", f"{tally.duplicates:,}"
    yield "looked at by rules", f"{tally.wanted:,}"
    if tally.outside:
        yield "outside --from and --to", f"{tally.outside:,} of those looked at"
    if tally.late:
        yield "out of order beyond the buffer", f"{tally.late:,}"
    for kind, count in sorted(tally.other.items()):
        yield f"not CloudTrail: {kind}", f"{count:,}"
    for reason, count in sorted(tally.skipped.items()):
        yield in_one_line(f"skipped: {reason}"), f"{count:,}"


def detection_facts(outcome: "Outcome") -> Iterator[tuple[str, int, int, int]]:
    """Yield rule ID and numbers of signals, alerts and errors of each rule that ran."""
    made = [alert.metadata.rule_id for alert in outcome.alerts]
    names = sorted(outcome.signals.keys() | outcome.errors.counts.keys())
    for rule_id in names:
        errors = outcome.errors.counts.get(rule_id, 0)
        signals = outcome.signals.get(rule_id, 0)
        yield in_one_line(rule_id), signals, made.count(rule_id), errors


def notes(outcome: "Outcome") -> Iterator[tuple[str, str]]:
    """Yield style and line of all that was left out ("dim") or went wrong ("warning")."""
    content = outcome.content
    yield from (("dim", line) for line in summary_lines(content.left_out))
    yield from (("warning", line) for line in problem_lines(content.left_out))
    if line := unread_line(content.unread):
        yield "dim", line
    if content.unreadable:
        count, first = len(content.unreadable), content.unreadable[0]
        yield "dim", f"not opened: {count:,} named pipes, sockets or devices, such as {first}"
    for problem in outcome.tally.problems:
        yield "warning", f"not read: {problem}"
    if outcome.tally.untold:
        yield "warning", f"not read: {outcome.tally.untold:,} more"
    yield from (("warning", line) for line in noisy_rules(outcome.alerts))
    yield from (("warning", line) for line in _late_lines(outcome))
    yield from (("warning", line) for line in _swallowed_lines(outcome))
    for problem in outcome.errors.examples:
        yield "warning", f"error: {problem}"
    if outcome.interrupted:
        yield "warning", "interrupted: the rest was not read"


def _swallowed_lines(outcome: "Outcome") -> Iterator[str]:
    """Yield a line for each function that raised on matches; an instance does not report these."""
    for (rule_id, function), raised in outcome.errors.swallowed.items():
        matches = outcome.signals.get(rule_id, 0)
        of = f"{raised.count:,} of {matches:,} match{'es' * (matches != 1)}"
        text = f"{rule_id}: {function}() raised {raised.message} on {of}"
        yield in_one_line(f"{text}; an instance {INSTEAD[function]}, and does not say so")


def _late_lines(outcome: "Outcome") -> Iterator[str]:
    """Yield a line for each correlation rule with signals that arrived too late."""
    for rule in outcome.content.correlation_rules:
        rule_id = rule.metadata.rule_id
        if count := outcome.late_signals.get(rule_id, 0):
            signals = f"{count:,} signal{'s' * (count != 1)} arrived too late to be paired"
            minutes = rule.logic.lookback // 60
            yield f"{in_one_line(rule_id)}: {signals}: its lookback is {minutes:,} minutes"


def context_facts(alert: "Alert") -> Iterator[Fact]:
    """Yield name and lines of the fields of an alert's context."""
    if not alert.is_correlation:
        yield from _flat(alert.context)
        return
    for step, context in alert.context.items():
        count = alert.signals.get(step, 0)
        yield in_one_line(step), [f"{count} signal{'s' * (count != 1)}; the latest one's context:"]
        yield from ((f"  {name}", lines) for name, lines in _flat(context))


def _flat(context: Mapping[str, Any]) -> Iterator[Fact]:
    for name, value in context.items():
        if name in ALREADY_SHOWN or value in (None, "", [], {}):
            continue
        if isinstance(value, list):
            yield in_one_line(name), [short(entry) for entry in value]
        elif isinstance(value, Mapping):
            scalars = {k: v for k, v in value.items() if not isinstance(v, (Mapping, list))}
            yield (
                in_one_line(name),
                [short("  ".join(f"{key}={entry}" for key, entry in scalars.items()))],
            )
        else:
            yield in_one_line(name), [short(value)]
