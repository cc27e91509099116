"""Runs a query once for many sets of parameter values."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlglot import exp

from local_panther.lake.dialect import transpile_sql
from local_panther.lake.lake import Lake
from local_panther.lake.session import NOW

SETTING, NUMBER = "p_setting", "p_number"


def rows_of_each(
    lake: Lake, query: exp.Expr, settings: Sequence[Mapping[str, str]], now: str
) -> list[list[dict[str, Any]]]:
    """Run a query for several settings at once, which takes little longer than for one.

    Args:
        lake: The lake that the query reads.
        query: A result of `parse_sql`.
        settings: Values of its parameters by name; all settings have the same names.
        now: The name of the parameter, an SQL timestamp, that is also the time of the run.

    Returns:
        The rows for each setting, in any order.

    Raises:
        duckdb.Error: The query cannot be run, or not for several settings at once.
        FieldError: A macro has invalid arguments.
        TooManyRowsError: There are more rows in total than a query may return.
    """
    names = list(settings[0])
    columns = {name: exp.column(name, table=SETTING, quoted=True) for name in names}
    inner = transpile_sql(query, columns)
    inner = inner.replace(NOW, f'CAST({SETTING}."{now}" AS TIMESTAMP)')
    unnested = ", ".join(f'UNNEST(${_place(i)}) AS "{name}"' for i, name in enumerate(names))
    values: dict[str, Any] = {
        _place(i): [setting[name] for setting in settings] for i, name in enumerate(names)
    }
    found: list[list[dict[str, Any]]] = [[] for _ in settings]
    for row in lake.query(
        f"SELECT {SETTING}.{NUMBER}, p_found.* "
        f"FROM (SELECT UNNEST(RANGE({len(settings)})) AS {NUMBER}, {unnested}) AS {SETTING}, "
        f"LATERAL ({inner}) AS p_found",
        values=values,
    ):
        found[row.pop(NUMBER)].append(row)
    return found


def _place(number: int) -> str:
    """Return the name of a query parameter for the values of one column."""
    return f"setting_{number}"
