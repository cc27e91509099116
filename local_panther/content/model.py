"""The loaded content that the local Panther runs: rules, correlation rules and queries."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any

from panther_core.data_model import DataModel

from local_panther.content.correlation_grammar import CorrelationLogic
from local_panther.content.importing import BodyRule
from local_panther.content.left_out import LeftOut, Reason
from local_panther.content.log_types import CLOUDTRAIL
from local_panther.content.schedule import Schedule
from local_panther.content.sql_text import QueryTexts
from local_panther.errors import Problem
from local_panther.remembered import found_before

if TYPE_CHECKING:
    from sqlglot.expressions import Query as Select

DEFAULT_DEDUP_MINUTES = 60

EventNames = frozenset[str] | None  # values of `eventName`; None for any


@dataclass(frozen=True)
class Metadata:
    """The fields of a rule's YAML that its alerts copy.

    Attributes:
        rule_id: The rule's ID.
        analysis_type: "rule", "scheduled_rule" or "correlation_rule".
        display_name: Its DisplayName; by default the ID.
        severity: INFO, LOW, MEDIUM, HIGH or CRITICAL.
        creates_alert: False for a rule that only creates signals.
        description: What it detects; "" if missing.
        runbook: How to triage its alerts; "" if missing.
        reference: A URL for further reading; "" if missing.
        output_ids: The IDs of its destinations.
        tags: Its tags.
        reports: The entries of compliance frameworks that it maps to, by framework.
    """

    rule_id: str
    analysis_type: str
    display_name: str
    severity: str
    creates_alert: bool
    description: str
    runbook: str
    reference: str
    output_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    reports: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mitre(self) -> tuple[str, ...]:
        """Its tactics and techniques of MITRE ATT&CK, such as "TA0004:T1548.005"."""
        return tuple(self.reports.get("MITRE ATT&CK") or ())

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "Metadata":
        """Return the metadata of a checked YAML specification."""
        return cls(
            rule_id=spec["RuleID"],
            analysis_type=spec["AnalysisType"],
            display_name=spec.get("DisplayName") or spec["RuleID"],
            severity=spec["Severity"].upper(),
            creates_alert=spec.get("CreateAlert", True),
            description=spec.get("Description", "").strip(),
            runbook=spec.get("Runbook", "").strip(),
            reference=spec.get("Reference", "").strip(),
            output_ids=tuple(spec.get("OutputIds") or ()),
            tags=tuple(spec.get("Tags") or ()),
            reports=spec.get("Reports") or {},
        )


@dataclass(frozen=True)
class PythonRule:
    """A rule with a Python body, which may be transpiled from a simple detection.

    Attributes:
        metadata: The fields that its alerts copy.
        detection: The loaded body with its filters, run by panther_core as on an instance.
        log_types: Log types of the events that a streaming rule gets.
        event_names: The only values of `eventName` that its filters can pass; None for any.
        threshold: Number of matches (or distinct values of `unique()`) that make an alert.
        dedup_seconds: Seconds from the first match of an alert in which later matches join it.
        body_file: The Python file, relative to the repository; "" for a simple detection.
    """

    metadata: Metadata
    detection: BodyRule
    log_types: frozenset[str]
    event_names: EventNames
    threshold: int
    dedup_seconds: int
    body_file: str = ""

    @property
    def counts_unique(self) -> bool:
        """True if the threshold counts distinct values of `unique()`, not matches."""
        return hasattr(self.detection.module, "unique")


@dataclass(frozen=True)
class ScheduledRule:
    """A rule that is called for the rows of scheduled queries.

    Attributes:
        rule: The rule itself.
        query_names: The queries whose rows it gets.
    """

    rule: PythonRule
    query_names: tuple[str, ...]


@dataclass(frozen=True)
class CorrelationRule:
    """A correlation rule: its metadata and its parsed `Detection`."""

    metadata: Metadata
    logic: CorrelationLogic


@dataclass(frozen=True)
class Query:
    """A saved or scheduled query over CloudTrail.

    Attributes:
        name: Its QueryName.
        text: Its SQL, in Snowflake's dialect with Panther's macros.
        schedule: When it runs; None for a query that only people run.
        tags: The tags in its YAML.
    """

    name: str
    text: str
    schedule: Schedule | None
    tags: tuple[str, ...]

    @cached_property
    def sql(self) -> "Select":
        """The parsed query; slow, so that facts about it are cached by its text."""
        from local_panther.content.sql import parse_sql

        return parse_sql(self.text)

    @cached_property
    def event_names(self) -> EventNames:
        """The only values of `eventName` that the query can see; None for any."""
        names = found_before("event names", self.text, self._find_event_names)
        return None if names is None else frozenset(names)

    def _find_event_names(self) -> list[str] | None:
        from local_panther.content.sql import scanned_event_names

        names = scanned_event_names(self.sql)
        return None if names is None else sorted(names)

    def names_tagged(self, prefix: str) -> list[str]:
        """Return the rest of each tag that has a prefix: the IDs of the rules it is meant for."""
        return [t.removeprefix(prefix).strip() for t in self.tags if t.startswith(prefix)]


@dataclass
class Content:
    """The loaded items of a repository, and those that do not run.

    Attributes:
        rules: Streaming rules for the log type.
        scheduled_rules: Scheduled rules with a query that runs here.
        correlation_rules: Correlation rules whose steps run here.
        queries: The queries that run, by name.
        query_texts: The rendered text of every saved and scheduled query in SQL, by name.
        data_models: Data models by log type.
        left_out: The items that do not run, with the reasons.
        modules: The imported bodies of helpers, rules and data models.
        unreadable: Named pipes, sockets and devices in the folder, which were not opened.
        unread: Files that are items by their text but lie in folders that are not read.
        log_type: The log type of the events that streaming rules get.
    """

    rules: list[PythonRule] = field(default_factory=list)
    scheduled_rules: list[ScheduledRule] = field(default_factory=list)
    correlation_rules: list[CorrelationRule] = field(default_factory=list)
    queries: dict[str, Query] = field(default_factory=dict)
    query_texts: QueryTexts = field(default_factory=lambda: QueryTexts({}))
    data_models: dict[str, DataModel] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    modules: list[ModuleType] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    log_type: str = CLOUDTRAIL

    @property
    def problems(self) -> list[Problem]:
        """The problems of the invalid items."""
        return [item.problem for item in self.left_out if item.problem is not None]

    def ids_left_out(self, *reasons: Reason) -> list[str]:
        """Return the IDs of the items that do not run for one of the given reasons."""
        return [item.item_id for item in self.left_out if item.reason in reasons]

    @property
    def python_rules(self) -> list[PythonRule]:
        """All rules with a Python body, streaming and scheduled."""
        return [*self.rules, *(scheduled.rule for scheduled in self.scheduled_rules)]

    @property
    def metadata(self) -> dict[str, Metadata]:
        """The metadata of the rules with a Python body, by rule ID."""
        return {rule.metadata.rule_id: rule.metadata for rule in self.python_rules}

    @property
    def rule_ids(self) -> list[str]:
        """The IDs of all rules that run."""
        python = [rule.metadata.rule_id for rule in self.python_rules]
        return python + [rule.metadata.rule_id for rule in self.correlation_rules]


def includes(event_names: EventNames, name: str) -> bool:
    """Return whether a set of eventNames includes a name; None includes all."""
    return event_names is None or name in event_names


def united(several: Iterable[EventNames]) -> EventNames:
    """Return the union of several sets of eventNames; None (any) if one of them is None."""
    found: set[str] = set()
    for event_names in several:
        if event_names is None:
            return None
        found |= event_names
    return frozenset(found)
