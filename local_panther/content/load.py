"""Loads a folder of Panther content, checked with panther_analysis_tool's own schemas."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from panther_analysis_tool.analysis_utils import classify_analysis, load_analysis_specs
from panther_analysis_tool.core.definitions import ClassifiedAnalysis

from local_panther.content.checks import check_steps, set_idle_rules_aside
from local_panther.content.correlation import parse_correlation
from local_panther.content.filters import possible_values, transpile_filters
from local_panther.content.importing import Importer
from local_panther.content.model import (
    DEFAULT_DEDUP_MINUTES,
    Content,
    CorrelationRule,
    Metadata,
    PythonRule,
    Query,
    ScheduledRule,
)
from local_panther.content.schedule import parse_schedule
from local_panther.content.simple import transpile_detection
from local_panther.content.sql import parse_sql, reads_only_cloudtrail, scanned_event_names
from local_panther.errors import ContentError, FieldError, Problem, one_line

MIN_DEDUP_MINUTES = 5
SQL_FIELDS = ("SnowflakeQuery", "Query")
LOADED_FIRST = {"global": 0, "datamodel": 1}  # a rule's body imports helpers


@contextlib.contextmanager
def loaded_content(
    folder: Path, *, include_disabled: bool = False, saved_queries: str = ""
) -> Iterator[Content]:
    """Load the content of a folder; its helpers can be imported while the context lasts.

    Args:
        folder: The root of a content repository, as panther_analysis_tool takes it.
        include_disabled: Load items with `Enabled: false` too.
        saved_queries: Load the saved queries with a tag that has this prefix; none by default.

    Raises:
        ContentError: Something does not load; every problem is named with file and field.
    """
    specs = _read_specs(folder)
    with Importer() as importer:
        loader = _Loader(
            folder, importer, include_disabled=include_disabled, saved_queries=saved_queries
        )
        yield loader.load(specs)


def _read_specs(folder: Path) -> list[ClassifiedAnalysis]:
    if not folder.is_dir():
        raise ContentError([Problem(str(folder), "is not a folder; name one with --content")])
    # panther_analysis_tool looks for content in the current folder only by its folders' names.
    with contextlib.chdir(folder):
        found = list(load_analysis_specs(["."], ignore_files=[]))
        items, invalid = classify_analysis(
            found, ignore_table_names=True, valid_table_names=[], ignore_extra_keys=False
        )
    problems = [Problem(_relative(name, folder), one_line(error)) for name, error in invalid]
    if problems:
        raise ContentError(problems)
    if items.empty():
        hint = "holds no Panther content (rules/, correlation_rules/, …); name a folder that does"
        raise ContentError([Problem(str(folder), f"{hint} with --content")])
    return list(items.items())


class _Loader:
    """Turns checked specifications into content that runs, and collects what is wrong with them."""

    def __init__(
        self, folder: Path, importer: Importer, *, include_disabled: bool, saved_queries: str
    ) -> None:
        self._saved_queries = saved_queries
        self._folder = folder
        self._importer = importer
        self._include_disabled = include_disabled
        self._problems: list[Problem] = []
        self._files: dict[str, str] = {}  # of correlation rules, by rule ID
        self._content = Content()
        self._add_by_kind: dict[str, Callable[[ClassifiedAnalysis], None]] = {
            "global": self._add_helper,
            "datamodel": self._add_data_model,
            "rule": self._add_rule,
            "scheduled_rule": self._add_scheduled_rule,
            "correlation_rule": self._add_correlation_rule,
            "saved_query": self._add_query,
            "scheduled_query": self._add_query,
            "policy": self._add_policy,
            "lookup_table": self._set_aside,
        }

    def load(self, items: list[ClassifiedAnalysis]) -> Content:
        known_ids = {item.analysis_id() for item in items}
        for item in sorted(items, key=lambda item: LOADED_FIRST.get(item.analysis_type(), 2)):
            self._add(item)
        self._problems += check_steps(self._content, known_ids, self._files)
        set_idle_rules_aside(self._content)
        if self._problems:
            raise ContentError(self._problems)
        return self._content

    def _add(self, item: ClassifiedAnalysis) -> None:
        kind = item.analysis_type()
        # A log type has one enabled data model: a disabled one is never asked for.
        wants_disabled = self._include_disabled and kind != "datamodel"
        if not item.analysis_spec.get("Enabled", True) and not wants_disabled:
            self._content.disabled.append(item.analysis_id())
            return
        add = self._add_by_kind.get(kind)
        if add is None:
            return  # packs and the like: nothing to run
        try:
            add(item)
        except (FieldError, OSError) as error:
            self._problem(item, str(error))
        except Exception as error:
            # A body can raise anything when it is imported.
            logging.debug("loading %s", item.file_name, exc_info=True)
            self._problem(item, f"Filename: import failed: {type(error).__name__}: {error}")

    def _add_helper(self, item: ClassifiedAnalysis) -> None:
        self._importer.add_helper(item.analysis_spec["GlobalID"], self._body(item))

    def _add_data_model(self, item: ClassifiedAnalysis) -> None:
        spec = item.analysis_spec
        body = self._body(item) if "Filename" in spec else None
        model = self._importer.data_model(spec["DataModelID"], spec["Mappings"], body)
        for log_type in spec["LogTypes"]:
            if log_type in self._content.data_models:
                raise FieldError(f"LogTypes: {log_type} already has an enabled data model")
            self._content.data_models[log_type] = model

    def _add_rule(self, item: ClassifiedAnalysis) -> None:
        if "Filename" in item.analysis_spec or "Detection" in item.analysis_spec:
            self._content.rules.append(self._python_rule(item))
        else:
            self._set_aside(item)

    def _add_scheduled_rule(self, item: ClassifiedAnalysis) -> None:
        if "Filename" in item.analysis_spec:
            names = tuple(item.analysis_spec["ScheduledQueries"])
            self._content.scheduled_rules.append(ScheduledRule(self._python_rule(item), names))
        else:
            self._set_aside(item)

    def _add_correlation_rule(self, item: ClassifiedAnalysis) -> None:
        spec = item.analysis_spec
        self._files[spec["RuleID"]] = _relative(item.file_name, self._folder)
        rule = CorrelationRule(Metadata.from_spec(spec), parse_correlation(spec))
        self._content.correlation_rules.append(rule)

    def _add_query(self, item: ClassifiedAnalysis) -> None:
        """Add a query that the lake can run; one over other tables is not replayed."""
        spec, name = item.analysis_spec, item.analysis_id()
        tags = tuple(spec.get("Tags") or ())
        prefix = self._saved_queries
        is_wanted = prefix and any(tag.startswith(prefix) for tag in tags)
        if "Schedule" not in spec and not is_wanted:
            return  # a saved query that nobody runs here
        key = next((key for key in SQL_FIELDS if key in spec), None)
        if key is None:
            self._set_aside(item)
            return
        try:
            sql = parse_sql(spec[key])
        except FieldError as error:
            raise FieldError(f"{key}: {error}") from error
        if not reads_only_cloudtrail(sql):
            self._set_aside(item)
            return
        schedule = parse_schedule(spec["Schedule"], "Schedule") if "Schedule" in spec else None
        self._content.queries[name] = Query(name, sql, schedule, tags, scanned_event_names(sql))

    def _add_policy(self, item: ClassifiedAnalysis) -> None:
        self._set_aside(item)
        if "Filename" in item.analysis_spec:
            self._importer.import_body(item.analysis_id(), self._body(item))

    def _set_aside(self, item: ClassifiedAnalysis) -> None:
        self._content.not_replayed.append(item.analysis_id())

    def _python_rule(self, item: ClassifiedAnalysis) -> PythonRule:
        spec = item.analysis_spec
        filters = transpile_filters(spec.get("InlineFilters"))
        body = transpile_detection(spec) if "Detection" in spec else self._body(item)
        detection = self._importer.rule(spec, body, filters)
        conditions = [*(spec.get("InlineFilters") or []), *(spec.get("Detection") or [])]
        return PythonRule(
            metadata=Metadata.from_spec(spec),
            detection=detection,
            log_types=frozenset(spec.get("LogTypes") or ()),
            event_names=possible_values(conditions, "eventName"),
            threshold=max(spec.get("Threshold", 1), 1),
            dedup_seconds=_dedup_seconds(spec),
        )

    def _body(self, item: ClassifiedAnalysis) -> str:
        name: str = item.analysis_spec["Filename"]
        try:
            return (Path(item.file_name).parent / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise FieldError(f"Filename: {name} cannot be read: {error}") from error

    def _problem(self, item: ClassifiedAnalysis, message: str) -> None:
        self._problems.append(Problem(_relative(item.file_name, self._folder), message))


def _dedup_seconds(spec: Mapping[str, Any]) -> int:
    """Return the dedup period: an instance ignores 0, and 5 minutes is the minimum."""
    minutes: int = spec.get("DedupPeriodMinutes") or DEFAULT_DEDUP_MINUTES
    return max(minutes, MIN_DEDUP_MINUTES) * 60


def _relative(file_name: str, folder: Path) -> str:
    return os.path.relpath(file_name, folder.resolve())
