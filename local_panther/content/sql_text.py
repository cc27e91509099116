"""SQL before it is parsed: Jinja templates and Panther's time macros, both expanded as text.

An instance expands them as text too, so that what is in them need not be SQL:
`p_occurs_since(1h, , p_parse_time)`. Here a macro stays in the query, as a call whose arguments
can be parsed; `local_panther.lake.dialect` gives it its meaning.

Sources: https://docs.panther.com/search/data-explorer#macros,
https://docs.panther.com/search/scheduled-searches/templated-searches
"""

import re
from collections.abc import Iterator, Mapping

from local_panther.errors import FieldError, one_line

PRAGMA = re.compile(r"^\s*--\s*pragma:\s*template\b", re.MULTILINE)
# Panther's own forms of two Jinja statements.
EXPORTED_MACRO = re.compile(r"(\{%-?\s*macro\b[^%]*?\))\s*export\s*(-?%\})")
IMPORT = re.compile(r"\{%(-?)\s*import\s+(['\"][^'\"]+['\"])\s+(?!as\b)([\w\s,]+?)\s*(-?)%\}")

# What a macro cannot begin in, and the beginning of a macro.
TOKEN = re.compile(
    r"""(?P<skip>'(?:[^']|'')*'|"[^"]*"|--[^\n]*|/\*.*?\*/|\$\$.*?\$\$)"""
    r"|(?P<macro>\bp_occurs_[a-z]+\s*\()",
    re.IGNORECASE | re.DOTALL,
)
ARGUMENT_PART = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|[(),]|[^'\"(),]+|['\"]")
BARE_OFFSET = re.compile(r"\d+\s*[a-z]+", re.IGNORECASE)


def is_template(sql: str) -> bool:
    """Return whether a query is a template, by its pragma."""
    return PRAGMA.search(sql) is not None


def rendered(sql: str, templates: Mapping[str, str]) -> str:
    """Return what a templated query becomes; any other is returned as it is.

    Args:
        sql: The text of a query.
        templates: The texts of the templates that it may import from, by query name.

    Raises:
        FieldError: The template is invalid or imports what there is not.
    """
    if not is_template(sql):
        return sql
    from jinja2 import DictLoader, StrictUndefined, TemplateError  # few queries are templates
    from jinja2.sandbox import SandboxedEnvironment

    loader = DictLoader({name: _plain_jinja(text) for name, text in templates.items()})
    environment = SandboxedEnvironment(loader=loader, undefined=StrictUndefined)
    try:
        return environment.from_string(_plain_jinja(sql)).render()
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise FieldError(f"invalid template: {type(error).__name__}: {one_line(error)}") from error


def parsable_macros(sql: str) -> str:
    """Return a query with the arguments of its time macros in a form that can be parsed.

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


def _plain_jinja(text: str) -> str:
    text = EXPORTED_MACRO.sub(r"\1 \2", text)
    return IMPORT.sub(r"{%\1 from \2 import \3 \4%}", text)


def _arguments(sql: str, position: int) -> tuple[list[str], int]:
    """Return the arguments of a call, from behind its bracket, and where the closing one is."""
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
