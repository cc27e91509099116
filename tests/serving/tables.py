"""Tables of the documentation that tests generate."""

import os

from tests.builders.events import REPO

DOCUMENT = REPO / "docs" / "serve.md"


def assert_documented(name: str, lines: list[str]) -> None:
    """Assert that the documentation has the table that a test has just generated.

    With WRITE_TABLES=1, the table is written instead.

    Args:
        name: The name of the table, in the comments around it.
        lines: The lines of the table.
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
