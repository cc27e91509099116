"""A table in a terminal."""

from rich.table import Table


def table(*columns: str) -> Table:
    """Return an empty table; numbers stand right where there are more than two columns."""
    empty = Table(box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        empty.add_column(column, justify="right" if i and len(columns) > 2 else "left")
    return empty
