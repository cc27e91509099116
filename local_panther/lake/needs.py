"""Finds what a query needs to have any rows: records in a window, and rows in some of its parts.

Many queries look for events in a short window and compare them with a long history. Such a query
need not be run while the short window is empty.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from sqlglot import exp

from local_panther.content.sql import CLOUDTRAIL, is_alone, sources
from local_panther.content.sql_dialect import function_name
from local_panther.lake.calls import SPECIAL
from local_panther.lake.columns import PANTHER_LISTS, PANTHER_TEXT, TABLES
from local_panther.lake.dialect import translate
from local_panther.lake.functions import FUNCTIONS, NOW_FUNCTIONS
from local_panther.lake.macros import offset_of
from local_panther.lake.windows import NOTHING_NEEDED, Needs

SINCE = "p_occurs_since"
WITH = "with_" if "with_" in exp.Select.arg_types else "with"
# Parts of a SELECT that can add rows, or that are not analysed
NOT_LOOKED_INTO = (WITH, "connect", "match", "pivots", "joins")
BETWEEN_FUNCTION_AND_WINDOW = (exp.WithinGroup, exp.Filter, exp.IgnoreNulls, exp.RespectNulls)
# Parts of GROUP BY that can add a row of totals, even if there is no other row
GROUPINGS = (exp.Tuple, exp.Rollup, exp.Cube, exp.GroupingSets)
# Functions that compute a value from one row
OF_ONE_ROW = {*FUNCTIONS, *SPECIAL, *NOW_FUNCTIONS, SINCE.upper()}
ADDED_COLUMNS = {name.lower() for name in f"{PANTHER_TEXT} {PANTHER_LISTS}".split()}
TOTALS = ("rollup", "cube", "grouping_sets", "totals", "all")


def needs_of(query: exp.Expr) -> Needs:
    """Return what the rows of a query need.

    A query that is not understood needs nothing, so that it is always run.

    Args:
        query: A result of `parse_sql`, with windows of event time only.

    Raises:
        FieldError: The length of a window is invalid.
    """
    with_ = query.args.get(WITH)
    ctes = list(with_.expressions) if with_ is not None else []
    has_clear_names = len({cte.alias.lower() for cte in ctes}) == len(ctes)
    if not has_clear_names or (with_ is not None and with_.args.get("recursive")):
        return NOTHING_NEEDED
    known: dict[str, Needs] = {}
    for cte in ctes:  # each can read those before it
        name = cte.alias.lower()
        known[name] = _needs(cte.this, known).and_(Needs(parts=frozenset([name])))
    found = _needs_of_parts(query, known)
    reaches = _reaches(ctes)
    longest = max(_offsets([query]), default=0.0)
    names = [cte.alias.lower() for cte in ctes]
    gates = [name for name in names if name in found.parts and 0 < reaches[name] < longest]
    return replace(found, gate=gates[-1], gate_window=reaches[gates[-1]]) if gates else found


def gate_of(query: exp.Expr, name: str) -> exp.Expr:
    """Return a query that has a row exactly if a CTE of a query has rows.

    Args:
        query: As for `needs_of`.
        name: The name of the CTE.
    """
    ctes = query.args[WITH].expressions
    (place,) = (number for number, cte in enumerate(ctes) if cte.alias.lower() == name)
    part = exp.Table(this=ctes[place].args["alias"].this.copy())
    gate = exp.select("TRUE AS needed").distinct().from_(part)
    gate.set(WITH, exp.With(expressions=[cte.copy() for cte in ctes[: place + 1]]))
    return gate


def reads_added_fields(query: exp.Expr) -> bool:
    """Return whether a query reads fields that Panther adds to a record, other than its times.

    Args:
        query: A result of `parse_sql`.
    """
    found = translate(query, TABLES)  # replaces every `*` of a table by its columns
    names = {column.name.lower() for column in found.find_all(exp.Column)}
    stars = (star for star in found.find_all(exp.Star) if not isinstance(star.parent, exp.Count))
    return not names.isdisjoint(ADDED_COLUMNS) or any(stars)


def _reaches(ctes: Iterable[exp.CTE]) -> dict[str, float]:
    """Return the longest window that each CTE sees, by name; infinity if one is unlimited."""
    found: dict[str, float] = {}
    for cte in ctes:
        reach = max(_offsets([cte]), default=0.0)
        for select in cte.find_all(exp.Select):
            for table in sources(select):
                is_open = isinstance(table, exp.Table) and limit_of(select, table) is None
                if is_open and _is_cloudtrail(table, found):
                    reach = math.inf
        for table in cte.find_all(exp.Table):
            reach = max(reach, found.get(table.name.lower(), 0.0))
        found[cte.alias.lower()] = reach
    return found


def _offsets(parts: Iterable[exp.Expr]) -> list[float]:
    macros = (macro for part in parts for macro in part.find_all(exp.Anonymous))
    return [offset_of(macro) for macro in macros if macro.name.lower() == SINCE]


def _needs(query: exp.Expr, known: Mapping[str, Needs]) -> Needs:
    return NOTHING_NEEDED if query.args.get(WITH) is not None else _needs_of_parts(query, known)


def _needs_of_parts(query: exp.Expr, known: Mapping[str, Needs]) -> Needs:
    if isinstance(query, exp.Subquery):
        is_plain = not any(query.args.get(name) for name in NOT_LOOKED_INTO)
        return _needs(query.this, known) if is_plain else NOTHING_NEEDED
    if isinstance(query, exp.SetOperation):
        left, right = _needs(query.this, known), _needs(query.expression, known)
        if isinstance(query, exp.Union):
            return left.or_(right)
        return left.and_(right) if isinstance(query, exp.Intersect) else left
    if not isinstance(query, exp.Select) or _can_have_rows_without_input(query):
        return NOTHING_NEEDED
    found = NOTHING_NEEDED
    source = query.args.get("from_") or query.args.get("from")
    if source is not None:
        found = _needs_of_source(query, source.this, known)
    for join in query.args.get("joins") or []:
        side, kind = (join.side or "").upper(), (join.kind or "").upper()
        other = _needs_of_source(query, join.this, known)
        if side == "RIGHT":
            found = other
        elif side == "FULL" or join.method or (kind == "OUTER" and not side):
            return NOTHING_NEEDED
        elif side != "LEFT" and kind in ("", "INNER", "CROSS"):
            found = found.and_(other)
    return found


def _can_have_rows_without_input(select: exp.Select) -> bool:
    """Return whether a SELECT can have a row although its sources have none."""
    if any(select.args.get(name) for name in ("connect", "match", "pivots")):
        return True
    group = select.args.get("group")
    if group is None:
        return bool(select.args.get("having")) or _may_aggregate(select)
    plain = all(not isinstance(by, GROUPINGS) for by in group.expressions)
    return not (group.expressions and plain) or any(group.args.get(name) for name in TOTALS)


def _may_aggregate(select: exp.Select) -> bool:
    """Return whether a SELECT may have an aggregate; an unknown function counts as one."""
    for function in select.find_all(exp.Func):
        if function.find_ancestor(exp.Select) is not select:
            continue
        if isinstance(function, exp.Anonymous):
            is_aggregate = function_name(function) not in OF_ONE_ROW
        else:
            is_aggregate = isinstance(function, exp.AggFunc) or "Agg" in type(function).__name__
        if is_aggregate and not _is_over_a_window(function):
            return True
    return False


def _is_over_a_window(function: exp.Expr) -> bool:
    node = function
    while isinstance(node.parent, BETWEEN_FUNCTION_AND_WINDOW) and node.parent.this is node:
        node = node.parent
    return isinstance(node.parent, exp.Window) and node.parent.this is node


def _needs_of_source(select: exp.Select, source: exp.Expr, known: Mapping[str, Needs]) -> Needs:
    if isinstance(source, exp.Subquery):
        return _needs(source, known)
    if not isinstance(source, exp.Table) or any(source.args.get(n) for n in NOT_LOOKED_INTO):
        return NOTHING_NEEDED
    if _is_cloudtrail(source, known):
        limit = limit_of(select, source)
        return NOTHING_NEEDED if limit is None else Needs(window=limit)
    return NOTHING_NEEDED if source.db else known.get(source.name.lower(), NOTHING_NEEDED)


def _is_cloudtrail(source: exp.Expr, known: Iterable[str]) -> bool:
    is_named_so = isinstance(source, exp.Table) and source.name.lower() == CLOUDTRAIL
    return is_named_so and (bool(source.args.get("db")) or CLOUDTRAIL not in known)


def limit_of(select: exp.Select, table: exp.Expr) -> float | None:
    """Return the shortest window, in seconds, that limits a table in a SELECT; None without one.

    Only conditions joined by AND count.

    Args:
        select: The SELECT.
        table: One of its sources.
    """
    where = select.args.get("where")
    if where is None:
        return None
    parts = where.this.flatten() if isinstance(where.this, exp.And) else [where.this]
    macros = [p for p in parts if isinstance(p, exp.Anonymous) and p.name.lower() == SINCE]
    owners = [table.alias_or_name.lower(), *([""] if is_alone(table, sources(select)) else [])]
    own = [macro for macro in macros if _alias_of(macro).lower() in owners]
    return min(map(offset_of, own), default=None)


def _alias_of(macro: exp.Anonymous) -> str:
    """Return the table alias in the arguments of a macro; "" if there is none."""
    alias = macro.expressions[1] if len(macro.expressions) > 1 else exp.null()
    return "" if isinstance(alias, exp.Null) else alias.name
