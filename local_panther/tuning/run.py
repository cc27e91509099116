"""Tunes a rule: reads CloudTrail once, and counts for every threshold and window."""

from dataclasses import dataclass, replace
from pathlib import Path

from local_panther.containment import contained
from local_panther.content.load import loaded_content
from local_panther.content.model import Content, PythonRule, Query
from local_panther.detection.store import key_value_store
from local_panther.errors import ContentError, Problem
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.lake import Lake
from local_panther.lake.preparing import empty_lake
from local_panther.records.model import Tally
from local_panther.records.trail import Trail
from local_panther.tuning.advice import Advice, Evidence, advise
from local_panther.tuning.habits import DAY, habits
from local_panther.tuning.settings import RuleSettings, rule_settings
from local_panther.tuning.sweep import (
    Pairing,
    Peak,
    Series,
    Trial,
    Window,
    peak,
    read_series,
    sweep,
)

TAG = "Tuning:"
DEFAULT_THRESHOLDS = (5, 6, 7, 8, 9, 10, 12, 15, 20, 30, 50)
DEFAULT_WINDOWS = (15, 30, 60, 120, 240)  # minutes
TOP_PEAKS = 15


@dataclass(frozen=True)
class Tuning:
    """The result of tuning a rule.

    Attributes:
        rule_id: ID of the rule.
        settings: Current settings of the rule.
        tally: Counts of the files and records that were read.
        evidence: Evidence for the advice.
        trials: Trials of all thresholds and windows.
        peaks: Peaks of the busiest series in the current window, busiest first.
        advice: Advised threshold.
        exempt: Subjects that were not counted because the rule exempts them.
        problems: Problems of content items that were left out.
    """

    rule_id: str
    settings: RuleSettings
    tally: Tally
    evidence: Evidence
    trials: list[Trial]
    peaks: list[Peak]
    advice: Advice
    exempt: tuple[str, ...]
    problems: list[Problem]

    @property
    def thresholds(self) -> list[int]:
        """Thresholds that were tried, lowest first."""
        return sorted({trial.threshold for trial in self.trials})

    @property
    def windows(self) -> list[int]:
        """Windows that were tried, in minutes, shortest first."""
        return sorted({trial.window // 60 for trial in self.trials})

    def trial(self, threshold: int, window: int | None = None) -> Trial:
        """Return the trial of a threshold and a window in minutes, by default the current one."""
        window = self.settings.window if window is None else window
        return next(t for t in self.trials if (t.threshold, t.window) == (threshold, window * 60))

    @property
    def effect(self) -> str:
        """Sentence on the alerts that the advised threshold would have made; "" without advice."""
        if self.advice.threshold is None:
            return ""
        now, then = (self.trial(t).alerts for t in (self.settings.threshold, self.advice.threshold))
        alerts = f"{then:,} alert" if then == 1 else f"{then:,} alerts"
        change = "as now" if now == then else f"instead of {now:,}"
        return f"With {self.advice.threshold} there would have been {alerts}, {change}."


def tune(
    trail: Trail,
    folder: Path,
    rule_id: str | None = None,
    *,
    strict: bool = False,
) -> Tuning:
    """Count the alerts that each threshold and window would have made, and advise a threshold.

    Args:
        trail: Records to read.
        folder: Root of the content repository.
        rule_id: ID of the rule to tune; None if only one rule can be tuned.
        strict: Refuse content with any invalid item; otherwise such an item is left out.

    Raises:
        ContentError: The content does not load, or has no such rule that can be tuned.
        UnusableCluster: The cluster does not exist, or has no worker that can be used.
    """
    tally = Tally()
    with (
        trail.opened(tally) as opened,
        contained(),
        key_value_store(),
        loaded_content(
            folder, include_disabled=True, saved_queries=TAG, strict=strict, checks=empty_lake
        ) as content,
        Lake() as lake,
    ):
        rule, query = _chosen(content, rule_id)
        settings = _settings(folder, rule, query)
        pairings = _pairings(content, rule)
        days: set[int] = set()
        for record in opened.reader(query.event_names).read(opened.taken()):
            lake.add(record)
            days.add(int(record.time // DAY))
        # Query all records that were read: the query's own period is meant for the data lake.
        end = (tally.last or 0) + 1
        rows = lake.query(transpile_sql(query.sql, reach=f"{end:.0f} s"), end)
    unread = sum(tally.skipped.values()) + lake.refused
    evidence = Evidence(tally.records, len(days), len({row["subject"] for row in rows}), unread)
    found = read_series(rows)
    counted = [series for series in found if not _is_exempt(series, settings)]
    present = _window(settings.window, settings, pairings)
    peaks = sorted((peak(s, present) for s in counted), key=lambda p: (-p.count, p.subject))
    advice = advise(habits(counted, present), settings.threshold, evidence)
    advised = {t for t in (advice.threshold, advice.threshold_without) if t is not None}
    thresholds = sorted({*DEFAULT_THRESHOLDS, settings.threshold, *advised})
    windows = sorted({*DEFAULT_WINDOWS, settings.window})
    return Tuning(
        rule_id=rule.metadata.rule_id,
        settings=settings,
        tally=tally,
        evidence=evidence,
        trials=sweep(counted, thresholds, [_window(w, settings, pairings) for w in windows]),
        peaks=peaks[:TOP_PEAKS],
        advice=advice,
        exempt=tuple(sorted({s.subject for s in found} - {s.subject for s in counted})),
        problems=content.problems,
    )


def _settings(folder: Path, rule: PythonRule, query: Query) -> RuleSettings:
    try:
        return rule_settings(folder, rule, query)
    except LookupError as error:
        raise ContentError([Problem(query.name, str(error.args[0]))]) from error


def _is_exempt(series: Series, settings: RuleSettings) -> bool:
    return settings.exemption is not None and settings.exemption.covers(series.subject)


def _pairings(content: Content, rule: PythonRule) -> list[Pairing]:
    """Return lookback and schedule of each correlation rule that has a rule as a step."""
    return [
        Pairing(correlation.logic.lookback, correlation.logic.schedule)
        for correlation in content.correlation_rules
        if any(step.rule_id == rule.metadata.rule_id for step in correlation.logic.steps)
    ]


def _window(minutes: int, settings: RuleSettings, pairings: list[Pairing]) -> Window:
    """Return a window to try; the lookback of correlation rules grows or shrinks with it."""
    longer = (minutes - settings.window) * 60
    shifted = (replace(pairing, lookback=pairing.lookback + longer) for pairing in pairings)
    return Window(minutes * 60, tuple(shifted))


def _chosen(content: Content, rule_id: str | None) -> tuple[PythonRule, Query]:
    rules = {rule.metadata.rule_id: rule for rule in content.rules}
    found = {
        name: query
        for query in content.queries.values()
        for name in query.names_tagged(TAG)
        if name in rules
    }
    if rule_id is None and len(found) == 1:
        rule_id = next(iter(found))
    if rule_id not in found:
        known = ", ".join(sorted(found)) or "none"
        message = f"no saved query has the tag {TAG}{rule_id}; rules that can be tuned: {known}"
        raise ContentError([Problem(rule_id or "--rule", message)])
    return rules[rule_id], found[rule_id]
