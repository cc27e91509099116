"""One query with many settings of its parameters, in one run."""

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
    """Run a query for each of several settings; together takes little longer than for one.

    Args:
        lake: What it reads.
        query: From `parse_sql`.
        settings: Values of its parameters by name; the names are the same in all of them.
        now: The name of the one that is the time of the run too, as an SQL timestamp.

    Returns:
        The rows for each setting, in no order of their own.

    Raises:
        duckdb.Error: The query cannot be run, or not for several settings at once.
        FieldError: A macro has invalid arguments.
        TooManyRowsError: All of them together have more rows than are taken.
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
    """Return the name of a bound value."""
    return f"setting_{number}"
