"""The replay: recorded CloudTrail in, the alerts that an instance would have made out."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from local_panther.alerts.grouping import AlertGrouper
from local_panther.alerts.model import Alert, in_order
from local_panther.content.load import loaded_content
from local_panther.content.model import Content
from local_panther.correlation.engine import CorrelationEngine
from local_panther.detection.engine import Engine, RuleErrors
from local_panther.detection.store import key_value_store
from local_panther.records.files import find_files
from local_panther.records.model import Record, Tally
from local_panther.records.order import in_time_order
from local_panther.records.reader import Reader

Watch = Callable[[Tally, int], None]


@dataclass
class Outcome:
    """What a replay found.

    Attributes:
        alerts: In the order in which they would have been made.
        signals: Matches by rule ID, of rules that never matched too.
        interrupted: True where the reading was stopped before its end.
    """

    tally: Tally
    alerts: list[Alert]
    signals: Counter[str]
    errors: RuleErrors
    content: Content
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        """True where everything was read and no rule failed."""
        return not (self.tally.skipped or self.errors.counts or self.interrupted)


def replay(
    paths: Iterable[str],
    folder: Path,
    include_disabled: bool = False,
    watch: Watch | None = None,
) -> Outcome:
    """Run content over recorded CloudTrail as an instance would run it over the live stream.

    Args:
        paths: Files and folders of CloudTrail, "-" for standard input.
        folder: The root of the content repository.
        include_disabled: Run items with `Enabled: false` too.
        watch: Called now and then with the counts so far and the number of files.

    Raises:
        ContentError: The content does not load.
    """
    tally = Tally()
    with key_value_store(), loaded_content(folder, include_disabled) as content:
        engine = Engine(content)
        grouper = AlertGrouper(content.rules)
        correlation = CorrelationEngine(content.correlation_rules)
        files = find_files(paths, tally)
        reader = Reader(engine.wants, tally)
        interrupted = False
        try:
            records = reader.read(_watched(files, tally, watch))
            for record in in_time_order(records, tally):
                _process(record, engine, grouper, correlation)
        except KeyboardInterrupt:
            interrupted = True
        correlation.finish()
        signals = Counter({rule.metadata.rule_id: 0 for rule in content.rules})
        signals.update({metadata.rule_id: 0 for metadata, _ in content.correlation_rules})
        signals.update(engine.signals + correlation.signals)
        alerts = in_order([*grouper.alerts, *correlation.alerts])
        return Outcome(tally, alerts, signals, engine.errors, content, interrupted)


def _process(
    record: Record, engine: Engine, grouper: AlertGrouper, correlation: CorrelationEngine
) -> None:
    correlation.advance(record.time)
    for signal in engine.run(record):
        grouper.add(signal)
        correlation.add(signal)


def _watched(files: list[str], tally: Tally, watch: Watch | None) -> Iterator[str]:
    for path in files:
        if watch:
            watch(tally, len(files))
        yield path
