"""Loads the items of a content folder that run, and notes why the others do not."""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from local_panther.content.checks import check_steps, check_test_names, leave_out_idle_rules
from local_panther.content.correlation_grammar import parse_correlation
from local_panther.content.filters import possible_values, transpile_filters
from local_panther.content.importing import Importer
from local_panther.content.items import ClassifiedAnalysis
from local_panther.content.kinds import QUERY_KINDS
from local_panther.content.left_out import LeftOut, Reason
from local_panther.content.log_types import CLOUDTRAIL, check_log_types
from local_panther.content.model import (
    DEFAULT_DEDUP_MINUTES,
    Content,
    CorrelationRule,
    Metadata,
    PythonRule,
    Query,
    ScheduledRule,
)
from local_panther.content.queries import (
    Checks,
    QueryCheck,
    read_query,
    sql_field,
    unchecked,
)
from local_panther.content.schedule import parse_schedule
from local_panther.content.simple import transpile_detection
from local_panther.content.specs import is_uploaded, read_specs, relative
from local_panther.content.sql_text import QueryTexts
from local_panther.errors import ContentError, FieldError, Problem
from local_panther.imports import lazily

MIN_DEDUP_MINUTES = 5
LOADED_FIRST = {"global": 0, "datamodel": 1}  # a rule's body imports helpers
NEEDED_BY_PANTHER_ANALYSIS = {"pycountry"}  # installed by the extra `panther-analysis`


@contextlib.contextmanager
def loaded_content(
    folder: Path,
    *,
    include_disabled: bool = False,
    saved_queries: str = "",
    strict: bool = True,
    log_type: str = CLOUDTRAIL,
    checks: Checks = unchecked,
) -> Iterator[Content]:
    """Load the content of a folder; its helpers can be imported while the context lasts.

    Args:
        folder: The root of a content repository, as for panther_analysis_tool.
        include_disabled: Also load items with `Enabled: false`, and those that an upload skips
            because of their Status.
        saved_queries: Load the saved queries that have a tag with this prefix; by default none.
        strict: Check everything, as an instance does at an upload, and raise for any problem. If
            False, only items that can run over the log type are loaded, and invalid ones are left
            out.
        log_type: The log type of the events that streaming rules will get.
        checks: Opens a check of parsed queries; it is closed once the content is loaded.

    Raises:
        ContentError: The folder holds no content, or an item is invalid and either `strict` is set
            or no rule runs. Every problem of an item has its file and field.
    """
    with _loaded(
        folder,
        log_type,
        saved_queries,
        checks,
        include_disabled=include_disabled,
        include_kept_back=include_disabled,
        strict=strict,
    ) as content:
        problems = content.problems
        if problems and (strict or not content.rule_ids):
            raise ContentError(problems)
        yield content


def checked_content(folder: Path, checks: Checks) -> Content:
    """Return the content that an upload of a folder would contain, with all its problems.

    Args:
        folder: The root of a content repository.
        checks: As for `loaded_content`.

    Raises:
        ContentError: The folder holds no content.
    """
    with _loaded(
        folder, CLOUDTRAIL, "", checks, include_disabled=True, include_kept_back=False, strict=True
    ) as content:
        return content


def remember_queries(folder: Path, checks: Checks) -> None:
    """Cache the results about all valid queries of a folder, without importing any Python of it.

    Errors of queries are not reported: `loaded_content` finds them again.

    Args:
        folder: The root of a content repository.
        checks: As for `loaded_content`.

    Raises:
        ContentError: The folder holds no content.
    """
    items = read_specs(folder).items
    texts = _query_texts(items)
    with checks() as check:
        for item in items:
            if item.analysis_type() in QUERY_KINDS and sql_field(item.analysis_spec):
                with contextlib.suppress(Exception):  # SQL that is nested too deeply, for example
                    read_query(item, texts, check)


def _query_texts(items: Iterable[ClassifiedAnalysis]) -> QueryTexts:
    return QueryTexts(
        {
            item.analysis_id(): item.analysis_spec[key]
            for item in items
            if item.analysis_type() in QUERY_KINDS and (key := sql_field(item.analysis_spec))
        }
    )


@contextlib.contextmanager
def _loaded(
    folder: Path,
    log_type: str,
    saved_queries: str,
    checks: Checks,
    *,
    include_disabled: bool,
    include_kept_back: bool,
    strict: bool,
) -> Iterator[Content]:
    """Yield the content, whatever its problems; see `loaded_content` for the arguments.

    Items that are kept back are those that an upload skips because of their Status.
    """
    specs = read_specs(folder)
    with Importer() as importer:
        with checks() as check:
            loader = _Loader(
                log_type,
                folder,
                importer,
                saved_queries,
                check,
                include_disabled=include_disabled,
                include_kept_back=include_kept_back,
                strict=strict,
            )
            with lazily("boto3", "client", "resource"):  # slow, and few rules for CloudTrail use it
                content = loader.load(specs.items)
        content.unreadable, content.unread = specs.unreadable, specs.unread
        content.left_out += [
            LeftOut(problem.where, Reason.BROKEN, problem) for problem in specs.problems
        ]
        bodies = [rule.detection.module for rule in content.python_rules]
        models = [model._module for model in content.data_models.values() if model._module]
        content.modules = [*importer.helpers(), *bodies, *models]
        yield content


class _Loader:
    """A loader that adds the items that run to the content, and notes why the others do not."""

    def __init__(
        self,
        log_type: str,
        folder: Path,
        importer: Importer,
        saved_queries: str,
        check: QueryCheck,
        *,
        include_disabled: bool,
        include_kept_back: bool,
        strict: bool,
    ) -> None:
        self._log_type = log_type
        self._folder = folder
        self._importer = importer
        self._saved_queries = saved_queries
        self._check = check
        self._include_disabled = include_disabled
        self._include_kept_back = include_kept_back
        self._strict = strict
        self._files: dict[str, str] = {}  # files of correlation rules, by rule ID
        self._known_ids: set[str] = set()
        self._content = Content(log_type=log_type)
        self._add_by_kind: dict[str, Callable[[ClassifiedAnalysis], None]] = {
            "global": self._add_helper,
            "datamodel": self._add_data_model,
            "rule": self._add_rule,
            "scheduled_rule": self._add_scheduled_rule,
            "correlation_rule": self._add_correlation_rule,
            "saved_query": self._add_query,
            "scheduled_query": self._add_query,
            "policy": self._add_policy,
            "lookup_table": lambda item: self._leave_out(item, Reason.LOOKUP),
        }

    def load(self, items: list[ClassifiedAnalysis]) -> Content:
        if not self._include_kept_back:
            for item in items:
                if not is_uploaded(item):
                    self._leave_out(item, Reason.STATUS)
            items = [item for item in items if is_uploaded(item)]
        self._known_ids = {item.analysis_id() for item in items}
        self._content.query_texts = _query_texts(items)
        for item in sorted(items, key=lambda item: LOADED_FIRST.get(item.analysis_type(), 2)):
            self._add(item)
        for rule_id, problem in check_steps(self._content, self._known_ids, self._files):
            self._content.left_out.append(LeftOut(rule_id, Reason.BROKEN, problem))
        leave_out_idle_rules(self._content)
        return self._content

    def _add(self, item: ClassifiedAnalysis) -> None:
        kind = item.analysis_type()
        # A log type has one enabled data model: a disabled one is never used.
        wants_disabled = self._include_disabled and kind != "datamodel"
        if not item.analysis_spec.get("Enabled", True) and not wants_disabled:
            self._leave_out(item, Reason.DISABLED)
            return
        add = self._add_by_kind.get(kind)
        if add is None:
            return  # packs and other kinds with nothing to run
        try:
            check_log_types(item.analysis_spec.get("LogTypes") or ())
            check_test_names(item.analysis_spec)
            self._check_base(item)
            if self._strict or self._can_run(item):
                add(item)
            else:
                self._leave_out(item, Reason.LOG_TYPES)
        except (FieldError, OSError) as error:
            self._problem(item, str(error))
        except ModuleNotFoundError as error:
            self._problem(
                item,
                f"Filename: import failed: ModuleNotFoundError: {error}; {_how_to_get(error.name)}",
            )
        except Exception as error:
            # A body can raise anything when it is imported; a query can be nested too deeply.
            logging.debug("loading %s", item.file_name, exc_info=True)
            key = sql_field(item.analysis_spec)
            failed = f"{key}: cannot be analysed" if key else "Filename: import failed"
            self._problem(item, f"{failed}: {type(error).__name__}: {error}")

    def _check_base(self, item: ClassifiedAnalysis) -> None:
        base = item.analysis_spec.get("BaseDetection")
        if base and base not in self._known_ids:
            raise FieldError(f"BaseDetection: {base} is not in this content")

    def _can_run(self, item: ClassifiedAnalysis) -> bool:
        """Return whether an item can apply to the log type, judging by its own log types."""
        log_types = item.analysis_spec.get("LogTypes") or ()
        return item.analysis_type() not in ("rule", "datamodel") or self._log_type in log_types

    def _add_helper(self, item: ClassifiedAnalysis) -> None:
        self._importer.add_helper(item.analysis_spec["GlobalID"], self._body(item))

    def _add_data_model(self, item: ClassifiedAnalysis) -> None:
        spec = item.analysis_spec
        body = self._body(item) if "Filename" in spec else None
        model = self._importer.data_model(spec["DataModelID"], spec["Mappings"], body)
        for log_type in spec["LogTypes"]:
            if log_type in self._content.data_models:
                raise FieldError(f"LogTypes: {log_type} already has an enabled data model")
        self._content.data_models |= dict.fromkeys(spec["LogTypes"], model)

    def _add_rule(self, item: ClassifiedAnalysis) -> None:
        if "Filename" in item.analysis_spec or "Detection" in item.analysis_spec:
            rule = self._python_rule(item)
            if self._log_type in rule.log_types:
                self._content.rules.append(rule)
            else:
                self._leave_out(item, Reason.LOG_TYPES)
        else:
            self._leave_out(item, Reason.DERIVED)

    def _add_scheduled_rule(self, item: ClassifiedAnalysis) -> None:
        if "Filename" in item.analysis_spec:
            names = tuple(item.analysis_spec["ScheduledQueries"])
            self._content.scheduled_rules.append(ScheduledRule(self._python_rule(item), names))
        else:
            self._leave_out(item, Reason.DERIVED)

    def _add_correlation_rule(self, item: ClassifiedAnalysis) -> None:
        spec = item.analysis_spec
        self._files[spec["RuleID"]] = relative(item.file_name, self._folder)
        rule = CorrelationRule(Metadata.from_spec(spec), parse_correlation(spec))
        self._content.correlation_rules.append(rule)

    def _add_query(self, item: ClassifiedAnalysis) -> None:
        """Check a query; add it if it reads CloudTrail and has a schedule or a selected tag."""
        spec, name = item.analysis_spec, item.analysis_id()
        tags = tuple(spec.get("Tags") or ())
        prefix = self._saved_queries
        is_wanted = bool(prefix) and any(tag.startswith(prefix) for tag in tags)
        runs = is_wanted or "Schedule" in spec
        schedule = parse_schedule(spec["Schedule"], "Schedule") if "Schedule" in spec else None
        if sql_field(spec) is None:
            self._leave_out(item, Reason.LANGUAGE)
            return
        text = read_query(item, self._content.query_texts, self._check)
        if not runs:
            return  # a saved query that was not selected by its tag
        if text is None:
            self._leave_out(item, Reason.TABLES)
            return
        self._content.queries[name] = Query(name, text, schedule, tags)

    def _add_policy(self, item: ClassifiedAnalysis) -> None:
        if self._strict and "Filename" in item.analysis_spec:
            self._importer.import_body(item.analysis_id(), self._body(item))
        self._leave_out(item, Reason.POLICY)

    def _leave_out(self, item: ClassifiedAnalysis, reason: Reason) -> None:
        self._content.left_out.append(LeftOut(item.analysis_id(), reason))

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
            body_file="" if "Detection" in spec else self._body_path(item),
        )

    def _body_path(self, item: ClassifiedAnalysis) -> str:
        path = Path(item.file_name).parent / item.analysis_spec["Filename"]
        return relative(str(path), self._folder)

    def _body(self, item: ClassifiedAnalysis) -> str:
        name: str = item.analysis_spec["Filename"]
        path = Path(item.file_name).parent / name
        if path.exists() and not path.is_file():
            raise FieldError(f"Filename: {name} is not a regular file")
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise FieldError(f"Filename: {name} cannot be read: {error}") from error

    def _problem(self, item: ClassifiedAnalysis, message: str) -> None:
        problem = Problem(relative(item.file_name, self._folder), message)
        self._content.left_out.append(LeftOut(item.analysis_id(), Reason.BROKEN, problem))


def _dedup_seconds(spec: Mapping[str, Any]) -> int:
    """Return the dedup period in seconds: an instance ignores 0, and the minimum is 5 minutes."""
    minutes: int = spec.get("DedupPeriodMinutes") or DEFAULT_DEDUP_MINUTES
    return max(minutes, MIN_DEDUP_MINUTES) * 60


def _how_to_get(module: str | None) -> str:
    if module in NEEDED_BY_PANTHER_ANALYSIS:
        return "pip install 'local-panther[panther-analysis]' adds it"
    return "install it beside local-panther, or add the helper to global_helpers"
