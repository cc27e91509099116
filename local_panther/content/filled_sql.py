"""The text of a saved query with values filled in, as a person would do it in the console."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from local_panther.content.parameters import NUMBER
from local_panther.content.sql import PARAMETERS

KEPT = 128  # texts that are taken apart once, although many alerts fill them in
LITERALS = {TokenType.STRING, TokenType.NUMBER}


@dataclass(frozen=True)
class FilledQuery:
    """A query in two parts, which together are its text.

    Attributes:
        head: From its start to the end of the CTE `parameters`, with the values; "" if it has none.
        rest: What follows, the same whatever the values.
        missing: Its parameters whose examples are still in it, since no value was given.
        names: All its parameters, in their order.
    """

    head: str
    rest: str
    missing: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def fill(text: str, values: Mapping[str, str]) -> FilledQuery:
    """Fill values in for the literals of a query's CTE `parameters`.

    Args:
        text: SQL in Snowflake's dialect, with Panther's macros; comments are kept.
        values: By the names of the parameters; those that the query does not have are ignored.
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
    """Return a value as a literal: a number in the place of one, otherwise a text."""
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
    """Return the CTE from its opening to its closing bracket; nothing if there is none."""
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
