"""Tests that queries can call only listed functions, with each of DuckDB's own functions."""

import re

import duckdb
import pytest

from local_panther.errors import FieldError
from local_panther.lake.ad_hoc import prepare
from local_panther.lake.columns import TABLES

pytestmark = pytest.mark.attack("lake")
FORMS = ("SELECT * FROM {}()", "SELECT * FROM {}('x')", "SELECT (SELECT 1 FROM {}('x', 1))")
PLACES = ("SELECT * FROM TABLE({}('x'))", "SELECT * FROM aws_cloudtrail, LATERAL {}('x') AS f")


def names(kind: str) -> list[str]:
    found = duckdb.sql(
        f"SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = '{kind}'"
    ).fetchall()
    return sorted(name for (name,) in found if name.isidentifier())


@pytest.mark.parametrize("form", (*FORMS, *PLACES))
def test_no_function_can_be_used_as_a_table(form, record_property):
    found = names("table")
    record_property("tried", len(found))
    assert {"read_csv", "duckdb_settings", "glob", "query"} <= {*found}
    for name in found:
        if name in ("flatten", "unnest"):  # the listed ones
            continue
        with pytest.raises(FieldError):
            prepare(form.format(name), "panther_logs", TABLES)


@pytest.mark.parametrize("kind", ["pragma", "scalar", "macro"])
def test_no_function_that_reveals_the_machine_can_be_called(kind, record_property):
    telling = ("setting", "duckdb", "getenv", "variable", "version", "current_", "pg_", "txid")
    found = [name for name in names(kind) if any(word in name for word in telling)]
    record_property("tried", len(found))
    for name in found:
        for form in ("SELECT {}()", "SELECT {}('x')", "SELECT 1 WHERE {}('x') = 'y'"):
            try:
                text = prepare(form.format(name), "panther_logs", TABLES)
            except FieldError:
                continue
            called = re.sub('"[^"]*"', "", text.lower())  # without the names of columns
            assert f"{name}(" not in called, text
