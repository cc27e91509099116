"""Tests of a lake that a forked process continues as a copy, and of one that is in parts."""

from contextlib import closing

import duckdb
import pytest

from local_panther.lake import lake as module
from local_panther.lake.events import stored_events
from local_panther.lake.findings import store_findings
from local_panther.lake.lake import Lake
from local_panther.lake.parts import add_earlier_part
from local_panther.lake.reach import Reach
from local_panther.lake.reading import LakeReader
from tests.builders.events import START, call, read_record

LOGS = "panther_logs.public.aws_cloudtrail"


def record(number: int):
    return read_record(call("ListRoles", time=START + number, eventID=str(number)))


def ids(lake: Lake) -> list[str]:
    return [row["eventID"] for row in lake.query(f"SELECT eventID FROM {LOGS} ORDER BY eventTime")]


def test_a_copy_and_the_lake_itself_continue_independently(tmp_path):
    with Lake() as lake, Lake() as copy:
        for number in range(3):
            lake.add(record(number))
        lake.rest()
        assert "_connection" not in vars(lake)  # a fork would lose its threads
        vars(copy)["_databases"] = lake._databases
        copy.move(tmp_path)
        copy.add(record(7))
        lake.add(record(8))
        assert ids(copy) == ["0", "1", "2", "7"] and ids(lake) == ["0", "1", "2", "8"]
    assert (tmp_path / module.DATABASE).exists()


def test_an_unused_lake_creates_no_database(tmp_path):
    with Lake(tmp_path) as lake:
        lake.rest()
        assert not list(tmp_path.iterdir())


def test_tidying_drops_records_that_are_not_needed(monkeypatch):
    monkeypatch.setattr(module, "TIDY_BYTES", 1)
    with Lake() as lake:
        for number in range(5):
            lake.add(record(number))
        lake.tidy(lambda: Reach(START + 3))
        assert ids(lake) == ["3", "4"]
        lake.add(record(5))
        lake.tidy(Reach)
        assert ids(lake) == ["3", "4", "5"]


def test_parts_are_one_database_in_the_order_of_arrival(tmp_path):
    databases = tmp_path / "lake"
    databases.mkdir()
    for part in range(3):
        folder = databases if part == 2 else tmp_path / str(part)
        folder.mkdir(exist_ok=True)
        with Lake(folder) as lake:
            for number in (3, 2, 1):
                lake.add(record(10 * part + number))
            lake.rest()
        for name in ("signals", "matches", "names"):
            (folder / name).touch()
        files = [[folder / name] for name in ("signals", "matches", "names")]
        assert store_findings(*files, folder) == 0
        for name in (
            () if part == 2 else ("panther_logs", "panther_signals", "panther_rule_matches")
        ):
            add_earlier_part(folder / f"{name}.duckdb", databases, name, part + 1)
    events = [event["eventID"] for batch in stored_events(databases) for event in batch]
    assert events == ["3", "2", "1", "13", "12", "11", "23", "22", "21"]
    with closing(LakeReader(databases)) as reader:
        assert {name: sorted(tables) for name, tables in reader.tables.items()} == {
            "panther_logs": ["aws_cloudtrail"],
            "panther_signals": ["aws_cloudtrail", "correlation_signals", "scheduled_rules"],
            "panther_rule_matches": ["aws_cloudtrail", "scheduled_rules"],
        }
        found = reader.cursor().execute(f"SELECT count(*) FROM {LOGS} WHERE eventID = '12'")
        assert found.fetchall() == [(1,)]
        with pytest.raises(duckdb.Error):
            reader.cursor().execute(f"INSERT INTO {LOGS} SELECT * FROM {LOGS}")
