"""Runs one uploaded rule over the records of the lake and measures it, in a process of its own.

    python -m local_panther.instance.lake.measure
        UPLOAD STORED CANDIDATE DATABASES LOG_TYPE RESULT BOX

UPLOAD is an unpacked archive with the rule, STORED a folder with the stored helpers and data
models. CANDIDATE is an empty folder, to which both are copied. DATABASES is the folder of the
lake's databases, RESULT the file for the outcome as JSON (`Measured`). BOX says whether uploaded
code runs in the box. `guard.py` starts it and sets the limits.
"""

import json
import math
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local_panther.alerts.grouping import AlertGrouper
from local_panther.containment import contained
from local_panther.content.load import loaded_content
from local_panther.content.model import Content, PythonRule
from local_panther.detection.clock import EventClock
from local_panther.detection.running import run_rule
from local_panther.detection.store import key_value_store
from local_panther.errors import ContentError, Problem, RunErrors
from local_panther.instance.check.check import check
from local_panther.instance.check.guarded import enter_box
from local_panther.lake.events import stored_events
from local_panther.lake.preparing import empty_lake
from local_panther.times import parse_time

ONE_RULE = "a benchmark takes one rule"


@dataclass
class Measured:
    """The times and counts of one run of a rule over the lake.

    Attributes:
        rule_id: The rule, "" if the upload has none.
        events: Number of records that it ran on.
        matches: Number of those that it matched.
        alerts: Number of alerts that the matches give.
        errors: Number of records on which it raised an exception.
        problem: Why it did not run, or its first exception; "" if there was no problem.
        read_nanos: Time to read the records, in nanoseconds.
        processing_nanos: Time to run the rule on them, in nanoseconds.
    """

    rule_id: str = ""
    events: int = 0
    matches: int = 0
    alerts: int = 0
    errors: int = 0
    problem: str = ""
    read_nanos: int = 0
    processing_nanos: int = 0

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> "Measured":
        """Return the result from the JSON of its `asdict`.

        Raises:
            TypeError: The JSON has another form.
        """
        found = cls(**plain)
        for name, default in vars(cls()).items():
            if type(getattr(found, name)) is not type(default):
                raise TypeError(f"{name} is not a {type(default).__name__}")
        return found


def measure(
    upload: Path, stored: Path, candidate: Path, databases: Path, log_type: str
) -> Measured:
    """Check an upload and run its rule over the lake; see the module for the arguments.

    Raises:
        duckdb.Error: The lake cannot be read.
    """
    checked = check(upload, stored, candidate)
    if checked.problems:
        return Measured(problem="; ".join(map(str, checked.problems)))
    rules = [item_id for item_id, item in checked.items.items() if item.kind == "rule"]
    if len(rules) != 1:
        return Measured(problem=f"{ONE_RULE}, not {len(rules)}")
    clock = EventClock()
    try:
        with (
            contained(),
            key_value_store(clock),
            loaded_content(
                candidate, include_disabled=True, strict=False, log_type=log_type, checks=empty_lake
            ) as content,
            clock.seen_by(content.modules),
        ):
            found = [rule for rule in content.rules if rule.metadata.rule_id == rules[0]]
            if not found:
                return Measured(rules[0], problem=f"{rules[0]}: does not run over {log_type}")
            return _run(found[0], content, databases, clock)
    except ContentError as error:
        return Measured(rules[0], problem=str(Problem("", str(error))))


def _run(rule: PythonRule, content: Content, databases: Path, clock: EventClock) -> Measured:
    measured, errors = Measured(rule.metadata.rule_id), RunErrors()
    model, grouper = content.data_models.get(content.log_type), AlertGrouper([rule])
    batches = stored_events(databases)
    while True:
        started = time.perf_counter_ns()
        events = next(batches, [])
        read = time.perf_counter_ns()
        measured.read_nanos += read - started
        if not events:
            break
        for event in events:
            happened, arrived = _time(event, "p_event_time"), _time(event, "p_parse_time")
            clock.reach(arrived)
            where = f"record {event.get('eventID', '')}"
            signal = run_rule(rule, event, happened, where, errors, model, arrived)
            if signal:
                measured.matches += 1
                grouper.add(signal)
        measured.processing_nanos += time.perf_counter_ns() - read
        measured.events += len(events)
    measured.alerts = len(grouper.alerts)
    measured.errors = errors.counts.total()
    measured.problem = str(errors.examples[0]) if errors.examples else ""
    return measured


def _time(event: dict[str, Any], name: str) -> float:
    found = parse_time(str(event.get(name, "")))
    return -math.inf if found is None else found


def main() -> None:
    """Run the rule and write the result."""
    upload, stored, candidate, databases = map(Path, sys.argv[1:5])
    log_type, result = sys.argv[5:7]
    enter_box()
    measured = measure(upload.resolve(), stored, candidate, databases, log_type)
    Path(result).write_text(json.dumps(asdict(measured)), encoding="utf-8")


if __name__ == "__main__":
    main()
