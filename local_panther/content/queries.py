"""Reads and checks the SQL of saved and scheduled queries.

Whether a query runs in a database is not known here: the caller passes a check of parsed queries,
such as that of `local_panther.lake.preparing`.
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
SIMILAR = 0.85  # a table name this similar to CloudTrail's is taken for a typing error


class QueryCheck(Protocol):
    """A check of queries against the tables that they read."""

    def knows(self, text: str) -> bool:
        """Return whether a query with this text has passed the check before."""

    def check(self, query: "exp.Query", text: str) -> None:
        """Check a query.

        Args:
            query: The parsed query.
            text: The text that it was parsed from.

        Raises:
            FieldError: It cannot be run.
        """


Checks = Callable[[], AbstractContextManager[QueryCheck]]


class _Unchecked:
    """A check that accepts every query."""

    def knows(self, text: str) -> bool:
        return False

    def check(self, query: "exp.Query", text: str) -> None:
        pass


@contextmanager
def unchecked() -> Iterator[QueryCheck]:
    """Yield a check that accepts every query."""
    yield _Unchecked()


def sql_field(spec: Mapping[str, Any]) -> str | None:
    """Return the key that holds a query's SQL; None if the query is in another language."""
    return next((key for key in SQL_FIELDS if key in spec), None)


def text_field(spec: Mapping[str, Any]) -> str:
    """Return the key that holds a query's text, preferably that of its SQL."""
    return next(key for key in (*SQL_FIELDS, *OTHER_FIELDS) if key in spec)


def read_query(item: ClassifiedAnalysis, texts: QueryTexts, check: QueryCheck) -> str | None:
    """Return the text of a query over CloudTrail; None if it reads other tables, or none.

    Args:
        item: A saved or scheduled query in SQL.
        texts: The texts of all queries, from which a template may import.
        check: Raises an error for a query that cannot be run. It is not called for a query that is
            disabled or not returned.

    Raises:
        FieldError: The query is invalid; the message names the key, and the line of the file if it
            is known.
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
            where = f" (line {error.line} of the rendered template)" if error.line else ""
            raise FieldError(f"{key}: {error.text}{where}") from error
        message = located(f"{key}: line {line}: {error.text}", Path(item.file_name))
        raise FieldError(message) from error
    except FieldError as error:
        raise FieldError(f"{key}: {error}") from error
    return plain


def _over_cloudtrail(text: str) -> "exp.Query | None":
    """Parse a query; return None if it reads other tables than CloudTrail, or none."""
    from sqlglot import exp

    from local_panther.content.sql import other_tables, parse_sql

    query = parse_sql(text)
    others = other_tables(query)
    for table in others:
        _check_spelling(table)
    return None if others or not query.find(exp.Table) else query


def _check_spelling(table: "exp.Table") -> None:
    """Raise an error if the name of a table looks like a misspelt aws_cloudtrail."""
    from local_panther.content.sql import CLOUDTRAIL

    name = table.name.lower()
    known = {log_type.lower().replace(".", "_") for log_type in managed_log_types()}
    near = difflib.SequenceMatcher(None, name, CLOUDTRAIL).ratio() >= SIMILAR
    if near and name not in known and name != CLOUDTRAIL:
        line = min(
            (part.meta["line"] for part in table.walk() if "line" in part.meta), default=None
        )
        raise LineError(line, f"there is no table {table.name}: did you mean {CLOUDTRAIL}?")


def located(message: str, path: Path) -> str:
    """Return a message with the line of the query replaced by the line of the file.

    Args:
        message: A message of `read_query`, perhaps about another file with the same query.
        path: The file.
    """
    found = LINE.match(message)
    if not found:
        return message
    line = _file_line(path, found[1], int(found[2]))
    return f"{found[1]}, line {line}: {found[3]}" if line else message


def _line_in_text(text: str, plain: str, line: int | None) -> int | None:
    """Return the line of a template that a line of the rendered text comes from; None if unclear.

    Args:
        text: The template, or a query without template syntax.
        plain: The rendered text.
        line: A line of the rendered text, from 1.
    """
    if line is None or plain == text:
        return line
    wanted = plain.splitlines()[line - 1].strip()
    same = [i for i, part in enumerate(text.splitlines(), 1) if part.strip() == wanted]
    return same[0] if len(same) == 1 else None


def _file_line(path: Path, key: str, line: int) -> int | None:
    """Return the line of a file that holds a line of its query; None if it is not known."""
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
