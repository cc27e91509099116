"""Snowflake's grammar for sqlglot, with each function call kept as written: name and arguments.

By default, sqlglot parses calls into classes, and its versions differ in the class and in how they
treat the arguments. Here, only `local_panther.lake` decides what a function means, by the name that
Snowflake documents.
"""

from collections.abc import Callable, Sequence

from sqlglot import exp
from sqlglot.dialects.snowflake import Snowflake
from sqlglot.parsers.snowflake import SnowflakeParser

# https://docs.snowflake.com/en/sql-reference/functions-aggregation
AGGREGATES = (
    "ANY_VALUE",
    "APPROX_COUNT_DISTINCT",
    "ARRAY_AGG",
    "ARRAY_UNIQUE_AGG",
    "AVG",
    "BOOLAND_AGG",
    "BOOLOR_AGG",
    "COUNT_IF",
    "HLL",
    "LISTAGG",
    "MAX",
    "MAX_BY",
    "MEDIAN",
    "MIN",
    "MIN_BY",
    "MODE",
    "OBJECT_AGG",
    "PERCENTILE_CONT",
    "STDDEV",
    "STDDEV_POP",
    "STDDEV_SAMP",
    "STRING_AGG",
    "SUM",
    "VARIANCE",
    "VARIANCE_SAMP",
    "VAR_POP",
    "VAR_SAMP",
)
SPECIAL = ("CAST", "TRY_CAST", "EXTRACT")  # functions with special syntax for their arguments


def _aggregate(name: str) -> Callable[[Sequence[exp.Expr]], exp.Expr]:
    return lambda arguments: exp.AnonymousAggFunc(this=name, expressions=list(arguments))


class _Parser(SnowflakeParser):
    FUNCTIONS = {  # noqa: RUF012 - as in sqlglot
        "COUNT": SnowflakeParser.FUNCTIONS["COUNT"],
        "FLATTEN": SnowflakeParser.FUNCTIONS["FLATTEN"],
        **{name: _aggregate(name) for name in AGGREGATES},
    }
    FUNCTION_PARSERS = {  # noqa: RUF012
        name: SnowflakeParser.FUNCTION_PARSERS[name] for name in SPECIAL
    }


class PantherSnowflake(Snowflake):
    """Snowflake's dialect; a function is `Anonymous`, or `AnonymousAggFunc` if it aggregates."""

    Parser = _Parser


def function_name(node: exp.Expr) -> str:
    """Return the name of a called function in capitals; "" if the node is not such a call."""
    is_call = isinstance(node, (exp.Anonymous, exp.AnonymousAggFunc))
    return str(node.this).upper() if is_call else ""
