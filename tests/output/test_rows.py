"""Many rows are printed in a terminal with the same text as a few."""

from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from local_panther.output import rows as module
from local_panther.output.rows import print_rows

texts = st.text(max_size=60) | st.sampled_from(["a b " * 30, "x" * 200, "日本 " * 40, "1", ""])
values = texts | st.integers() | st.none() | st.lists(st.integers(), max_size=2)
NAMES = ("name", "user_agent", "日本")
tables = st.lists(st.fixed_dictionaries(dict.fromkeys(NAMES, values)), min_size=1, max_size=4)


def printed(rows, width, many):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MANY_ROWS", many)
        out = StringIO()
        print_rows(rows, Console(file=out, width=width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


@given(tables, st.sampled_from([40, 80, 400]))
def test_many_rows_have_the_text_of_a_few(rows, width):
    assert printed(rows, width, many=0) == printed(rows, width, many=100)
