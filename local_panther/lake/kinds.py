"""The Snowflake types of expressions, before they are translated to DuckDB.

sqlglot's optimizer propagates the types of the lake's columns through CTEs and subqueries. The
result types of functions come from `local_panther.lake.functions`.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any

from sqlglot import exp
from sqlglot.dialects.snowflake import Snowflake

Type = exp.DType


class Kind(Enum):
    """A family of types whose values are treated the same way."""

    TEXT = "text"
    FIXED = "number"
    FLOAT = "floating-point number"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    ZONED = "timestamp with a zone"
    DATE = "date"
    TIME = "time"
    VARIANT = "variant"  # ARRAY and OBJECT too
    NULL = "null"
    UNKNOWN = "unknown"


NUMBERS = (Kind.FIXED, Kind.FLOAT)
MOMENTS = (Kind.TIMESTAMP, Kind.ZONED, Kind.DATE)
FIXED_TYPES = {*exp.DataType.INTEGER_TYPES, Type.DECIMAL, Type.BIGDECIMAL}
KINDS = {
    **dict.fromkeys(exp.DataType.TEXT_TYPES, Kind.TEXT),
    **dict.fromkeys(FIXED_TYPES, Kind.FIXED),
    **dict.fromkeys((Type.DOUBLE, Type.FLOAT, Type.DECFLOAT), Kind.FLOAT),
    Type.BOOLEAN: Kind.BOOLEAN,
    Type.TIMESTAMP: Kind.TIMESTAMP,
    Type.TIMESTAMPNTZ: Kind.TIMESTAMP,
    Type.DATETIME: Kind.TIMESTAMP,
    Type.TIMESTAMPTZ: Kind.ZONED,
    Type.TIMESTAMPLTZ: Kind.ZONED,
    Type.DATE: Kind.DATE,
    Type.TIME: Kind.TIME,
    Type.NULL: Kind.NULL,
    **dict.fromkeys((Type.VARIANT, Type.OBJECT, Type.ARRAY, Type.JSON, Type.STRUCT), Kind.VARIANT),
}

# Types of the lake's columns: Snowflake's name by DuckDB's.
SNOWFLAKE_TYPES = {
    "VARCHAR": "VARCHAR",
    "JSON": "VARIANT",
    "VARCHAR[]": "ARRAY",
    "TIMESTAMP": "TIMESTAMPNTZ",
    "BOOLEAN": "BOOLEAN",
    "BIGINT": "BIGINT",
}

Gives = Type | str  # "same" as the first argument, or "common" to all values
Returns = Callable[[exp.Expr], Gives]


def kind_of(node: exp.Expr | None) -> Kind:
    """Return the kind of an annotated expression."""
    return KINDS.get(node.type.this, Kind.UNKNOWN) if node and node.type else Kind.UNKNOWN


def typed(node: exp.Expr, like: Type | exp.Expr) -> exp.Expr:
    """Set the type of an expression, given as a type or as another expression; return it."""
    node.type = like.type if isinstance(like, exp.Expr) else like
    return node


def common_type(values: Iterable[exp.Expr]) -> Type:
    """Return the common type of several values, as in COALESCE."""
    types: list[Type] = [value.type.this for value in values if value.type]
    known = [kind for kind in types if kind not in (Type.NULL, Type.UNKNOWN)]
    kinds = {KINDS.get(kind, Kind.UNKNOWN) for kind in known}
    if Kind.VARIANT in kinds:
        return known[0] if len(set(known)) == 1 else Type.VARIANT
    for wider in (Kind.FLOAT, Kind.ZONED, Kind.TIMESTAMP):
        if wider in kinds and len(kinds) > 1 and Kind.TEXT not in kinds:
            return next(kind for kind in known if KINDS.get(kind) is wider)
    if kinds == {Kind.FIXED} and Type.DECIMAL in known:
        return Type.DECIMAL
    return known[0] if known else Type.NULL if types else Type.UNKNOWN


def scale_of(node: exp.Expr) -> int:
    """Return the number of decimal places of a fixed-point number."""
    node = node.unnest()
    if isinstance(node, exp.Neg):
        return scale_of(node.this)
    if isinstance(node, exp.Literal):
        return len(node.name.partition(".")[2])
    parameters = node.type.expressions if node.type else []
    return int(parameters[1].name) if len(parameters) > 1 else 0


def metadata(returns: Returns, values: Callable[[exp.Expr], Sequence[exp.Expr]]) -> dict[Any, Any]:
    """Return the rules by which sqlglot annotates expressions with types.

    Args:
        returns: Returns the result type of a called function.
        values: Returns the arguments that determine a "common" type.
    """

    def call(self: Any, node: exp.Expr) -> Any:
        gives = returns(node)
        if gives == "common":
            gives = common_type(values(node))
        elif gives == "same":
            first = next(iter(values(node)), None)
            return self._set_type(node, first.type if first and first.type else Type.UNKNOWN)
        return self._set_type(node, gives)

    def same(self: Any, node: exp.Expr) -> Any:
        return self._set_type(node, node.this.type or Type.UNKNOWN)

    def common(*keys: str) -> Callable[[Any, exp.Expr], Any]:
        def annotate(self: Any, node: exp.Expr) -> Any:
            found = [part for key in keys for part in _listed(node.args.get(key))]
            return self._set_type(node, common_type(found))

        return annotate

    def case(self: Any, node: exp.Expr) -> Any:
        found = [branch.args["true"] for branch in node.args["ifs"]]
        return self._set_type(node, common_type([*found, *_listed(node.args.get("default"))]))

    def arithmetic(self: Any, node: exp.Expr) -> Any:
        return self._set_type(node, _arithmetic_type(node))

    return {
        **Snowflake.EXPRESSION_METADATA,
        exp.Anonymous: {"annotator": call},
        exp.AnonymousAggFunc: {"annotator": call},
        exp.JSONExtract: {"returns": Type.VARIANT},
        exp.Bracket: {"returns": Type.VARIANT},
        exp.Array: {"returns": Type.ARRAY},
        exp.Struct: {"returns": Type.OBJECT},
        exp.Case: {"annotator": case},
        exp.If: {"annotator": common("true", "false")},
        exp.Coalesce: {"annotator": common("this", "expressions")},
        exp.WithinGroup: {"annotator": same},
        exp.IgnoreNulls: {"annotator": same},
        exp.RespectNulls: {"annotator": same},
        exp.Distinct: {"annotator": lambda self, node: self._set_type(node, _distinct_type(node))},
        exp.Neg: {"annotator": arithmetic},
        **{
            operator: {"annotator": arithmetic}
            for operator in (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)
        },
        exp.DPipe: {"returns": Type.VARCHAR},
        exp.Extract: {"returns": Type.BIGINT},
        exp.CurrentTimestamp: {"returns": Type.TIMESTAMPLTZ},
        exp.CurrentDate: {"returns": Type.DATE},
        exp.CurrentTime: {"returns": Type.TIME},
        exp.Localtime: {"returns": Type.TIME},
    }


def _listed(value: Any) -> list[exp.Expr]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _distinct_type(node: exp.Expr) -> exp.DataType | Type:
    first = next(iter(node.expressions), None)
    return (first.type if first else None) or Type.UNKNOWN


def _arithmetic_type(node: exp.Expr) -> exp.DataType | Type:
    operands = [part for part in (node.this, node.args.get("expression")) if part]
    kinds = [kind_of(part) for part in operands]
    if kinds[0] in (*MOMENTS, Kind.TIME):
        is_difference = len(kinds) > 1 and kinds[1] in MOMENTS
        if isinstance(operands[-1], exp.Interval) and kinds[0] is Kind.DATE:
            return Type.TIMESTAMPNTZ
        return Type.BIGINT if is_difference else operands[0].type or Type.UNKNOWN
    if Kind.UNKNOWN in kinds:
        return Type.UNKNOWN
    if set(kinds) <= {Kind.FIXED, Kind.NULL, Kind.BOOLEAN}:
        is_whole = not isinstance(node, exp.Div) and not any(map(scale_of, operands))
        return Type.BIGINT if is_whole else Type.DECIMAL
    return Type.DOUBLE
