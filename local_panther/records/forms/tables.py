"""Reads tables in JSON, as the APIs of query engines return them.

The names of the columns are one list and each row is another (Athena, Redshift, Snowflake, Trino),
or a row is a list of its fields (CloudTrail Lake, CloudWatch Logs Insights), or a column is a list
of its values (pandas).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import simdjson

from local_panther.records.forms.columns import Columns

NAME_KEYS = ("name", "field", "key", "column", "label")
NULL_KEYS = ("isNull",)  # Redshift
MAX_COLUMNS = 2000
MAX_DEPTH = 4  # from the object around a table to its columns and rows

Row = Mapping[str, Any]


def is_list(value: Any) -> bool:
    """Return whether a value is a list, of either parser."""
    return isinstance(value, (list, simdjson.Array))


def is_object(value: Any) -> bool:
    """Return whether a value is a JSON object, of either parser."""
    return isinstance(value, (dict, simdjson.Object))


def plain(value: Any) -> Any:
    """Return a value of simdjson as plain Python; any other value unchanged."""
    if isinstance(value, simdjson.Array):
        return value.as_list()
    return value.as_dict() if isinstance(value, simdjson.Object) else value


def row_of_fields(fields: Any) -> Row | None:
    """Return the row that a list of fields represents; None for any other list.

    `[{"field": "eventName", "value": "ListRoles"}, …]` or `[{"eventName": "ListRoles"}, …]`.
    """
    if not 1 < len(fields) <= MAX_COLUMNS or not all(is_object(field) for field in fields):
        return None
    row: dict[str, Any] = {}
    for field in map(plain, fields):
        named = {name.lower(): value for name, value in field.items()}
        name = next((named[key] for key in NAME_KEYS if isinstance(named.get(key), str)), None)
        if name is not None and len(named) == 2 and "value" in named:
            value = named["value"]
        elif len(field) == 1:
            ((name, value),) = field.items()
            if is_list(value) or is_object(value):
                return None
        else:
            return None
        if name in row:
            return None
        row[name] = value
    return row


def rows_of_table(value: Any) -> list[Row]:
    """Return the rows of the table in an object; an empty list if there is none."""
    lists = [found for found in _lists(value, MAX_DEPTH) if len(found)]
    headers = [names for found in lists if (names := _header(found)) and _fits(names)]
    for names in headers:
        for found in lists:
            cells = [_cells(row) for row in found]
            rows = [row for row in cells if row is not None and len(row) == len(names)]
            if rows and len(rows) == len(cells):
                return [dict(zip(names, row, strict=True)) for row in rows]
    for found in lists:  # the names are the first row
        first = _cells(found[0]) or []
        if len(first) > 1 and all(isinstance(name, str) for name in first) and _fits(first):
            others = [_cells(row) or [] for row in list(found)[1:]]
            return [dict(zip(first, row, strict=False)) for row in others]
    return []


def _fits(names: list[str]) -> bool:
    return Columns(names).is_cloudtrail


def rows_of_columns(value: Mapping[str, Any]) -> list[Row]:
    """Return the rows of an object whose fields are columns: lists, or values by row."""
    columns = {name: _column(column) for name, column in value.items()}
    if not columns or any(column is None for column in columns.values()):
        return []
    if not Columns(columns).is_cloudtrail:
        return []
    numbers = {number: None for column in columns.values() for number in column or {}}
    return [{name: (column or {}).get(n) for name, column in columns.items()} for n in numbers]


def _column(value: Any) -> Mapping[Any, Any] | None:
    if is_list(value):
        return dict(enumerate(value))
    return plain(value) if is_object(value) else None


def _lists(value: Any, depth: int) -> Iterator[Any]:
    """Yield the lists in an object and in the objects inside it."""
    if is_list(value):
        yield value
    elif is_object(value) and depth:
        for inner in value.values():
            yield from _lists(inner, depth - 1)


def _header(entries: Any) -> list[str]:
    """Return the column names in a list; an empty list if it is not a list of names."""
    if not 1 < len(entries) <= MAX_COLUMNS:
        return []
    names = [_column_name(entry) for entry in entries] if _column_name(entries[0]) else []
    return names if all(names) else []


def _column_name(entry: Any) -> str:
    """Return the name of a column: a text, or the name in an object; "" if it is not a column."""
    if isinstance(entry, str):
        return entry
    if not is_object(entry):
        return ""
    named = {key.lower(): value for key, value in entry.items()}
    if "value" in named:
        return ""  # a cell
    found = next((named[key] for key in NAME_KEYS if isinstance(named.get(key), str)), "")
    return str(found)


def _cells(row: Any) -> list[Any] | None:
    """Return the cells of a row; None if it is not one.

    `["ListRoles", …]`, `{"Data": [{"VarCharValue": "ListRoles"}, …]}` or `{"f": [{"v": …}]}`.
    """
    if is_object(row) and len(row) == 1:
        (row,) = row.values()
    return [_cell(plain(cell)) for cell in row] if is_list(row) else None


def _cell(cell: Any) -> Any:
    if isinstance(cell, dict) and len(cell) <= 1:
        return next((None if name in NULL_KEYS else v for name, v in cell.items()), None)
    return cell
