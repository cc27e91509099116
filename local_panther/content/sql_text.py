"""Prepares SQL for parsing: renders templates and rewrites the arguments of Panther's time macros.

An instance expands both as text, so that arguments of time macros need not be valid SQL:
`p_occurs_since(1h, , p_parse_time)`. Here a time macro stays in the query as a call, with arguments
that can be parsed; `local_panther.lake.dialect` gives it its meaning.

A template is marked by the comment `-- pragma: template` and may import macros from other queries,
such as `queries/macros/anomalies.yml` of panther-analysis. The statements that export and import
macros have the syntax of pongo2, a template language for Go, not that of Jinja; everything else
that templates of queries use is the same in both.

Sources: https://docs.panther.com/search/data-explorer#macros,
https://docs.panther.com/search/scheduled-searches/templated-searches,
https://github.com/flosch/pongo2
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from local_panther.errors import FieldError, one_line
from local_panther.remembered import remember, remembered

if TYPE_CHECKING:
    from jinja2 import Environment

RENDERED = "rendered"

BLANK = re.compile(r"(?:\s+|--[^\n]*|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
PRAGMA = re.compile(r"^\s*--\s*pragma:\s*template\b.*\n?", re.MULTILINE)
EXPORTED_MACRO = re.compile(
    r"(?P<begin>\{%-?\s*macro\s+(?P<name>\w+)[^%]*?\))\s*export\s*(?P<end>-?%\})"
)
IMPORT = re.compile(
    r"\{%(?P<begin>-?)\s*import\s+(?P<quote>['\"])(?P<source>[^'\"]+)(?P=quote)\s+"
    r"(?!as\b)(?P<names>[\w\s,]+?)\s*(?P<end>-?)%\}"
)

# Quoted text and comments, in which no macro can begin, and the beginning of a macro.
TOKEN = re.compile(
    r"""(?P<skip>'(?:[^']|'')*'|"[^"]*"|--[^\n]*|/\*.*?\*/|\$\$.*?\$\$)"""
    r"|(?P<macro>\bp_occurs_[a-z]+\s*\()",
    re.IGNORECASE | re.DOTALL,
)
ARGUMENT_PART = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|[(),]|[^'\"(),]+|['\"]")
BARE_OFFSET = re.compile(r"\d+\s*[a-z]+", re.IGNORECASE)


def is_template(sql: str) -> bool:
    """Return whether a query is marked as a template."""
    return PRAGMA.search(sql) is not None


class QueryTexts(Mapping[str, str]):
    """The texts of a repository's queries by name, as an instance would run them.

    A template is rendered when its text is read. If that fails, the query is missing from the
    mapping; `rendered` raises the error.
    """

    def __init__(self, written: Mapping[str, str]) -> None:
        """Keep the texts as written in the repository, by name."""
        self._written = dict(written)
        self._found: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        """Return the text of a query."""
        if name not in self._found:
            try:
                self._found[name] = self.rendered(self._written[name])
            except FieldError as error:
                raise KeyError(name) from error
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the queries whose text can be rendered."""
        return (name for name in self._written if name in self)

    def __len__(self) -> int:
        """Return the number of queries whose text can be rendered."""
        return sum(1 for _ in self)

    def rendered(self, sql: str) -> str:
        """Render a template; return any other text unchanged.

        Raises:
            FieldError: The template is invalid, or imports a macro that does not exist.
        """
        if not is_template(sql):
            return sql
        self.check_imports(sql)
        key = json.dumps([sql, self._written])
        found = remembered(RENDERED, key)
        if found is None:
            found = self._newly_rendered(sql)
            remember(RENDERED, {key: found})
        return found

    def _newly_rendered(self, sql: str) -> str:
        from jinja2 import TemplateError  # slow to import

        try:
            template = self._environment.from_string(_as_jinja(PRAGMA.sub("", sql)))
            return template.render().lstrip("\n")
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {one_line(error)}"
            raise FieldError(f"invalid template: {reason}") from error

    def check_imports(self, sql: str) -> None:
        """Check that the macros that a template imports exist.

        Raises:
            FieldError: A macro or query is missing; the message has the line of the text.
        """
        for line, message in self.missing_imports(sql):
            raise FieldError(f"line {line}: {message}")

    def missing_imports(self, sql: str) -> Iterator[tuple[int, str]]:
        """Yield a line of the text and a message for each import that does not exist."""
        for found in IMPORT.finditer(sql) if is_template(sql) else ():
            line, source = sql.count("\n", 0, found.start()) + 1, found["source"]
            wanted = [name.split()[0] for name in found["names"].split(",") if name.strip()]
            if source not in self._written:
                yield (
                    line,
                    f"imports {', '.join(wanted)} from the query {source!r}, which is missing;"
                    " add it: the two must be uploaded together",
                )
                continue
            exported = exported_macros(self._written[source])
            for name in wanted:
                if name not in exported:
                    known = ", ".join(exported) or "no macro"
                    yield line, f"imports {name} from the query {source!r}, which exports {known}"

    @cached_property
    def _environment(self) -> "Environment":
        from jinja2 import DictLoader, StrictUndefined
        from jinja2.sandbox import SandboxedEnvironment

        loader = DictLoader({name: _as_jinja(text) for name, text in self._written.items()})
        return SandboxedEnvironment(loader=loader, undefined=StrictUndefined)


def exported_macros(sql: str) -> list[str]:
    """Return the names of the macros that a query exports to templates."""
    return [found["name"] for found in EXPORTED_MACRO.finditer(sql)]


def parsable_macros(sql: str) -> str:
    """Rewrite the arguments of a query's time macros so that they can be parsed.

    `p_occurs_since(1h, , t)` becomes `p_occurs_since('1h', NULL, t)`.
    """
    parts: list[str] = []
    position = 0
    while found := TOKEN.search(sql, position):
        parts.append(sql[position : found.end()])
        position = found.end()
        if found["macro"]:
            arguments, position = _arguments(sql, position)
            parts.append(", ".join(map(_parsable, arguments)))
    return "".join([*parts, sql[position:]])


def _as_jinja(text: str) -> str:
    """Rewrite the statements of a template that have pongo2's syntax to Jinja's."""
    text = EXPORTED_MACRO.sub(r"\g<begin> \g<end>", text)
    return IMPORT.sub(r"{%\g<begin> from '\g<source>' import \g<names> \g<end>%}", text)


def _arguments(sql: str, position: int) -> tuple[list[str], int]:
    """Return the arguments of a call and the position of its closing bracket.

    Args:
        sql: The query.
        position: The position after the opening bracket.
    """
    arguments, depth = [""], 0
    for part in _parts(sql, position):
        if part == ")" and depth == 0:
            return arguments, position
        position += len(part)
        depth += (part == "(") - (part == ")")
        if part == "," and depth == 0:
            arguments.append("")
        else:
            arguments[-1] += part
    return arguments, position


def _parts(sql: str, position: int) -> Iterator[str]:
    return (found[0] for found in ARGUMENT_PART.finditer(sql, position))


def _parsable(argument: str) -> str:
    argument = argument.strip()
    if not argument:
        return "NULL"
    return f"'{argument}'" if BARE_OFFSET.fullmatch(argument) else argument


def has_statements(sql: str) -> bool:
    """Return whether a text has more than comments and white space."""
    blank = BLANK.match(sql)
    return blank is None or blank.end() < len(sql)
