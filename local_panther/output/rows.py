"""Prints rows of a query as a table, and writes them as CSV and as JSON lines."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Literal, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from local_panther.json_text import json_text
from local_panther.text import in_one_line, printable, short

MANY_ROWS = 50  # more rows are printed without styles

# A spreadsheet runs a cell as a formula if it begins with one of these. Source:
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", *"＝＋－＠")


def write_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], out: TextIO) -> None:
    """Write rows as CSV (RFC 4180) that a spreadsheet opens without running any formula.

    Args:
        rows: Values by column; values other than text and numbers are written as JSON.
        columns: Names of the columns, in order.
        out: Text stream to write to; it must not translate line ends.
    """
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(map(cell, columns))
    for row in rows:
        writer.writerow([cell(row.get(name)) for name in columns])


def cell(value: Any) -> Any:
    """Return a value as a cell: text that would be a formula gets a leading apostrophe."""
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
    """Print rows as a table, or one card per row if the table would be wider than the console.

    Many rows are printed as the same text without styles, since Rich takes milliseconds per row.
    """
    if not rows:
        console.print("no rows")
        return
    columns = list(rows[0])
    widths = [max(map(len, [name, *(_shown(row[name]) for row in rows)])) for name in columns]
    is_table = sum(widths) + 2 * len(widths) <= console.width
    if len(rows) > MANY_ROWS:
        lines = _plain_table(rows) if is_table else _plain_cards(rows, console)
        console.out("\n".join(line.rstrip() for line in lines), highlight=False)
    elif is_table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in columns:
            table.add_column(Text(in_one_line(name)), justify=_side(name, rows))
        for row in rows:
            table.add_row(*(Text(_shown(row[name])) for name in columns))
        console.print(table)
    else:
        for number, row in enumerate(rows, 1):
            card = Table.grid(padding=(0, 2))
            card.add_column(style="bold", no_wrap=True)
            card.add_column(overflow="fold")
            for name, value in _filled(row):
                card.add_row(Text(name), Text(value))
            console.print(Text(f"row {number:,}", style="dim"))
            console.print(card)
    console.print(Text(f"{len(rows):,} row{'s' * (len(rows) != 1)}", style="dim"))


def _side(name: str, rows: Sequence[Mapping[str, Any]]) -> Literal["left", "right"]:
    is_number = all(isinstance(row[name], (int, float, type(None))) for row in rows)
    return "right" if is_number else "left"


def _filled(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return names and values of a card, without the empty ones."""
    return [
        (in_one_line(name), _shown(value))
        for name, value in row.items()
        if value not in (None, "", [])
    ]


def _plain_table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    names = list(rows[0])
    sides = [_side(name, rows) for name in names]
    table = [[in_one_line(name) for name in names]]
    table += [[_shown(row[name]) for name in names] for row in rows]
    widths = [max(map(cell_len, cells)) for cells in zip(*table, strict=True)]
    for line in table:
        cells = zip(line, widths, sides, strict=True)
        yield "  ".join(_padded(text, width, side) for text, width, side in cells)


def _plain_cards(rows: Sequence[Mapping[str, Any]], console: Console) -> Iterator[str]:
    for number, row in enumerate(rows, 1):
        yield f"row {number:,}"
        fields = _filled(row)
        width = max((cell_len(name) for name, _ in fields), default=0)
        room = max(console.width - width - 2, 1)
        for name, value in fields:
            lines = [value]
            if cell_len(value) > room:
                folded = Text(value).wrap(console, room, overflow="fold")
                lines = [line.plain for line in folded]
            for left, line in zip_longest([name], lines, fillvalue=""):
                yield f"{_padded(left, width)}  {line}"


def _padded(text: str, width: int, side: Literal["left", "right"] = "left") -> str:
    blank = " " * (width - cell_len(text))
    return blank + text if side == "right" else text + blank


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return short(json.dumps(value) if isinstance(value, (list, dict)) else value)
