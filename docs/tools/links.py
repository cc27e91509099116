"""A hook of mkdocs that turns links to files outside the site into text."""

import re

OUTSIDE = re.compile(
    r"\[([^\]]+)\]\((?:\.\./)+(?!docs/)((?:[a-z_]+/|[A-Z]+\.md|Makefile|\.)[^)]*)\)"
)
FOLDERS = ("benchmarks/", "correlation_rules/", "data_models/", "examples/", "global_helpers/")
FOLDERS += ("local_panther/", "queries/", "rules/", "tests/", ".github/", "CONTRIBUTING.md")
FOLDERS += ("SECURITY.md", "README.md", "CHANGELOG.md", "action.yml")


def on_page_markdown(markdown: str, **_: object) -> str:
    """Return the text of a page in which names of files replace the links to them."""
    return OUTSIDE.sub(lambda link: link[1] if link[2].startswith(FOLDERS) else link[0], markdown)
