"""Runs the benchmarks and prints a table, or JSON."""

import argparse
import dataclasses
import importlib
import json
import sys

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Figure

SECTIONS = (
    "rule_cost",
    "replay",
    "start",
    "whole_content",
    "queries",
    "scale",
    "added_fields",
    "key_value_store",
    "floods",
    "command_time",
    "engineers_loop",
    "follow",
    "console",
    "latency",
)


def main() -> None:
    """Run the requested sections."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--json", action="store_true", help="print one object a line")
    parser.add_argument(
        "--records", type=int, default=2_000_000, help="records of the largest replay"
    )
    options = parser.parse_args()
    unknown = set(options.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    missed = 0
    for section in options.sections or SECTIONS:
        figures = importlib.import_module(f"benchmarks.{section}").measure(options.records)
        missed += sum(not figure.met for figure in figures)
        if options.json:
            for figure in figures:
                print(json.dumps({"section": section, **dataclasses.asdict(figure)}), flush=True)
        else:
            Console(width=130).print(_table(section, figures))
    sys.exit(1 if missed else 0)


def _table(section: str, figures: list[Figure]) -> Table:
    table = Table(title=section, title_justify="left", box=None, header_style="bold")
    for i, name in enumerate(("", "ours", "unit", "beside", "ratio", "goal", "")):
        table.add_column(name, justify="right" if i in (1, 3, 4) else "left")
    for f in figures:
        ratio = f"{f.ratio:.2f}" if f.ratio is not None else ""
        beside = _number(f.beside) if f.beside is not None else ""
        met = ("met" if f.met else "MISSED") if f.goal else ""
        table.add_row(f.name, _number(f.value), f.unit, beside, ratio, f.goal, met)
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


if __name__ == "__main__":
    main()
