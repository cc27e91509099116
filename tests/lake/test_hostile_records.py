"""Tests of records and folders that could break the lake: only a bad record is lost, and named."""

import json
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_panther.errors import ContentError
from local_panther.lake import lake as room
from local_panther.lake.columns import FAILED_TABLE, LAKE_TABLE
from local_panther.lake.lake import Lake
from local_panther.lake.lines import repaired
from local_panther.lake.windows import Gate
from local_panther.records.trail import Trail
from local_panther.replay import replay
from tests.builders.content import write_lines
from tests.builders.events import REPO, call, read_record

pytestmark = pytest.mark.attack("records")


class TestRepaired:
    @given(st.text(), st.sampled_from(["\\u0000", "\\ud800", "\\ud83d\\ude00", "\\\\u0000"]))
    def test_only_characters_that_cannot_be_stored_are_replaced(self, text, escape):
        line = f'{{"a":{json.dumps(text)[:-1]}{escape}"}}'
        found = json.loads(repaired(line.encode()))["a"]
        assert found == "".join("?" if is_unstorable(c) else c for c in json.loads(line)["a"])

    @pytest.mark.parametrize("line", [b'{"a":"aws-cli \\\\u0000"}', b'{"a":1e400}', b'{"a":"\\n"}'])
    def test_everything_else_stays_as_written(self, line):
        assert repaired(line) == line


def is_unstorable(character: str) -> bool:
    return character == "\0" or 0xD800 <= ord(character) < 0xE000


class TestBatches:
    def test_a_refused_record_is_named_and_no_other_is_lost(self):
        def refusing(lake, lines, table):
            if any(b"hostile" in line for line in lines):
                raise room.duckdb.InvalidInputException("no JSON")
            tries.append(len(lines))
            return insert(lake, lines, table)

        tries, insert = [], Lake._insert
        with patch.object(Lake, "_insert", refusing), Lake() as lake:
            for number in range(1000):
                name = "hostile" if number in (7, 700) else f"id-{number}"
                lake.add(read_record(call("ListRoles", eventID=name)))
            (row,) = lake.query(f"SELECT COUNT(*) AS n FROM {LAKE_TABLE}")
        assert row == {"n": 998} and lake.refused == 2
        assert lake.reasons == ["hostile: no JSON", "hostile: no JSON"]
        assert len(tries) < 40  # by bisection, not one by one

    def test_records_are_not_tried_one_by_one_if_the_disk_is_full(self):
        def full(_, lines, table):
            tries.append(len(lines))
            raise OSError(28, "No space left on device")

        tries: list[int] = []
        with patch.object(Lake, "_insert", full), Lake() as lake:
            for number in range(100):
                lake.add(read_record(call("ListRoles", eventID=f"id-{number}")))
            lake._flush()
        assert tries == [100] and lake.refused == 100
        assert "id-0 and 99 after it" in lake.reasons[0] and "No space left" in lake.reasons[0]

    @pytest.mark.parametrize("is_refused", [False, True])
    def test_every_gate_is_passed_if_a_failed_call_was_refused(self, is_refused):
        """Otherwise the call could hide from the query that the gate decides on."""

        def insert(lake, lines, table):
            if is_refused and table == FAILED_TABLE:
                raise room.duckdb.InvalidInputException("no JSON")
            return ordinary(lake, lines, table)

        ordinary = Lake._insert
        sql = f"SELECT 1 FROM {LAKE_TABLE} WHERE awsRegion = 'nowhere'"
        gate = Gate(sql, sql.replace(LAKE_TABLE, FAILED_TABLE))
        failed = read_record(call("ListRoles", errorCode="AccessDenied"))
        with patch.object(Lake, "_insert", insert), Lake() as lake:
            lake.add(failed, unread=True)
            assert lake.passed(gate, [1.0, 2.0]) == ({1.0, 2.0} if is_refused else set())
            assert lake.query(f"SELECT COUNT(*) AS n FROM {LAKE_TABLE}") == [{"n": 1}]
            assert lake.refused == 0


class TestFolders:
    @pytest.mark.parametrize("name", ["o'b", "a b", "ü", "$x", '"q"', "a;b", "%20", "[ab]"])
    def test_any_temporary_folder_can_be_used(self, tmp_path, monkeypatch, name):
        (tmp_path / name).mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / name))
        with Lake() as lake:
            lake.add(read_record(call("ListRoles")))
            assert lake.query(f"SELECT COUNT(*) AS n FROM {LAKE_TABLE}") == [{"n": 1}]
        assert lake.refused == 0

    @pytest.mark.parametrize("name", ["a?b", "a*b", "a\\b"])
    def test_a_folder_that_duckdb_would_misread_is_refused_by_name(
        self, tmp_path, monkeypatch, name
    ):
        (tmp_path / name).mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / name))
        with pytest.raises(ContentError, match="databases cannot be in a folder"):
            Lake()
        assert not list((tmp_path / name).iterdir())


def test_two_hostile_strings_in_one_batch_hide_no_attack(tmp_path, monkeypatch):
    """A client can send both: a backslash before u0000, and a lone surrogate elsewhere."""
    from tests.builders.replays import simulated

    path = simulated(tmp_path / "plain.jsonl", succeed=2)
    plain = replay(Trail([str(path)]), REPO)
    lines = path.read_text().splitlines()
    events = [json.loads(line) for line in lines]
    for event in events:
        if event["eventName"] == "AssumeRole" and not event.get("errorCode"):
            event["userAgent"] = "aws-cli \\u0000"
        elif event["eventName"] == "ListRoles":
            event["userAgent"] = "aws-cli \ud800"
    hostile = tmp_path / "hostile.jsonl"
    write_lines(hostile, events)
    outcome = replay(Trail([str(hostile)]), REPO)
    assert outcome.complete and outcome.signals == plain.signals
    assert [a.severity for a in outcome.alerts] == [a.severity for a in plain.alerts]
