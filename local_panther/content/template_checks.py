"""Finds queries that import macros missing from their repository.

panther_analysis_tool does not render templates, so that its tests pass nevertheless.
"""

from collections.abc import Iterator
from pathlib import Path

import yaml

from local_panther.content.files import files_with
from local_panther.content.sql_text import QueryTexts
from local_panther.errors import Problem

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may be built without libyaml
SQL_KEYS = ("SnowflakeQuery", "Query")
BLOCK_STYLES = ("|", ">")  # YAML styles whose text begins on the next line


def check_imports(folder: Path) -> list[Problem]:
    """Return a problem, with file and line, for each import that does not exist.

    Args:
        folder: The root of a content repository.
    """
    queries = {name: (path, sql) for name, path, sql in _queries(folder)}
    texts = QueryTexts({name: sql.value for name, (_, sql) in queries.items()})
    return [
        Problem(f"{path.relative_to(folder)}:{_line(sql, line)}", message)
        for path, sql in queries.values()
        for line, message in texts.missing_imports(sql.value)
    ]


def _queries(folder: Path) -> Iterator[tuple[str, Path, yaml.ScalarNode]]:
    """Yield the name, file and text of each query that has template syntax."""
    for path in files_with(folder, ".yml", ".yaml"):
        try:
            text = path.read_text(encoding="utf-8")
            root = yaml.compose(text, Loader=LOADER) if "{%" in text else None
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue  # reported when the content is loaded
        if isinstance(root, yaml.MappingNode):
            values = {key.value: value for key, value in root.value}
            sql = next((values[key] for key in SQL_KEYS if key in values), None)
            if isinstance(sql, yaml.ScalarNode) and "QueryName" in values:
                yield values["QueryName"].value, path, sql


def _line(sql: yaml.ScalarNode, line: int) -> int:
    """Return the line of a file that holds a line of its query."""
    first = sql.start_mark.line + 1
    return first + line if sql.style in BLOCK_STYLES else first
