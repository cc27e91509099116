"""Loads a folder of Panther content, checked with panther_analysis_tool's own schemas."""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from panther_analysis_tool.analysis_utils import classify_analysis, load_analysis_specs
from panther_analysis_tool.core.definitions import ClassifiedAnalysis

from local_panther.content.filters import possible_values, translate
from local_panther.content.importing import Importer
from local_panther.content.model import (
    DEFAULT_DEDUP_MINUTES,
    Content,
    Metadata,
    Query,
    StreamingRule,
)
from local_panther.content.simple import transpile_detection
from local_panther.correlation.grammar import CorrelationRule, parse_rule
from local_panther.correlation.schedule import parse_schedule
from local_panther.errors import ContentError, FieldError, Problem, one_line
from local_panther.lake.dialect import (
    parse_sql,
    reads_only_cloudtrail,
    scanned_event_names,
)

MIN_DEDUP_MINUTES = 5
QUERY_KINDS = ("saved_query", "scheduled_query")
SQL_FIELDS = ("SnowflakeQuery", "Query")
NOT_REPLAYED = ("policy", "lookup_table", "rule")


@contextlib.contextmanager
def loaded_content(
    folder: Path, include_disabled: bool = False, saved_queries: str = ""
) -> Iterator[Content]:
    """Load the content of a folder and keep it importable as on an instance while in use.

    Args:
        folder: The root of a content repository, as panther_analysis_tool takes it.
        include_disabled: Load items with `Enabled: false` too.
        saved_queries: Load the saved queries that have a tag which begins so; none by default.

    Raises:
        ContentError: Something does not load; every problem is named with file and field.
    """
    specs = _read_specs(folder)
    with Importer() as importer:
        yield _Loader(folder, importer, include_disabled, saved_queries).load(specs)


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
        self, folder: Path, importer: Importer, include_disabled: bool, saved_queries: str
    ) -> None:
        self._saved_queries = saved_queries
        self._folder = folder
        self._importer = importer
        self._include_disabled = include_disabled
        self._problems: list[Problem] = []
        self._files: dict[str, str] = {}
        self._ids: set[str] = set()
        self._content = Content()

    def load(self, items: list[ClassifiedAnalysis]) -> Content:
        # A rule's body imports helpers, so these come first.
        order = {"global": 0, "datamodel": 1}
        self._ids = {item.analysis_id() for item in items}
        for item in sorted(items, key=lambda item: order.get(item.analysis_type(), 2)):
            try:
                self._add(item)
            except (FieldError, OSError) as error:
                self._problem(item, str(error))
            except Exception as error:
                # A body can raise anything when it is imported.
                logging.debug("loading %s", item.file_name, exc_info=True)
                self._problem(item, f"Filename: does not import: {type(error).__name__}: {error}")
        self._check_steps()
        self._check_queries()
        if self._problems:
            raise ContentError(self._problems)
        return self._content

    def _add(self, item: ClassifiedAnalysis) -> None:
        spec, kind = item.analysis_spec, item.analysis_type()
        # A log type has one enabled data model: a disabled one is never asked for.
        asked_for = self._include_disabled and kind != "datamodel"
        if not spec.get("Enabled", True) and not asked_for:
            self._content.disabled.append(item.analysis_id())
        elif kind == "global":
            self._importer.add_helper(spec["GlobalID"], self._body(item))
        elif kind == "datamodel":
            self._add_data_model(item)
        elif kind == "rule" and ("Filename" in spec or "Detection" in spec):
            self._content.rules.append(self._rule(item))
        elif kind == "correlation_rule":
            self._files[spec["RuleID"]] = _relative(item.file_name, self._folder)
            rule = parse_rule(spec)
            self._content.correlation_rules.append((Metadata.from_spec(spec), rule))
        elif kind == "scheduled_rule" and "Filename" in spec:
            rule = self._rule(item), spec["ScheduledQueries"]
            self._content.scheduled_rules.append(rule)
        elif kind in QUERY_KINDS:
            self._add_query(item)
        elif kind in NOT_REPLAYED:
            self._content.not_replayed.append(item.analysis_id())
            if kind == "policy" and "Filename" in spec:
                self._importer.import_body(item.analysis_id(), self._body(item))

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
            self._content.not_replayed.append(name)
            return
        try:
            sql = parse_sql(spec[key])
        except FieldError as error:
            raise FieldError(f"{key}: {error}") from error
        if not reads_only_cloudtrail(sql):
            self._content.not_replayed.append(name)
            return
        schedule = parse_schedule(spec["Schedule"], "Schedule") if "Schedule" in spec else None
        self._content.queries[name] = Query(name, sql, schedule, tags, scanned_event_names(sql))

    def _add_data_model(self, item: ClassifiedAnalysis) -> None:
        spec = item.analysis_spec
        body = self._body(item) if "Filename" in spec else None
        model = self._importer.data_model(spec["DataModelID"], spec["Mappings"], body)
        for log_type in spec["LogTypes"]:
            if log_type in self._content.data_models:
                raise FieldError(f"LogTypes: {log_type} already has an enabled data model")
            self._content.data_models[log_type] = model

    def _rule(self, item: ClassifiedAnalysis) -> StreamingRule:
        spec = item.analysis_spec
        filters = translate(spec.get("InlineFilters"))
        is_simple = "Detection" in spec
        body = transpile_detection(spec) if is_simple else self._body(item)
        detection = self._importer.rule(spec, body, filters)
        conditions = [*(spec.get("InlineFilters") or []), *(spec.get("Detection") or [])]
        return StreamingRule(
            metadata=Metadata.from_spec(spec),
            detection=detection,
            log_types=frozenset(spec.get("LogTypes") or ()),
            event_names=possible_values(conditions, "eventName"),
            threshold=max(spec.get("Threshold", 1), 1),
            dedup_seconds=_dedup_seconds(spec),
        )

    def _check_steps(self) -> None:
        rules = {metadata.rule_id: rule for metadata, rule in self._content.correlation_rules}
        for rule_id, rule in rules.items():
            for step in rule.steps:
                if step.rule_id not in self._ids:
                    wrong = f"rule {step.rule_id} is not in this content"
                elif _leads_to(step.rule_id, rule_id, rules):
                    wrong = f"rule {step.rule_id} leads back to {rule_id}"
                else:
                    continue
                message = f"Detection: step {step.id}: {wrong}"
                self._problems.append(Problem(self._files[rule_id], message))

    def _check_queries(self) -> None:
        """Set aside scheduled rules whose queries are not replayed: they never get a row."""
        running, idle = [], []
        for rule, names in self._content.scheduled_rules:
            is_fed = any(name in self._content.queries for name in names)
            (running if is_fed else idle).append((rule, names))
        self._content.scheduled_rules = running
        self._content.not_replayed += [rule.metadata.rule_id for rule, _ in idle]

    def _body(self, item: ClassifiedAnalysis) -> str:
        try:
            return (Path(item.file_name).parent / item.analysis_spec["Filename"]).read_text(
                encoding="utf-8"
            )
        except (OSError, UnicodeDecodeError) as error:
            name = item.analysis_spec["Filename"]
            raise FieldError(f"Filename: {name} can not be read: {error}") from error

    def _problem(self, item: ClassifiedAnalysis, message: str) -> None:
        self._problems.append(Problem(_relative(item.file_name, self._folder), message))


def _leads_to(start: str, goal: str, rules: Mapping[str, CorrelationRule]) -> bool:
    """Tell whether a rule is another one, or has it among its steps' steps."""
    waiting, seen = [start], set()
    while waiting:
        rule_id = waiting.pop()
        if rule_id == goal:
            return True
        if rule_id in rules and rule_id not in seen:
            seen.add(rule_id)
            waiting.extend(step.rule_id for step in rules[rule_id].steps)
    return False


def _dedup_seconds(spec: Mapping[str, Any]) -> int:
    """Return the dedup period: an instance ignores 0 and takes less than 5 minutes for 5."""
    minutes = spec.get("DedupPeriodMinutes") or DEFAULT_DEDUP_MINUTES
    return max(minutes, MIN_DEDUP_MINUTES) * 60


def _relative(file_name: str, folder: Path) -> str:
    return os.path.relpath(file_name, folder.resolve())
