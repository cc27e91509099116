"""Tables in a terminal."""

from rich.table import Table


def table(*columns: str) -> Table:
    """Return an empty table; with three or more columns, all but the first are right-aligned."""
    empty = Table(box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        empty.add_column(column, justify="right" if i and len(columns) > 2 else "left")
    return empty
