"""The memory, disk and time that a lake needs."""

from functools import partial

import duckdb
import pytest

from local_panther.errors import RunErrors
from local_panther.lake import lake as lake_module
from local_panther.lake import scheduled as scheduled_module
from local_panther.lake import unread as unread_module
from local_panther.lake.lake import Lake, QueryFailed
from local_panther.lake.reach import Reach
from local_panther.lake.scheduled import ScheduledQueries
from tests.builders import hostile
from tests.builders.events import ALICE, START, call, read_record
from tests.builders.scheduled import TABLE, WINDOW, Rows, content_of, numbered

MINUTE, HOUR = 60, 3600


def test_the_lake_keeps_only_records_that_a_run_can_still_see(monkeypatch):
    monkeypatch.setattr(lake_module, "FORGET_BYTES", 100_000)
    monkeypatch.setattr(lake_module, "BATCH_RECORDS", 50)
    with Lake() as lake:
        for number in range(1000):
            moment = START + number * MINUTE
            record = read_record(call("ListRoles", time=moment, eventID=str(number)))
            lake.add(record, moment, partial(Reach, moment - HOUR))
        (row,) = lake.query(f"SELECT COUNT(*) AS n, MAX(eventID) AS m FROM {TABLE}")
        assert 60 <= row["n"] <= 300
        (row,) = lake.query(f"SELECT COUNT(*) AS n FROM {TABLE} WHERE eventID >= '940'")
        assert row["n"] == 60


def test_runs_that_wait_to_be_executed_together_do_not_make_the_lake_grow(monkeypatch):
    def most_stored(batch_bytes):
        monkeypatch.setattr(scheduled_module, "BATCH_BYTES", batch_bytes)
        rows, most = Rows(monkeypatch), 0
        with Lake() as lake:
            scheduled = ScheduledQueries(content_of({"Own": WINDOW}), lake, RunErrors())
            for number in range(1500):
                moment = START + number * MINUTE
                list(scheduled.advance(moment))
                record = read_record(call("ListRoles", time=moment, eventID=str(number)))
                lake.add(record, moment, lambda: Reach(scheduled.horizon))
                scheduled.note("ListRoles", moment)
                if number % 100 == 99:
                    (row,) = lake.query(f"SELECT COUNT(*) AS n FROM {TABLE}")
                    most = max(most, row["n"])
            list(scheduled.finish(moment))
        return most, sorted((time, row["eventID"]) for time, row in rows.seen)

    monkeypatch.setattr(lake_module, "FORGET_BYTES", 100_000)
    monkeypatch.setattr(lake_module, "BATCH_RECORDS", 50)
    few, found = most_stored(100_000)
    many, same = most_stored(10**9)
    assert few <= 500 < many
    assert found == same


def test_unread_records_are_dropped_when_no_run_can_see_them(monkeypatch):
    monkeypatch.setattr(unread_module, "FILE_BYTES", 50_000)
    with Lake() as lake:
        for number in range(1000):
            moment = START + number * MINUTE
            lake.add(numbered(number, moment), moment, partial(Reach, moment - HOUR), unread=True)
        assert lake.has_unread
        rows = lake.query(f"SELECT CAST(eventID AS INTEGER) AS n FROM {TABLE}")
        assert not lake.has_unread
    found = [row["n"] for row in rows]
    assert found == [*range(found[0], 1000)] and 840 < found[0] <= 940


def test_the_lake_keeps_records_that_are_needed_around_a_time(monkeypatch):
    monkeypatch.setattr(lake_module, "FORGET_BYTES", 100_000)
    monkeypatch.setattr(lake_module, "BATCH_RECORDS", 50)
    times = [START + 250 * MINUTE, START + 500 * MINUTE, START + 530 * MINUTE]
    with Lake() as lake:
        for number in range(2000):
            moment = START + number * MINUTE
            record = read_record(call("ListRoles", time=moment, eventID=str(number)))
            lake.add(record, moment, partial(Reach.around, times, HOUR, moment - HOUR))
        rows = lake.query(f"SELECT CAST(eventID AS INTEGER) AS n FROM {TABLE}")
        kept = {row["n"] for row in rows}
        assert {*range(190, 311), *range(440, 591), *range(1940, 2000)} <= kept
        assert len(rows) == len(kept) < 1000 and not kept & {*range(190), *range(311, 440)}


def test_no_character_hides_a_record_from_queries():
    texts = hostile.SHORT.values()
    with Lake() as lake:
        for number, text in enumerate(texts):
            lake.add(read_record(call("ListRoles", eventID=str(number), userAgent=text)))
        rows = lake.query(f"SELECT userAgent FROM {TABLE} ORDER BY CAST(eventID AS INTEGER)")
    assert lake.refused == 0 and len(rows) == len(texts)
    for row, text in zip(rows, texts, strict=True):
        found = row["userAgent"]
        is_kept = found == text or (len(found) == len(text) and not text.isprintable())
        assert is_kept, ascii(text)


@pytest.mark.parametrize(
    "large", ["x" * 300_000, ["x" * 1000] * 300, {f"k{n}": "y" * 1000 for n in range(300)}]
)
def test_a_large_record_is_stored_with_its_long_strings_shortened(large):
    record = call("ListRoles", eventID="1", requestParameters={"roleName": "A", "big": large})
    with Lake() as lake:
        lake.add(read_record(record))
        (row,) = lake.query(
            "SELECT eventName, userIdentity->>'$.arn' AS arn, LENGTH(requestParameters) AS n, "
            f"requestParameters->>'$.roleName' AS name FROM {TABLE}"
        )
    assert (row["eventName"], row["name"], row["arn"]) == ("ListRoles", "A", ALICE["arn"])
    assert row["n"] < 50_000


def test_a_query_that_takes_too_long_is_interrupted(monkeypatch):
    monkeypatch.setattr(lake_module, "QUERY_SECONDS", 0.2)
    endless = "SELECT SUM(a.range * b.range) AS n FROM range(1000000) a, range(1000000) b"
    with Lake() as lake:
        found = lake.runs(endless, [START])[START]
        assert isinstance(found, QueryFailed) and found.timed_out
        assert lake.query("SELECT 1 AS one") == [{"one": 1}]


def test_a_query_with_too_many_rows_is_an_error(monkeypatch):
    monkeypatch.setattr(lake_module, "MAX_ROWS", 10)
    with Lake() as lake:
        found = lake.runs("SELECT * FROM range(11)", [START])[START]
        assert isinstance(found, QueryFailed) and "more than 10 rows" in found.message


def test_large_records_are_stored_on_disk():
    text = "x" * 60_000  # a larger record is shortened
    with Lake() as lake:
        for number in range(2000):
            lake.add(read_record(call("ListRoles", eventID=str(number), userAgent=text)))
        (row,) = lake.query(f"SELECT COUNT(*) AS n, SUM(LENGTH(userAgent)) AS l FROM {TABLE}")
        assert (row["n"], row["l"]) == (2000, 2000 * len(text))


def test_no_progress_bar_is_shown():
    with Lake() as lake:
        (row,) = lake.query("SELECT current_setting('enable_progress_bar') AS shown")
        assert row["shown"] in (False, "False", "false")


def test_queries_cannot_read_files():
    with Lake() as lake, pytest.raises(duckdb.Error):
        lake.query("SELECT * FROM read_text('/etc/hostname')")
