"""Rows of a query as a table, as CSV and as JSON lines."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from local_panther.json_text import json_text
from local_panther.output.facts import short
from local_panther.text import in_one_line, printable

# What makes a spreadsheet take the text of a cell for a formula:
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", *"＝＋－＠")


def write_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], out: TextIO) -> None:
    """Write rows as CSV (RFC 4180) that a spreadsheet opens without running any of it.

    Args:
        rows: Values by column; what is neither text nor a number is written as JSON.
        columns: Their order.
        out: Where to; its line ends are kept as they are written.
    """
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(map(cell, columns))
    for row in rows:
        writer.writerow([cell(row.get(name)) for name in columns])


def cell(value: Any) -> Any:
    """Return a value as a cell: text that would be a formula gets an apostrophe in front."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        value = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str):
        return value
    # Tabs and line ends are ordinary within a quoted cell.
    text = "".join(char if char in "\t\r" else printable(char) for char in value)
    return f"'{text}" if value.lstrip(" ").startswith(FORMULA_STARTS) else text


def write_json_lines(rows: Iterable[Mapping[str, Any]], out: TextIO) -> None:
    """Write one JSON object a line for each row."""
    for row in rows:
        out.write(json_text(row) + "\n")


def print_rows(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print rows as a table, or as a card for each if the table is too wide to be read."""
    if not rows:
        console.print("no rows")
        return
    columns = list(rows[0])
    widths = [max(map(len, [name, *(_shown(row[name]) for row in rows)])) for name in columns]
    if sum(widths) + 2 * len(widths) <= console.width:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in columns:
            is_number = all(isinstance(row[name], (int, float, type(None))) for row in rows)
            table.add_column(Text(in_one_line(name)), justify="right" if is_number else "left")
        for row in rows:
            table.add_row(*(Text(_shown(row[name])) for name in columns))
        console.print(table)
    else:
        for number, row in enumerate(rows, 1):
            card = Table.grid(padding=(0, 2))
            card.add_column(style="bold", no_wrap=True)
            card.add_column(overflow="fold")
            for name in columns:
                if row[name] not in (None, "", []):
                    card.add_row(Text(in_one_line(name)), Text(_shown(row[name])))
            console.print(Text(f"row {number:,}", style="dim"))
            console.print(card)
    console.print(Text(f"{len(rows):,} row{'s' * (len(rows) != 1)}", style="dim"))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return short(json.dumps(value) if isinstance(value, (list, dict)) else value)
