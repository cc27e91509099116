"""What each principal did with roles, as a table and as rows."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from local_panther.output.terminal import table
from local_panther.roles.principals import described
from local_panther.roles.summary import PrincipalSummary
from local_panther.text import in_one_line
from local_panther.times import clock, iso

COLUMNS = (
    "principal",
    "first",
    "last",
    "roles_tried",
    "roles_failed_on",
    "roles_entered",
    "failures",
    "successes",
    "discoveries",
    "addresses",
    "user_agents",
    "access_keys",
    "regions",
    "left_out",
    "roles_in_window",
    "burst",
    "expected",
    "faults",
)
MAX_ROWS = 20  # of the table
MAX_VALUES = 20  # of one kind in a row; how many there are beside them is said
WIDE = 140  # columns from which the table has more than the counts


def as_row(summary: PrincipalSummary) -> dict[str, Any]:
    """Return everything about a principal as plain JSON."""
    return {
        "principal": summary.principal,
        "first": iso(summary.first),
        "last": iso(summary.last),
        "roles_tried": len(summary.tried),
        "roles_failed_on": len(summary.failed),
        "roles_entered": len(summary.entered),
        "failures": dict(summary.failures),
        "successes": dict(summary.successes),
        "discoveries": summary.discoveries,
        "addresses": _most_common(summary.addresses),
        "user_agents": _most_common(summary.agents),
        "access_keys": _most_common(summary.keys),
        "regions": _most_common(summary.regions),
        "left_out": summary.left_out,
        "roles_in_window": summary.in_window,
        "burst": summary.is_burst,
        "expected": summary.is_expected,
        "faults": dict(summary.faults),
    }


def print_summaries(found: Sequence[PrincipalSummary], console: Console) -> None:
    """Print a table, first those that failed on the most roles."""
    if not found:
        console.print("nobody tried a role or listed roles")
        return
    is_wide = console.width >= WIDE
    names = ["Principal", "Tried", "Failed on", "Entered", "Calls", "From"]
    names += ["Keys", "Regions", "First", "Last"] if is_wide else ["First", "Last"]
    grid = table(*names)
    for column in ("Calls", "From", "Regions"):
        if column in names:
            grid.columns[names.index(column)].justify = "left"
    grid.columns[names.index("Calls")].no_wrap = is_wide
    for summary in found[:MAX_ROWS]:
        form = "%Y-%m-%d %H:%M" if is_wide else "%m-%d %H:%M"
        keys = [f"{len(summary.keys):,}", _first(summary.regions)] if is_wide else []
        who = described(summary.principal)
        who = who if is_wide else who.partition(" (")[0]
        grid.add_row(
            Text(in_one_line(who), overflow="fold"),
            f"{len(summary.tried):,}",
            f"{len(summary.failed):,}",
            f"{len(summary.entered):,}",
            _calls(summary),
            Text(in_one_line(_first(summary.addresses))),
            *keys,
            clock(summary.first, form),
            clock(summary.last, form),
        )
    console.print(grid)
    if len(found) > MAX_ROWS:
        more = f"… and {len(found) - MAX_ROWS:,} more (--format csv or json has all)"
        console.print(Text(more, style="dim"))
    faults = sum((summary.faults for summary in found), Counter[str]())
    if faults:
        codes = ", ".join(f"{in_one_line(code)} {count:,}" for code, count in faults.most_common(5))
        more = f" and {len(faults) - 5:,} more codes" if len(faults) > 5 else ""
        calls = f"{faults.total():,} call{'s' * (faults.total() > 1)}"
        text = f"{calls} with errors that are not known to be about access: {codes}{more}"
        console.print(Text(text, "yellow"))
    if left_out := sum(summary.left_out for summary in found):
        console.print(Text(f"{left_out:,} calls of busy principals are not counted", "yellow"))


def _calls(summary: PrincipalSummary) -> str:
    apis = sorted(summary.failures.keys() | summary.successes.keys())
    counts = [
        f"{api}: {summary.failures[api]:,} failed, {summary.successes[api]:,} ok" for api in apis
    ]
    if summary.discoveries:
        counts.append(f"listed roles: {summary.discoveries:,}")
    return "\n".join(counts)


def _first(counts: Counter[str]) -> str:
    if not counts:
        return ""
    more = f" +{len(counts) - 1}" if len(counts) > 1 else ""
    return f"{counts.most_common(1)[0][0]}{more}"


def _most_common(counts: Counter[str]) -> dict[str, int]:
    """Return the counts of the most frequent values; the others are one entry, "(others)"."""
    shown = dict(counts.most_common(MAX_VALUES))
    others = sum(counts.values()) - sum(shown.values())
    return shown | ({"(others)": others} if others else {})
