"""Finds the windows of a query: the periods before a run in which it reads records."""

from sqlglot import exp

from local_panther.content.sql import cloudtrail_selects, cloudtrail_tables, sources
from local_panther.content.sql_dialect import function_name
from local_panther.errors import FieldError
from local_panther.lake.functions import NOW_FUNCTIONS
from local_panther.lake.macros import TIME_COLUMN, offset_of
from local_panther.lake.needs import SINCE, limit_of, needs_of
from local_panther.lake.windows import NOTHING_NEEDED, Windows

OTHER_CLOCKS = {*NOW_FUNCTIONS, "RANDOM", "UUID_STRING"}


def find_windows(query: exp.Expr) -> Windows:
    """Return the windows of a parsed query."""
    functions = list(query.find_all(exp.Anonymous))
    macros = [function for function in functions if function.name.lower() == SINCE]
    try:
        offsets = tuple(sorted({offset_of(macro) for macro in macros}))
    except FieldError:
        return Windows((), None, repeatable=False)
    calls = set(map(function_name, functions))
    tells_time = query.find(exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime, exp.Localtime)
    has_own_clock = bool(tells_time) or not calls.isdisjoint(OTHER_CLOCKS)
    columns = (macro.expressions[2:3] for macro in macros)
    by_event_time = all(not column or column[0].name == TIME_COLUMN for column in columns)
    tables = {id(table) for table in cloudtrail_tables(query)}
    limits = [
        limit_of(part, table)
        for part in cloudtrail_selects(query)
        for table in sources(part)
        if id(table) in tables
    ]
    known = [limit for limit in limits if limit is not None]
    reach = max(known, default=0.0) if len(known) == len(tables) else None
    needs = needs_of(query) if by_event_time else NOTHING_NEEDED
    return Windows(offsets, reach, by_event_time and not has_own_clock, needs)
