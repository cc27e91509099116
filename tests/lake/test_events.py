"""Tests of reading records back from the lake as events for rules."""

from pathlib import Path

import duckdb

from local_panther.lake.events import stored_events
from local_panther.lake.lake import Lake
from local_panther.records.model import Tally
from local_panther.records.panther_fields import normalised_time
from local_panther.records.reader import Reader

# Fields of records from another instance, for which the lake has no column.
NOT_KEPT = {"p_source_file", "p_rule_id", "p_alert_context"}
NOT_KEPT |= {"p_alert_creation_time", "p_alert_update_time"}
DELAY = 210


def stored(records, databases: Path) -> list[dict]:
    with Lake(databases) as lake:
        for record in records:
            lake.add(record, record.time + DELAY)
        lake.query("SELECT 1")
    for name in ("panther_signals", "panther_rule_matches"):
        duckdb.connect(str(databases / f"{name}.duckdb")).close()
    return [event for batch in stored_events(databases) for event in batch]


def test_a_recorded_event_is_the_same_as_rules_got_in_the_replay(recorded_file, tmp_path):
    records = list(Reader(None, Tally()).read([str(recorded_file)]))
    expected = [
        record.event() | {"p_parse_time": normalised_time(record.time + DELAY)}
        for record in records
    ]
    assert expected
    for found, event in zip(stored(records, tmp_path), expected, strict=True):
        changed = {name for name in found | event if found.get(name) != event.get(name)}
        given = {name for name in changed if name.startswith("p_any_")}  # from another instance
        assert changed <= NOT_KEPT | (given if "p_rule_id" in event else set())
