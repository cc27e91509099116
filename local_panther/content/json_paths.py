"""Parses the JSON paths of data models, with parser tables that are built once at most.

jsonpath_ng builds the tables of its parser for every path, which takes 20 ms each: 5 s for the data
models of panther-analysis. Nearly all paths are names separated by dots, which need no tables.
"""

from functools import cache, reduce
from typing import Any

import panther_core.data_model
from jsonpath_ng import Child, Fields, Root  # type: ignore[import-untyped]
from jsonpath_ng.ext.parser import ExtendedJsonPathLexer, ExtentedJsonPathParser  # type: ignore[import-untyped]
from jsonpath_ng.parser import IteratorToTokenStream  # type: ignore[import-untyped]
from ply import yacc  # type: ignore[import-untyped]


def use_one_grammar() -> None:
    """Make panther_core's data models parse their paths with `json_path` in this process."""
    vars(panther_core.data_model)["parse"] = json_path


def json_path(path: str) -> Any:
    """Parse a path; results and errors are those of jsonpath_ng's own function."""
    tokens = list(ExtendedJsonPathLexer().tokenize(path))
    kinds = [token.type for token in tokens]
    names = [Root() if token.type == "$" else Fields(token.value) for token in tokens[::2]]
    dots = len(names) - 1
    if kinds in (["ID", *[".", "ID"] * dots], ["$", *[".", "ID"] * dots]) and dots >= 0:
        return reduce(Child, names)
    return _tables().parse(lexer=IteratorToTokenStream(iter(tokens)))


@cache
def _tables() -> Any:
    grammar = ExtentedJsonPathParser()
    return yacc.yacc(module=grammar, debug=False, write_tables=False, start="jsonpath")
