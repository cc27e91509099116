"""Runs the tests of attacks and prints how many were tried and withstood, by area.

    python -m tests.attacks [--write]

A test counts once, or as often as its property "tried" says. With --write, the table also replaces
the one in docs/reliability.md.
"""

import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- begin: attacks -->", "<!-- end: attacks -->"
AREAS = {
    "content": "a hostile repository: tested, replayed, uploaded",
    "uploads": "archives, bodies, forged results",
    "serve": "requests, connections, webhooks",
    "lake": "queries that clients send",
    "records": "records, files and folders",
    "rules": "rules, helpers and their key-value store",
    "output": "hostile text in output",
    "processes": "exits, interruptions, leftovers",
    "kills": "killed at any moment",
    "state": "state of other versions, backup, damage",
    "supply": "contents of releases, permissions of workflows",
}


@dataclass
class Area:
    """The counts of one area, and the sum of the seconds of its tests, which run in parallel."""

    tried: int = 0
    held: int = 0
    skipped: int = 0
    seconds: float = 0.0


class Counter:
    """A pytest plugin that counts the reports of tests of attacks."""

    def __init__(self) -> None:
        self.areas: dict[str, Area] = defaultdict(Area)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a report; each test has one for its set-up, its call and its teardown."""
        properties = dict(report.user_properties)
        if "attack" not in properties:
            return
        area = self.areas[str(properties["attack"])]
        area.seconds += report.duration
        number = int(str(properties.get("tried", 1)))
        if report.skipped:
            area.skipped += 1
        elif report.when == "call":
            area.tried += number
            area.held += number * report.passed
        elif report.failed:
            area.tried += 1


def table(areas: dict[str, Area]) -> list[str]:
    """Return the table in Markdown.

    Raises:
        KeyError: A test names an area that is not on the list.
    """
    lines = ["| area | tried | held | seconds |", "|---|---|---|---|"]
    total = Area()
    for name in sorted(areas, key=list(AREAS).index):
        area = areas[name]
        skipped = f" ({area.skipped} skipped)" if area.skipped else ""
        lines.append(
            f"| {name}: {AREAS[name]}{skipped} | {area.tried:,} | {area.held:,}"
            f" | {area.seconds:.0f} |"
        )
        total.tried, total.held = total.tried + area.tried, total.held + area.held
        total.seconds += area.seconds
    return [*lines, f"| all | {total.tried:,} | {total.held:,} | {total.seconds:.0f} |"]


def main() -> int:
    """Run the tests, print the table and return the exit status."""
    counter = Counter()
    options = [argument for argument in sys.argv[1:] if argument != "--write"]
    status = pytest.main(["-m", "attack", "-p", "no:cacheprovider", *options], plugins=[counter])
    found = "\n".join(table(counter.areas))
    print(found)
    if "--write" in sys.argv:
        text = PAGE.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        PAGE.write_text(f"{before}{BEGIN}\n{found}\n{END}{after}", encoding="utf-8")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
