"""Reads CloudTrail once and counts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from local_panther.containment import contained
from local_panther.content.load import loaded_content
from local_panther.content.model import Content, PythonRule, Query
from local_panther.detection.store import key_value_store
from local_panther.errors import ContentError, Problem
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.lake import Lake
from local_panther.records.files import find_files
from local_panther.records.model import Tally
from local_panther.records.reader import Reader
from local_panther.tuning.advice import Advice, advise
from local_panther.tuning.sweep import Peak, Verdict, peak, read_series, sweep

TAG = "Tuning:"
DEFAULT_THRESHOLDS = (5, 6, 7, 8, 9, 10, 12, 15, 20, 30, 50)
DEFAULT_WINDOWS = (15, 30, 60, 120, 240)  # minutes
TOP_PEAKS = 15


@dataclass(frozen=True)
class Tuning:
    """What tuning a rule came to.

    Attributes:
        threshold: What the rule is set to now, and `window` in minutes.
        verdicts: For every threshold and window.
        problems: What is wrong with items of the content that were left out.
        peaks: Of the busiest series in the window that is set now, busiest first.
    """

    rule_id: str
    threshold: int
    window: int
    tally: Tally
    verdicts: list[Verdict]
    peaks: list[Peak]
    advice: Advice
    problems: list[Problem]

    @property
    def effect(self) -> str:
        """What following the advice would have changed."""
        now, then = (self._alerts(t) for t in (self.threshold, self.advice.threshold))
        change = "as now" if now == then else f"instead of {now}"
        return f"With {self.advice.threshold} there would have been {then} alerts, {change}."

    def _alerts(self, threshold: int) -> int:
        found = (
            v for v in self.verdicts if (v.threshold, v.window) == (threshold, self.window * 60)
        )
        return next(found).alerts


def tune(
    paths: Iterable[str],
    folder: Path,
    rule_id: str | None = None,
    watch: Callable[[Tally, int], None] | None = None,
    workers: int = 1,
    *,
    strict: bool = False,
) -> Tuning:
    """Count what each threshold and window would have given.

    Args:
        paths: Files and folders of CloudTrail.
        folder: The root of the content repository.
        rule_id: The rule to tune; may be left out where only one can be.
        watch: Called now and then with the counts so far and the number of files.
        workers: Processes that look through files; what is found is the same.
        strict: Refuse content with any invalid item; otherwise such an item is left out.

    Raises:
        ContentError: The content does not load, or has no such rule to tune.
    """
    tally = Tally()
    with (
        contained(),
        key_value_store(),
        loaded_content(folder, include_disabled=True, saved_queries=TAG, strict=strict) as content,
        Lake() as lake,
    ):
        rule, query = _chosen(content, rule_id)
        threshold = int(getattr(rule.detection.module, "THRESHOLD", rule.threshold))
        window = int(getattr(rule.detection.module, "WINDOW_MINUTES", 60))
        files = find_files(paths, tally)
        for record in Reader(query.event_names, tally, workers).read(files):
            lake.add(record)
            if watch and tally.wanted % 1000 == 0:
                watch(tally, len(files))
        # Everything that was read: a tuning query's own reach is meant for the data lake.
        end = (tally.last or 0) + 1
        rows = lake.query(transpile_sql(query.sql, reach=f"{end:.0f} s"), end)
    series = read_series(rows)
    peaks = sorted((peak(s, window * 60) for s in series), key=lambda p: (-p.count, p.subject))
    advice = advise(peaks, threshold)
    thresholds = sorted({*DEFAULT_THRESHOLDS, threshold, advice.threshold})
    windows = sorted({*DEFAULT_WINDOWS, window})
    return Tuning(
        rule_id=rule.metadata.rule_id,
        threshold=threshold,
        window=window,
        tally=tally,
        verdicts=sweep(series, thresholds, [minutes * 60 for minutes in windows]),
        peaks=peaks[:TOP_PEAKS],
        advice=advice,
        problems=content.problems,
    )


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
