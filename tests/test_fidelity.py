"""The table of docs/fidelity.md: each behaviour has a source, a confidence and tests that exist."""

import ast
import re

import pytest

from tests.builders.events import REPO

PAGE = REPO / "docs" / "fidelity.md"
ROWS = [
    [cell.strip() for cell in line.strip("| \n").split(" | ")]
    for line in PAGE.read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| behaviour")
]


def names_of(file):
    """Return the tests of a module and its classes of tests."""
    nodes = ast.parse(file.read_text()).body
    return {n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef))}


def test_the_table_has_rows():
    assert len(ROWS) > 25


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_a_row_has_a_source_a_confidence_and_tests_that_exist(row):
    behaviour, source, confidence, tests = row
    assert behaviour and source
    assert re.match(r"(high|medium|low|by design)\b", confidence)
    named = re.findall(r"`([^`]+)`", tests)
    assert named and re.sub(r"`[^`]+`|, ", "", tests) == ""
    for test in named:
        path, _, name = test.partition("::")
        assert name in names_of(REPO / "tests" / path), test
