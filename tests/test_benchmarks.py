"""The figures in docs/scale.md equal those that the benchmarks measure."""

import re

import pytest

from benchmarks import scale
from tests.builders.events import REPO

pytestmark = pytest.mark.process


def published(row: str) -> float:
    """Return the first number of bytes in a row of a table of docs/scale.md."""
    (line,) = re.findall(rf"^\| {row} \|.*", (REPO / "docs/scale.md").read_text(), re.MULTILINE)
    return float(re.search(r"([\d,]+) bytes", line)[1].replace(",", ""))


def test_the_memory_of_a_listed_file_is_as_published():
    measured = scale._memory(scale._listed) / scale.LISTED
    assert abs(measured - published("files")) < 0.1 * measured
