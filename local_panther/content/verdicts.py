"""Caches panther_analysis_tool's verdicts on items, so that it checks only what has changed.

In a test of panther-analysis, the tool spends two thirds of its time in sqlfluff, to find the
tables of queries, and most of the rest in schemas. The results depend only on the text of an item
and on the packages that check it. This module, and no other, replaces these functions of the tool
in this process; the tool's files stay unchanged, and functions that its version lacks are skipped.

Only positive verdicts on an item are cached. An invalid item is checked every time, so that the
errors are the tool's own. Results of tests are never cached.
"""

import contextlib
import io
import json
import logging
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType
from typing import Any

from local_panther.remembered import verdicts

VALID = "valid"
PLAIN = (str, int, float, bool, type(None))


def remember_verdicts(tool: ModuleType) -> None:
    """Make the tool use cached verdicts in this process from now on.

    Args:
        tool: `panther_analysis_tool.analysis_utils`; some of its functions are replaced.
    """
    names = vars(tool)
    if names.get("contains_invalid_table_names") is invalid_table_names:
        return  # replaced before
    if loader := names.get("_PyYAMLFastLoader"):
        loader.load = _remembered_yaml(loader.load)
    judged = _Judged()
    for name, schema in names.get("SCHEMAS", {}).items():
        _remember_schema(str(name), schema, judged)
    if schema := names.get("SQL_LOOKUP_TABLE_SCHEMA"):
        _remember_schema("lookup_table by SQL", schema, judged)
    if validator := names.get("Draft202012Validator"):
        names["Draft202012Validator"] = _remembered_validator(validator, judged)
    if find := names.get("contains_invalid_table_names"):
        _Tables.find = find
        names["contains_invalid_table_names"] = invalid_table_names


def _remembered_yaml(load: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a YAML loader that caches the value of a text."""

    def remembered_load(self: Any, stream: Any) -> Any:
        if not isinstance(stream, io.BytesIO):
            return load(self, stream)
        # latin-1 maps each byte to a character; the loader itself decides whether it is UTF-8.
        text = stream.getvalue().decode("latin-1")
        kept = verdicts.get("yaml", text)
        if kept is not None:
            return json.loads(kept)
        found = load(self, stream)
        with contextlib.suppress(TypeError, ValueError, RecursionError):
            as_json = json.dumps(found)
            if _is_tree(found) and repr(json.loads(as_json)) == repr(found):
                verdicts.keep("yaml", {text: as_json})
        return found

    return remembered_load


def _is_tree(value: Any) -> bool:
    """Return whether no list or mapping appears in two places of a value, as YAML aliases do."""
    waiting, seen = [value], set[int]()
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict | list):
            if id(each) in seen:
                return False
            seen.add(id(each))
            waiting += each.values() if isinstance(each, dict) else each
    return True


class _Judged:
    """The cache keys of items: texts that differ for any two different items.

    The tool checks an item with its own schema first, and with the JSON schema right after, so that
    the text is made once for both.
    """

    def __init__(self) -> None:
        self._item: Any = None
        self._text = ""

    def first(self, item: Any) -> str:
        """Return the key of an item for the check with the tool's own schema."""
        self._item, self._text = item, repr(item)
        return self._text

    def second(self, item: Any) -> str:
        """Return the key of an item for the check with the JSON schema."""
        text = self._text if item is self._item else repr(item)
        self._item, self._text = None, ""
        return text


def _remember_schema(name: str, schema: Any, judged: _Judged) -> None:
    """Make a schema cache which items are valid.

    The tool changes its schemas for some items and options; both are part of the key.
    """
    validate = type(schema).validate.__get__(schema)

    def remembered_validate(item: Any, **options: Any) -> Any:
        if options:  # a schema inside another one
            return validate(item, **options)
        text = f"{schema._ignore_extra_keys}\n{judged.first(item)}"
        if verdicts.get(name, text) == VALID:
            return item
        found = validate(item)
        verdicts.keep(name, {text: VALID})
        return found

    schema.validate = remembered_validate


def _remembered_validator(validator: Callable[..., Any], judged: _Judged) -> Callable[..., Any]:
    """Return a class of JSON schema validators that cache which items are valid."""

    class Validator:
        def __init__(self, schema: Any, *args: Any, **kwargs: Any) -> None:
            self._given = (schema, *args), kwargs
            self._kind = f"JSON schema {json.dumps(schema)}"
            self._real: Any = None

        def validate(self, item: Any) -> None:
            text = judged.second(item)
            if verdicts.get(self._kind, text) != VALID:
                if self._real is None:
                    args, kwargs = self._given
                    self._real = validator(*args, **kwargs)
                self._real.validate(item)
                verdicts.keep(self._kind, {text: VALID})

        def __getattr__(self, name: str) -> Any:
            args, kwargs = self._given
            return getattr(validator(*args, **kwargs), name)

    return Validator


class _Tables:
    """A holder of the tool's own function that finds invalid table names."""

    find: Callable[[Any, str, list[str]], list[str]]


def invalid_table_names(spec: Any, item: str, valid: list[str]) -> list[str]:
    """Return the invalid table names in a query, and log what the tool logs.

    It is a function at module level so that the tool's `--workers` can pickle it.

    Args:
        spec: The item with the query.
        item: Its ID.
        valid: Patterns of additional valid names.
    """
    query = [spec.get(key) for key in ("Query", "SnowflakeQuery") if key in spec]
    text = repr((query, item, valid, logging.getLogger().getEffectiveLevel()))
    kept = verdicts.get("tables", text)
    if kept is not None:
        found, lines = json.loads(kept)
        for level, line in lines:
            logging.log(level, "%s", line)
        return list(found)
    _share_dialects()
    with logged() as records:
        names = _Tables.find(spec, item, valid)
    if all(record.name == "root" for record in records):  # logged by the tool, not by sqlfluff
        lines = [(record.levelno, record.getMessage()) for record in records]
        verdicts.keep("tables", {text: json.dumps([names, lines])})
    return names


@cache
def _share_dialects() -> None:
    """Make sqlfluff share its grammar of Snowflake between queries.

    It copies its settings for each query, and with them the grammar, which no query changes.
    """
    with contextlib.suppress(ImportError):  # other versions have it elsewhere
        from sqlfluff.core.dialects.base import Dialect

        grammar: Any = Dialect
        grammar.__deepcopy__ = lambda dialect, _: dialect


@contextlib.contextmanager
def logged() -> Iterator[list[logging.LogRecord]]:
    """Yield a list that collects what is logged inside the context."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.NOTSET)
    handler.emit = records.append  # type: ignore[method-assign, assignment]
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield records
    finally:
        root.removeHandler(handler)
