"""Finds the columns and records of the log that a translated query can need.

Records are selected by conditions. A condition counts only if a record that does not meet it cannot
change the result, whatever else is in the query: it must be joined by AND in the WHERE of a SELECT
that reads the log directly. Conditions that are not understood are ignored, so that more records
are read than needed, never fewer.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlglot import exp

from local_panther.content.sql_dialect import function_name
from local_panther.lake.columns import PANTHER_LISTS, PANTHER_TEXT, TABLES, TEXT, VARIANT
from local_panther.records.selection import (
    Clause,
    Selection,
    Sieve,
    Trait,
    is_like_number,
    plain_part,
)
from local_panther.times import parse_time

LOG_COLUMNS = frozenset(name for name, _ in TABLES["panther_logs"]["aws_cloudtrail"])
TEXT_COLUMNS = frozenset(TEXT.split())
TIMES = ("p_event_time", "eventTime")
# Columns that need only the time of a record; other `p_` columns need the whole record.
PLAIN = {*TIMES, "p_parse_time", "p_schema_version", *PANTHER_TEXT.split()} - {"p_row_id"}
# Lists whose entries appear literally in the record; tags are composed of two strings.
QUOTED_LISTS = {*PANTHER_LISTS.split()} - {"p_any_aws_tags"}

# The only parts that a SELECT and a table may have
SELECT_PARTS = {
    *("with", "with_", "expressions", "from", "from_", "joins", "laterals", "where", "group"),
    *("having", "qualify", "windows", "distinct", "order", "limit", "offset"),
}
TABLE_PARTS = {"this", "db", "catalog", "alias"}

SAME_TEXT = {"SF_TRIM", "SF_SPLIT_PART"}  # these return a part of their first argument
SAME_LETTERS = {"LOWER", "UPPER"}
SUBSTRINGS = {"CONTAINS", "STARTS_WITH", "ENDS_WITH"}
WILDCARDS = re.compile(r"[%_]")
PLAIN_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?", re.ASCII)
UNITS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86_400, "WEEK": 7 * 86_400}
WHOLE_NUMBER = re.compile(r"-?\d{1,9}", re.ASCII)


@dataclass(frozen=True)
class Text:
    """An expression whose value is that of a column, or a part of it.

    Attributes:
        column: The column.
        ignores_case: True if the expression changes its case.
    """

    column: str
    ignores_case: bool = False

    def traits(self, value: str) -> list[Trait]:
        """Return what a record must contain if this text contains a value; empty if unknown."""
        part = plain_part(value)
        part = part.lower() if self.ignores_case else part
        is_number = is_like_number(part)
        if not part or (is_number and self.column in VARIANT):
            return []
        return [Trait(self.column, part, self.ignores_case, is_number)]


def needed_columns(query: exp.Query) -> frozenset[str] | None:
    """Return the columns of the log that a translated query reads; None for any."""
    for star in query.find_all(exp.Star):
        if star.parent is None or function_name(star.parent) != "COUNT":
            return None
    if query.find(exp.Pivot):
        return None
    return LOG_COLUMNS.intersection(column.name for column in query.find_all(exp.Column))


def selection_of(query: exp.Query) -> Selection:
    """Return the records, and their fields, that a translated query can need."""
    columns = needed_columns(query)
    fields = None
    if columns is not None:
        named = columns - PLAIN
        if not any(name.startswith("p_") for name in named):
            fields = tuple(sorted(named))
    tables = [table for table in query.find_all(exp.Table) if table.catalog]
    constants = _Constants(query)
    sieves = tuple(_sieve(table, constants) for table in tables)
    return Selection(fields, () if Sieve() in sieves else sieves)


def _sieve(table: exp.Table, constants: "_Constants") -> Sieve:
    """Return the conditions that the SELECT of a table puts on each record."""
    source = table.parent
    select = source.parent if isinstance(source, (exp.From, exp.Join)) else None
    if not isinstance(select, exp.Select) or not _is_plain(select, table):
        return Sieve()
    where = select.args.get("where")
    if not where:
        return Sieve()
    reading = _Reading(table.alias_or_name, constants)
    return reading.sieve(where.this)


def _is_plain(select: exp.Select, table: exp.Table) -> bool:
    """Return whether records that the WHERE of a SELECT excludes cannot change its result."""
    return (
        _has_only(select, SELECT_PARTS)
        and _has_only(table, TABLE_PARTS)
        and all(
            not join.args.get("method")
            and join.side in ("", "LEFT")
            and join.kind in ("", "INNER", "CROSS", "OUTER")
            for join in select.args.get("joins") or ()
        )
    )


def _has_only(node: exp.Expr, parts: Iterable[str]) -> bool:
    return {name for name, value in node.args.items() if value}.issubset(parts)


class _Constants:
    """The constants in a query, including values of its parameters."""

    def __init__(self, query: exp.Query) -> None:
        ctes = list(query.find_all(exp.CTE))
        often = Counter(cte.alias for cte in ctes)
        self._columns = {
            (cte.alias, column.alias): column.this
            for cte in ctes
            # A name that is used twice is ambiguous, and ignored.
            if often[cte.alias] == 1
            and isinstance(cte.this, exp.Select)
            and _has_only(cte.this, {"expressions"})
            for column in cte.this.expressions
            if isinstance(column, exp.Alias)
        }

    def text(self, node: exp.Expr | None) -> str | None:
        """Return the constant string that an expression evaluates to; None if unknown."""
        if isinstance(node, exp.Literal):
            return str(node.this) if node.is_string else None
        if isinstance(node, exp.Paren):
            return self.text(node.this)
        if isinstance(node, exp.Case):
            return self._nullif(node)
        return self.text(self._selected(node)) if isinstance(node, exp.Subquery) else None

    def _nullif(self, node: exp.Case) -> str | None:
        """Return the constant string of a NULLIF, which is translated to a CASE."""
        branches = node.args["ifs"]
        test = branches[0].this
        is_nullif = (
            len(branches) == 1
            and not node.this
            and isinstance(test, exp.EQ)
            and isinstance(branches[0].args["true"], exp.Null)
        )
        if not is_nullif:
            return None
        left, right, value = map(self.text, (test.this, test.expression, node.args.get("default")))
        return value if None not in (left, right) and left != right else None

    def moment(self, node: exp.Expr | None) -> float | None:
        """Return the constant time of an expression, in seconds since 1970; None if unknown."""
        if node is None:
            return None
        if isinstance(node, exp.Paren):
            return self.moment(node.this)
        if isinstance(node, exp.Subquery):
            return self.moment(self._selected(node))
        if isinstance(node, exp.Cast) and not isinstance(node, exp.TryCast):
            return _written_time(self.text(node.this)) if node.to.is_type("timestamp") else None
        if function_name(node) == "SF_TIMESTAMP" and len(node.expressions) == 1:
            return _written_time(self.text(node.expressions[0]))
        if isinstance(node, (exp.Add, exp.Sub)):
            moment, length = self.moment(node.this), _length(node.expression)
            if moment is None or length is None:
                return None
            return moment + length if isinstance(node, exp.Add) else moment - length
        return None

    def _selected(self, node: exp.Subquery) -> exp.Expr | None:
        """Return the constant that `(SELECT name FROM parameters)` selects; None if unknown."""
        select = node.this
        if not isinstance(select, exp.Select) or not _has_only(
            select, {"expressions", "from", "from_"}
        ):
            return None
        start = select.args.get("from_") or select.args.get("from")
        source, column = start and start.this, select.expressions[0].unalias()
        if not isinstance(source, exp.Table) or not _has_only(source, {"this", "alias"}):
            return None
        if not isinstance(column, exp.Column) or column.table != source.alias_or_name:
            return None
        return self._columns.get((source.name, column.name))


def _written_time(text: str | None) -> float | None:
    if not text or not PLAIN_TIME.fullmatch(text):
        return None
    return parse_time(text if " " in text or "T" in text else f"{text} 00:00:00")


def _length(node: exp.Expr) -> float | None:
    """Return the seconds of `TO_DAYS(CAST(ROUND(3) AS BIGINT))` or of an INTERVAL."""
    if isinstance(node, exp.Interval):
        number, unit = node.this, str(node.unit).upper()
    elif isinstance(node, exp.Anonymous) and len(node.expressions) == 1:
        name = function_name(node)
        unit = name.removeprefix("TO_").removesuffix("S") if name.startswith("TO_") else ""
        number = node.expressions[0]
        while isinstance(number, (exp.Cast, exp.Paren, exp.Round)) or (
            function_name(number) == "ROUND" and len(number.expressions) == 1
        ):
            number = number.expressions[0] if function_name(number) else number.this
    else:
        return None
    sign = 1
    if isinstance(number, exp.Neg):
        sign, number = -1, number.this
    is_whole = isinstance(number, exp.Literal) and WHOLE_NUMBER.fullmatch(str(number.this))
    return sign * int(str(number.this)) * UNITS[unit] if is_whole and unit in UNITS else None


class _Reading:
    """An analysis of the conditions that a WHERE puts on one table."""

    def __init__(self, table: str, constants: _Constants) -> None:
        self._table = table
        self._constants = constants

    def sieve(self, node: exp.Expr) -> Sieve:
        """Return what must hold for a record if a condition is true."""
        if isinstance(node, exp.Paren):
            return self.sieve(node.this)
        if isinstance(node, exp.And):
            left, right = self.sieve(node.this), self.sieve(node.expression)
            return Sieve(
                tuple(dict.fromkeys(left.clauses + right.clauses)),
                max(left.first, right.first),
                min(left.last, right.last),
            )
        if isinstance(node, exp.Or):
            left, right = self.sieve(node.this), self.sieve(node.expression)
            first, last = min(left.first, right.first), max(left.last, right.last)
            both = (left.clauses[0] + right.clauses[0],) if left.clauses and right.clauses else ()
            return Sieve(tuple(map(_distinct, both)), first, last)
        if clause := self._clause(node):
            return Sieve((clause,))
        return Sieve((), *self._bounds(node))

    def _clause(self, node: exp.Expr) -> Clause:
        """Return what a single condition requires of a record; empty if unknown."""
        ways: list[list[Trait]] = []
        if isinstance(node, exp.EQ):
            ways = [self._equal(node.this, node.expression)]
        elif isinstance(node, exp.In) and _has_only(node, {"this", "expressions"}):
            ways = [self._equal(node.this, other) for other in node.expressions]
        elif isinstance(node, (exp.Like, exp.ILike)):
            ways = [self._like(node)]
        elif isinstance(node, exp.Anonymous) and len(node.expressions) == 2:
            ways = self._call(function_name(node), *node.expressions)
        return _distinct(trait for way in ways for trait in way) if all(ways) else ()

    def _equal(self, left: exp.Expr, right: exp.Expr) -> list[Trait]:
        text, value = self._text(left), self._constants.text(right)
        if text is None:
            text, value = self._text(right), self._constants.text(left)
        return text.traits(value) if text and value is not None else []

    def _like(self, node: exp.Like | exp.ILike) -> list[Trait]:
        text, pattern = self._text(node.this), self._constants.text(node.expression)
        if text is None or pattern is None:
            return []
        if isinstance(node, exp.ILike):
            text = Text(text.column, ignores_case=True)
        parts = WILDCARDS.split(pattern)
        return text.traits(max(map(plain_part, parts), key=len))

    def _call(self, name: str, first: exp.Expr, second: exp.Expr) -> list[list[Trait]]:
        if name in SUBSTRINGS:
            text, value = self._text(first), self._constants.text(second)
            return [text.traits(value)] if text and value is not None else []
        if name == "SF_ARRAY_CONTAINS" and self._is_list(second):
            return [self._entry(first)]
        if name == "SF_ARRAYS_OVERLAP" and self._is_list(first):
            array = _inside(second)
            entries = array.expressions if isinstance(array, exp.Array) else []
            return [self._entry(entry) for entry in entries]
        return []

    def _entry(self, node: exp.Expr) -> list[Trait]:
        value = self._constants.text(_inside(node))
        part = plain_part(value or "")
        return [Trait("", part)] if part else []

    def _is_list(self, node: exp.Expr) -> bool:
        """Return whether an expression is a list that Panther adds, with values of the record."""
        column = _inside(node)
        return self._is_own(column) and column.name in QUOTED_LISTS

    def _text(self, node: exp.Expr) -> Text | None:
        if isinstance(node, exp.Paren):
            return self._text(node.this)
        if self._is_own(node):
            return Text(node.name) if node.name in TEXT_COLUMNS else None
        name, arguments = function_name(node), node.expressions
        if name == "JSON_EXTRACT_STRING" and isinstance(arguments[1], exp.Literal):
            is_field = self._is_own(arguments[0]) and arguments[0].name in VARIANT
            return Text(arguments[0].name) if is_field else None
        inner = self._text(arguments[0]) if name in SAME_TEXT | SAME_LETTERS else None
        if inner and name in SAME_LETTERS:
            return Text(inner.column, ignores_case=True)
        return inner

    def _is_own(self, node: exp.Expr) -> bool:
        return isinstance(node, exp.Column) and node.table == self._table

    def _bounds(self, node: exp.Expr) -> tuple[float, float]:
        """Return the first and last time that a condition allows."""
        moment = self._constants.moment
        if isinstance(node, exp.Between) and self._is_time(node.this):
            return _known(moment(node.args["low"]), moment(node.args["high"]))
        for kind, bounds in BOUNDS.items():
            if type(node) is kind and self._is_time(node.this):
                return bounds(moment(node.expression))
        return _known()

    def _is_time(self, node: exp.Expr) -> bool:
        return self._is_own(node) and node.name in TIMES


def _known(first: float | None = None, last: float | None = None) -> tuple[float, float]:
    return -math.inf if first is None else first, math.inf if last is None else last


BOUNDS: dict[type[exp.Expr], Callable[[float | None], tuple[float, float]]] = {
    exp.GT: lambda moment: _known(first=moment),
    exp.GTE: lambda moment: _known(first=moment),
    exp.LT: lambda moment: _known(last=moment),
    exp.LTE: lambda moment: _known(last=moment),
    exp.EQ: lambda moment: _known(moment, moment),
}


def _inside(node: exp.Expr) -> exp.Expr:
    """Return the argument of TO_JSON, which converts a value to a VARIANT; else the node."""
    is_call = function_name(node) == "TO_JSON" and len(node.expressions) == 1
    return node.expressions[0] if is_call else node


def _distinct(traits: Iterable[Trait]) -> Clause:
    return tuple(dict.fromkeys(traits))
