"""Fills values into the text of a saved query, as a person would do in the console."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from local_panther.content.parameters import NUMBER
from local_panther.content.sql import PARAMETERS

KEPT = 128  # texts whose tokens are cached, as many alerts fill in the same query
LITERALS = {TokenType.STRING, TokenType.NUMBER}


@dataclass(frozen=True)
class FilledQuery:
    """The text of a query in two parts: `head` followed by `rest`.

    Attributes:
        head: The text up to the end of the CTE `parameters`, with the values; "" without that CTE.
        rest: The text after that, which does not depend on the values.
        missing: Names of the parameters that still have their example, as no value was given.
        names: Names of all parameters, in order.
    """

    head: str
    rest: str
    missing: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def fill(text: str, values: Mapping[str, str]) -> FilledQuery:
    """Replace the literals in a query's CTE `parameters` by values.

    Args:
        text: SQL in Snowflake's dialect, with Panther's macros; comments are kept.
        values: Values by parameter name; names that the query does not have are ignored.
    """
    inside = _parameters_of(text)
    if not inside:
        return FilledQuery("", text)
    end = inside[-1].end + 1
    head = text[:end]
    missing: list[str] = []
    columns = list(_literals(inside[1:-1]))
    for literal, name in reversed(columns):
        if name in values:
            value = _written(literal, values[name])
            head = f"{head[: literal.start]}{value}{head[literal.end + 1 :]}"
        elif literal.token_type is TokenType.STRING and literal.text:
            missing.insert(0, name)
    return FilledQuery(head, text[end:], tuple(missing), tuple(n for _, n in columns))


def _written(literal: Token, value: str) -> str:
    """Return a value as an SQL literal: a number where the example is one, otherwise a string."""
    if literal.token_type is TokenType.NUMBER and NUMBER.fullmatch(value.strip()):
        return value.strip()
    quoted = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{quoted}'"


@lru_cache(KEPT)
def _parameters_of(text: str) -> Sequence[Token]:
    try:
        return tuple(_parameters(sqlglot.tokenize(text, read="snowflake")))
    except SqlglotError:
        return ()


def _parameters(tokens: Sequence[Token]) -> Sequence[Token]:
    """Return the tokens of the CTE, both brackets included; none if there is no such CTE."""
    for i in range(len(tokens) - 2):
        opening = [token.token_type for token in tokens[i + 1 : i + 3]]
        if tokens[i].text.lower() == PARAMETERS and opening == [TokenType.ALIAS, TokenType.L_PAREN]:
            depth = 0
            for j in range(i + 2, len(tokens)):
                depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(tokens[j].token_type, 0)
                if not depth:
                    return tokens[i + 2 : j + 1]
    return ()


def _literals(inside: Sequence[Token]) -> Iterator[tuple[Token, str]]:
    """Yield the first token and the name of each column whose value is a literal."""
    column: list[Token] = []
    for token in [*inside, None]:
        if token is None or token.token_type is TokenType.COMMA:
            if len(column) > 1 and column[0].token_type in LITERALS:
                yield column[0], column[-1].text
            column = []
        elif token.token_type is not TokenType.SELECT:
            column.append(token)
