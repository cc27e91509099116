"""Prints what each principal did with roles as a table, and converts it to rows."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from local_panther.output.tables import table
from local_panther.roles.principals import names_apart
from local_panther.roles.summary import PrincipalSummary, Summary
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
    "entered",
    "failed_on",
    "own_sessions",
)
MAX_ROWS = 20  # rows of the table
MAX_VALUES = 20  # values in a column of a row; the count of the others is kept
MAX_ROLES = 10  # roles in a line of the table
NOT_LOOKED_AT = "Not looked at: console sign-ins, created access keys, what sessions did afterwards"


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
        "entered": sorted(summary.entered),
        "failed_on": sorted(summary.failed),
        "own_sessions": dict(summary.sessions),
    }


def print_summary(summary: Summary, console: Console) -> None:
    """Print what each principal did, in the order of the summary: most failed roles first."""
    found = summary.principals
    if found:
        console.print(_grid(found[:MAX_ROWS]))
    else:
        console.print("nobody tried a role or listed roles")
    if len(found) > MAX_ROWS:
        more = f"… and {len(found) - MAX_ROWS:,} more (--format csv or json has all)"
        console.print(Text(more, style="dim"))
    faults = sum((principal.faults for principal in found), Counter[str]())
    if faults:
        codes = ", ".join(f"{in_one_line(code)} {count:,}" for code, count in faults.most_common(5))
        more = f" and {len(faults) - 5:,} more codes" if len(faults) > 5 else ""
        calls = f"{faults.total():,} call{'s' * (faults.total() > 1)}"
        text = f"{calls} with errors that are not known to be about access: {codes}{more}"
        console.print(Text(text, "yellow"))
    if left_out := sum(principal.left_out for principal in found):
        console.print(Text(f"{left_out:,} calls of busy principals are not counted", "yellow"))


def limits(summary: Summary) -> str:
    """Return a line on what a summary leaves out: kinds of events, and calls on roles by kind."""
    counts = summary.passed_over.most_common()
    others = ", ".join(f"{count:,} call{'s' * (count > 1)} on roles {who}" for who, count in counts)
    return f"{NOT_LOOKED_AT}{'; not counted: ' * bool(others)}{others}"


def _grid(found: Sequence[PrincipalSummary]) -> Table:
    """Return a table that fits any width: all but the counts is in one column that wraps."""
    grid = table("Tried", "Failed on", "Entered", "Principal")
    grid.columns[0].justify = "right"
    grid.columns[3].justify = "left"
    names = names_apart(summary.principal for summary in found)
    for summary in found:
        lines = [names[summary.principal], *_lines(summary)]
        grid.add_row(
            f"{len(summary.tried):,}",
            f"{len(summary.failed):,}",
            f"{len(summary.entered):,}",
            Text("\n").join(
                Text(in_one_line(line), "dim" * bool(i)) for i, line in enumerate(lines)
            ),
        )
    for column in grid.columns[:3]:
        column.no_wrap = True
    grid.columns[3].overflow = "fold"
    return grid


def _lines(summary: PrincipalSummary) -> Iterator[str]:
    """Yield lines on the times, addresses, keys, calls and roles of a principal."""
    keys = f"{len(summary.keys):,} key{'s' * (len(summary.keys) > 1)}"
    where = [
        f"from {_first(summary.addresses)}" * bool(summary.addresses),
        _first(summary.regions),
        keys * bool(summary.keys),
    ]
    yield ", ".join(filter(None, (_when(summary.first, summary.last), *where)))
    yield "; ".join(_calls(summary))
    for what, roles in (("entered", summary.entered), ("failed on", summary.failed)):
        if roles:
            yield f"{what} {_named(roles)}"


def _when(first: float, last: float) -> str:
    begin, end = (clock(time, "%Y-%m-%d %H:%M") for time in (first, last))
    is_same_day = begin.partition(" ")[0] == end.partition(" ")[0]
    end = end.partition(" ")[2] if is_same_day else end
    return begin if begin.endswith(end) else f"{begin} to {end}"


def _calls(summary: PrincipalSummary) -> Iterator[str]:
    for api in sorted(summary.failures.keys() | summary.successes.keys()):
        yield f"{api}: {summary.failures[api]:,} failed, {summary.successes[api]:,} ok"
    for api, count in sorted(summary.sessions.items()):
        yield f"{api} (rights of its own, no role): {count:,} ok"
    if summary.discoveries:
        yield f"listed roles: {summary.discoveries:,}"
    if summary.faults:
        yield f"other errors: {summary.faults.total():,}"


def _named(roles: Collection[str]) -> str:
    """Return the names of roles by account, as "A, B in 123456789012"; at most MAX_ROLES."""
    shown = sorted(roles)[:MAX_ROLES]
    parts = [
        f"{', '.join(map(_name, keys))} in {account}"
        for account, keys in groupby(shown, lambda key: key.partition(":")[0])
    ]
    more = len(roles) - len(shown)
    return "; ".join(parts) + (f" and {more:,} more" if more else "")


def _name(key: str) -> str:
    kind, _, name = key.partition(":")[2].partition("/")
    return {"root": "the root user", "permission-set": f"permission set {name}"}.get(kind, name)


def _first(counts: Counter[str]) -> str:
    if not counts:
        return ""
    more = f" +{len(counts) - 1}" if len(counts) > 1 else ""
    return f"{counts.most_common(1)[0][0]}{more}"


def _most_common(counts: Counter[str]) -> dict[str, int]:
    """Return the counts of the most frequent values, and the sum of the others as "(others)"."""
    shown = dict(counts.most_common(MAX_VALUES))
    others = sum(counts.values()) - sum(shown.values())
    return shown | ({"(others)": others} if others else {})
