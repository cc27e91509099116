"""Tables of the documentation that tests make."""

import os

from tests.builders.events import REPO

DOCUMENT = REPO / "docs" / "serve.md"


def assert_documented(name: str, lines: list[str]) -> None:
    """Assert that the documentation has a table as it was just found.

    With WRITE_TABLES=1 it is written instead.

    Args:
        name: Of the table, in the comments around it.
        lines: Its lines.
    """
    text = DOCUMENT.read_text(encoding="utf-8")
    begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->"
    before, _, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    assert found_end, f"{DOCUMENT} has no table {name}"
    found = before + begin + "\n".join(lines) + "\n" + end + after
    if os.environ.get("WRITE_TABLES"):
        DOCUMENT.write_text(found, encoding="utf-8")
    assert DOCUMENT.read_text(encoding="utf-8") == found, "run the test with WRITE_TABLES=1"
