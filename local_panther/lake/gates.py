"""Builds the gates of scheduled queries, and proves which of them only failed calls can pass.

A gate is a cheap query that must have a row before the scheduled query can have one. If only failed
calls can pass a gate, it is run over those alone, and all other records stay unread until it is
passed. The proof comes from the text of the query: every part between the log and some part of the
gate makes each of its rows from one row, and with NULL for error code and error message, a
condition on the way is not true, whatever else is in the record.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp

from local_panther.content.sql import sources
from local_panther.lake.columns import FAILED_TABLE, LAKE_TABLE
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.needs import WITH, gate_of, needs_of
from local_panther.lake.session import begin
from local_panther.lake.windows import Gate, Needs

# Parts of a SELECT that makes each of its rows from one row
OF_ONE_ROW = ("kind", "hint", "expressions", "from", "from_", "where", "distinct")
NO_ERROR: Mapping[str, exp.Expr] = {
    name: exp.cast(exp.null(), "text") for name in ("errorcode", "errormessage")
}
UNKNOWN = object()
TABLE = LAKE_TABLE.rpartition(".")[2]


def gate_for(query: exp.Expr, needs: Needs) -> Gate:
    """Return the gate of a query, preferably one that only calls with an error can pass.

    Args:
        query: A result of `parse_sql`.
        needs: The needs of its rows, with the name of a gate.
    """
    names = [cte.alias.lower() for cte in query.args[WITH].expressions]
    earlier = names[: names.index(needs.gate) + 1]
    with closing(duckdb.connect(config={"threads": 1})) as connection:
        begin(connection)
        for name in reversed([name for name in earlier if name in needs.parts]):
            plain = gate_of(query, name)
            sql = transpile_sql(plain, arrived=True)
            gate = sqlglot.parse_one(sql, read="duckdb")
            if _Proof(gate, connection).spares_successes():
                for table in list(gate.find_all(exp.Table)):
                    if _is_log(table):
                        table.replace(exp.to_table(FAILED_TABLE))
                of_failures = gate.sql("duckdb", identify=True)
                return Gate(sql, of_failures, needs_calls=needs_of(plain).window < math.inf)
    return Gate(transpile_sql(gate_of(query, needs.gate), arrived=True))


class _Proof:
    """A proof that records without an error cannot change whether a gate has a row."""

    def __init__(self, gate: exp.Expr, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        ctes = gate.args[WITH].expressions
        self._parts = {cte.alias: cte.this for cte in ctes}
        self._reads = {name: self._read_by(part) for name, part in self._parts.items()}

    def spares_successes(self) -> bool:
        """Return whether a record without an error changes nothing."""
        return any(self._is_strait(name) for name in self._parts)

    def _read_by(self, part: exp.Expr) -> set[str]:
        """Return the names of the tables that a part reads, TABLE for the log."""
        return {
            TABLE if _is_log(table) else table.name
            for table in part.find_all(exp.Table)
            if _is_log(table) or table.name in self._parts
        }

    def _is_strait(self, name: str) -> bool:
        """Return whether all records must pass through a part that stops those without an error."""
        chain = list(self._chain(name))
        if not chain or chain[-1] != TABLE:
            return False
        others = self._parts.keys() - set(chain)
        inside = {*chain[1:]}
        return not any(self._reads[other] & inside for other in others) and self._stops(chain)

    def _chain(self, name: str) -> Iterator[str]:
        """Yield a part, the part that it reads, and so on, while each maps rows one by one."""
        while name in self._parts:
            yield name
            source = _source_of(self._parts[name])
            inner = source.this if isinstance(source, exp.Subquery) else None
            if isinstance(inner, exp.Select):
                source = _source_of(inner)
            if not isinstance(source, exp.Table):
                return
            name = TABLE if _is_log(source) else source.name
        yield name

    def _stops(self, chain: list[str]) -> bool:
        """Return whether some condition in the chain rejects every record without an error."""
        known: Mapping[str, exp.Expr] = NO_ERROR
        for name in reversed(chain[:-1]):
            select = self._parts[name]
            where = select.args.get("where")
            for condition in _conditions(where.this if where else None):
                if self._value(condition, known) in (None, False):
                    return True
            known = {
                column.alias_or_name.lower(): literal
                for column in select.expressions
                if (literal := self._literal(column.unalias(), known)) is not None
            }
        return False

    def _literal(self, expression: exp.Expr, known: Mapping[str, exp.Expr]) -> exp.Expr | None:
        value = self._value(expression, known)
        if value is None or isinstance(value, str):
            text = exp.null() if value is None else exp.Literal.string(value)
            return exp.cast(text, "text")
        return exp.convert(value) if isinstance(value, bool) else None

    def _value(self, expression: exp.Expr, known: Mapping[str, exp.Expr]) -> Any:
        """Return the value of an expression, given some columns; UNKNOWN if it needs others."""
        root = exp.Paren(this=expression.copy())
        for column in list(root.find_all(exp.Column)):
            if column.name.lower() in known:
                column.replace(known[column.name.lower()].copy())
        for case in reversed(list(root.find_all(exp.Case))):
            self._decide(case)
        return self._evaluated(root)

    def _decide(self, case: exp.Case) -> None:
        """Simplify a CASE: drop branches that cannot be reached."""
        if case.this is not None:
            return
        branches = list(case.args["ifs"])
        while branches and (value := self._evaluated(branches[0].this)) is not UNKNOWN:
            if value:
                case.replace(branches[0].args["true"])
                return
            branches.pop(0)
        if branches:
            case.set("ifs", branches)
        else:
            case.replace(case.args.get("default") or exp.null())

    def _evaluated(self, expression: exp.Expr) -> Any:
        if expression.find(exp.Column, exp.Placeholder, exp.Parameter, exp.Query, exp.Star):
            return UNKNOWN
        try:
            text = f"SELECT {expression.sql('duckdb', identify=True)}"
            (row,) = self._connection.execute(text).fetchall()
        except duckdb.Error:
            return UNKNOWN
        return row[0]


def _source_of(part: exp.Expr) -> exp.Expr | None:
    """Return the only source of a part that makes each row from one row; None for other parts."""
    if not isinstance(part, exp.Select) or len(found := sources(part)) != 1:
        return None
    has_more = any(value for name, value in part.args.items() if name not in OF_ONE_ROW)
    distinct = part.args.get("distinct")
    own = [*part.expressions, *([part.args["where"]] if part.args.get("where") else [])]
    looks_further = any(each.find(exp.Window, exp.AggFunc, exp.Query, exp.UDTF) for each in own)
    if has_more or looks_further or (distinct and distinct.args.get("on")):
        return None
    return found[0]


def _conditions(where: exp.Expr | None) -> list[exp.Expr]:
    if where is None:
        return []
    return list(where.flatten()) if isinstance(where, exp.And) else [where]


def _is_log(table: exp.Expr) -> bool:
    return isinstance(table, exp.Table) and table.name == TABLE and bool(table.catalog)
