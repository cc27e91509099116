"""Reads and checks the SQL of saved and scheduled queries: one idea of what a valid one is.

What a query means to a database is beyond this folder: who loads content hands over a check of
parsed queries, `local_panther.lake.preparing`.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from local_panther.content.items import ClassifiedAnalysis
from local_panther.content.log_types import managed_log_types
from local_panther.content.sql_text import QueryTexts, has_statements, is_template
from local_panther.errors import FieldError, LineError
from local_panther.remembered import remember, remembered

if TYPE_CHECKING:
    from sqlglot import exp

SQL_FIELDS = ("SnowflakeQuery", "Query")
OTHER_FIELDS = ("DatabricksQuery", "AthenaQuery")  # queries in the SQL of other databases
ELSEWHERE = "reads other tables"
LINE = re.compile(r"(\w+): line (\d+): (.*)", re.DOTALL)
ALIKE = 0.85  # tables whose names are as like that of CloudTrail are mistyped


class QueryCheck(Protocol):
    """A check of queries against the tables that they read."""

    def knows(self, text: str) -> bool:
        """Return whether a query with this text was right before."""

    def check(self, query: "exp.Query", text: str) -> None:
        """Check a query.

        Args:
            query: Parsed.
            text: From which it was parsed.

        Raises:
            FieldError: It cannot be run.
        """


Checks = Callable[[], AbstractContextManager[QueryCheck]]


class _Unchecked:
    """Accepts every query."""

    def knows(self, text: str) -> bool:
        return False

    def check(self, query: "exp.Query", text: str) -> None:
        pass


@contextmanager
def unchecked() -> Iterator[QueryCheck]:
    """Yield a check that accepts every query."""
    yield _Unchecked()


def sql_field(spec: Mapping[str, Any]) -> str | None:
    """Return the key of a query's SQL; None if it is in another language."""
    return next((key for key in SQL_FIELDS if key in spec), None)


def text_field(spec: Mapping[str, Any]) -> str:
    """Return the key of a query's text, in SQL if it has one."""
    return next(key for key in (*SQL_FIELDS, *OTHER_FIELDS) if key in spec)


def read_query(item: ClassifiedAnalysis, texts: QueryTexts, check: QueryCheck) -> str | None:
    """Return the text of a query that can be run; None if it reads other tables than CloudTrail.

    Args:
        item: A saved or scheduled query in SQL.
        texts: The texts of all queries, which a template may import from.
        check: Raises an error for a query that cannot be run. It is not asked about a query that
            is not enabled, or that is not returned.

    Raises:
        FieldError: It is invalid; the message names the key, and the line of the file if it is
            known.
    """
    spec = item.analysis_spec
    key = sql_field(spec)
    assert key is not None
    text = spec[key]
    try:
        plain = texts.rendered(text)
        if is_template(text) and not has_statements(plain):
            return None  # macros for other templates
        if check.knows(plain):
            return plain
        query = _over_cloudtrail(plain) if remembered(ELSEWHERE, plain) is None else None
        if query is None:
            remember(ELSEWHERE, {plain: ""})
            return None
        if spec.get("Enabled", True):
            check.check(query, plain)
    except LineError as error:
        line = _line_in_text(text, plain, error.line)
        if line is None:
            where = f" (line {error.line} of what the template becomes)" if error.line else ""
            raise FieldError(f"{key}: {error.text}{where}") from error
        message = located(f"{key}: line {line}: {error.text}", Path(item.file_name))
        raise FieldError(message) from error
    except FieldError as error:
        raise FieldError(f"{key}: {error}") from error
    return plain


def _over_cloudtrail(text: str) -> "exp.Query | None":
    """Parse a query; None if it reads other tables than CloudTrail, or none."""
    from sqlglot import exp

    from local_panther.content.sql import other_tables, parse_sql

    query = parse_sql(text)
    others = other_tables(query)
    for table in others:
        _check_spelling(table)
    return None if others or not query.find(exp.Table) else query


def _check_spelling(table: "exp.Table") -> None:
    """Refuse a table that is meant to be CloudTrail's."""
    from local_panther.content.sql import CLOUDTRAIL

    name = table.name.lower()
    known = {log_type.lower().replace(".", "_") for log_type in managed_log_types()}
    near = difflib.SequenceMatcher(None, name, CLOUDTRAIL).ratio() >= ALIKE
    if near and name not in known and name != CLOUDTRAIL:
        line = min(
            (part.meta["line"] for part in table.walk() if "line" in part.meta), default=None
        )
        raise LineError(line, f"there is no table {table.name}: did you mean {CLOUDTRAIL}?")


def located(message: str, path: Path) -> str:
    """Return a message with the line of a file, where it names that of the query in it.

    Args:
        message: From `read_query`, which knew another file with the same query.
        path: The file.
    """
    found = LINE.match(message)
    if not found:
        return message
    line = _file_line(path, found[1], int(found[2]))
    return f"{found[1]}, line {line}: {found[3]}" if line else message


def _line_in_text(text: str, plain: str, line: int | None) -> int | None:
    """Return the line of a template that a line of what it became comes from, if that is certain.

    Args:
        text: The template, or a query that is none.
        plain: What it became.
        line: From 1.
    """
    if line is None or plain == text:
        return line
    wanted = plain.splitlines()[line - 1].strip()
    same = [i for i, part in enumerate(text.splitlines(), 1) if part.strip() == wanted]
    return same[0] if len(same) == 1 else None


def _file_line(path: Path, key: str, line: int) -> int | None:
    """Return the line of a file that a line of its query is, None if that cannot be told."""
    import yaml

    try:
        document = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    for name, value in document.value if isinstance(document, yaml.MappingNode) else ():
        if name.value == key:
            first: int = value.start_mark.line + 1
            if value.style == "|":
                return first + line
            return first if value.end_mark.line + 1 == first else None
    return None
