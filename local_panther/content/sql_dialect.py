"""Snowflake's grammar with each function as it was called, by name and with its arguments.

sqlglot turns a call into a class of its own, and versions of it differ in which, and in what
becomes of the arguments. What a function means is decided in one place, `local_panther.lake`, by
the name that Snowflake documents.
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
SPECIAL = ("CAST", "TRY_CAST", "EXTRACT")  # whose arguments have a grammar of their own


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
    """Return the name of a called function in capitals; "" if the node is no call by name."""
    is_call = isinstance(node, (exp.Anonymous, exp.AnonymousAggFunc))
    return str(node.this).upper() if is_call else ""
