"""Checks of a replay: --expect and --fail-on. Each prints on standard error why it fails."""

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from local_panther.cli.common import UNUSABLE, message, note, write_file
from local_panther.errors import FieldError

if TYPE_CHECKING:
    from local_panther.alerts.expected import Difference, ExpectedAlert
    from local_panther.replay import Outcome


class Severity(StrEnum):
    """Severities of alerts, the least severe first."""

    INFO = "INFO"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"


def expected_in(path: Path, messages: Console) -> "Counter[ExpectedAlert]":
    """Return the alerts that a file expects; exit if the file cannot be used."""
    from local_panther.alerts.expected import read_expected

    try:
        return read_expected(path)
    except FieldError as error:
        messages.print(message(f"--expect: {error}"))
        raise typer.Exit(UNUSABLE) from error


def is_as_expected(
    outcome: "Outcome",
    expected: "Counter[ExpectedAlert]",
    path: Path,
    messages: Console,
    *,
    is_answered: bool,
) -> bool:
    """Print each missing or unexpected alert; return whether the check passed.

    Args:
        outcome: Result of the replay.
        expected: Expected alerts, each with its count.
        path: File of the expected alerts.
        messages: Console to print on.
        is_answered: Whether all of the input was read and all of the content ran; if not, no
            expectation is met.
    """
    from local_panther.alerts.expected import differences, found_alerts

    found = differences(expected, found_alerts(outcome.incidents))
    for difference in found:
        is_known = difference.alert.rule in outcome.signals
        hint = "" if is_known else "; no rule with this ID ran"
        messages.print(message(f"{path}: {_sentence(difference)}{hint}", "red"))
    if not is_answered:
        reason = "not everything was read or run, so no expectation is met"
        messages.print(message(f"{path}: {reason}", "red"))
    elif not found:
        total = expected.total()
        what = f"{total:,} alert{'s' * (total != 1)}" if total else "no alert"
        note(f"{path}: {what}, as expected", messages)
    return is_answered and not found


def write_found(outcome: "Outcome", path: Path, messages: Console, *, is_answered: bool) -> None:
    """Write the alerts of a replay as the file that --expect reads, unless the run was partial."""
    from local_panther.alerts.expected import found_alerts, write_expected

    if is_answered:
        found = found_alerts(outcome.incidents)
        write_file(lambda: write_expected(found, path), path, messages, "expected alerts")
    else:
        messages.print(message(f"{path}: not written: not everything was read or run", "red"))


def is_below(outcome: "Outcome", limit: Severity, messages: Console) -> bool:
    """Return whether every alert is less severe than a limit; print how many are not."""
    severities = list(Severity)
    less_severe = severities[: severities.index(limit)]
    counts = Counter(a.severity for a in outcome.alerts if a.severity not in less_severe)
    shown = [f"{counts[severity]:,} {severity}" for severity in sorted(counts, key=_rank)]
    if shown:
        messages.print(message(f"--fail-on {limit}: found alerts: {', '.join(shown)}", "red"))
    return not shown


def _rank(severity: str) -> int:
    """Return the rank of a severity, 0 for the most severe; -1 for an unknown one."""
    known = list(reversed(Severity))
    return known.index(Severity(severity)) if severity in known else -1


def _sentence(difference: "Difference") -> str:
    alert, expected, found = difference
    kind = "missing" if found < expected else "unexpected"
    who = f"by {alert.principal}" if alert.principal else "without a principal"
    is_one = {expected, found} == {0, 1}
    counts = "" if is_one else f" ({expected:,} expected, {found:,} found)"
    return f"{kind}: {alert.severity} of {alert.rule} {who}{counts}"
