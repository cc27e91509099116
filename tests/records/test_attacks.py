"""Hostile and broken input loses nothing but itself."""

import gzip
import io
import json
import os
import socket
import tarfile
import threading
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_panther.records import scan
from local_panther.records.files import find_files
from local_panther.records.forms import documents
from local_panther.records.model import Tally
from local_panther.records.reader import Reader
from local_panther.times import parse_time
from tests.builders.content import write_lines
from tests.builders.events import START, call
from tests.builders.reading import listings, read_ids
from tests.builders.replays import replayed

pytestmark = pytest.mark.attack("records")


def delivered(found):
    """Return an AWS file as text; records that are text already are used as they are."""
    texts = [record if isinstance(record, str) else json.dumps(record) for record in found]
    return '{"Records": [' + ", ".join(texts) + "]}"


def with_value(record, value):
    return json.dumps(record)[:-1] + f', "bad": {value}}}'


BAD_VALUES = {
    "a number of 5,000 digits": "1" * 5000,
    "nesting of 1,100": "[" * 1100 + "]" * 1100,
    "nesting of objects": '{"a":' * 1100 + "1" + "}" * 1100,
    "no value": "",
    "a bare word": "nothing",
    "an invalid escape": r'"\x"',
    "a control character": '"\x01"',
    "a trailing comma": "[1,]",
}


class TestBrokenRecord:
    @pytest.mark.parametrize("value", BAD_VALUES.values(), ids=BAD_VALUES)
    @pytest.mark.parametrize("form", ["envelope", "list", "formatted"])
    def test_a_broken_record_loses_no_other(self, tmp_path, value, form):
        found = listings(15)
        found[1] = with_value(found[1], value)
        text = delivered(found)
        if form == "list":
            text = text.removeprefix('{"Records": ').removesuffix("}")
        if form == "formatted":
            text = text.replace("[{", "[\n{", 1).replace(', {"userI', ',\n  {"userI')
        path = tmp_path / "a.json"
        path.write_text(text)
        ids, tally = read_ids(path)
        assert ids == [f"event-{i}" for i in range(15) if i != 1]
        (problem,) = tally.problems
        assert problem.where == f"{path}, record 2"
        assert "malformed JSON" in problem.message and "characters not read" in problem.message

    def test_an_unterminated_record_ends_at_the_next_one(self, tmp_path):
        found = [json.dumps(record) for record in listings(5)]
        found[2] = found[2][:60]
        path = tmp_path / "a.json"
        path.write_text(delivered(found))
        ids, tally = read_ids(path)
        assert ids == ["event-0", "event-1", "event-3", "event-4"]
        assert [p.where for p in tally.problems] == [f"{path}, record 3"]

    def test_a_record_with_an_unterminated_string_ends_at_the_next_one(self, tmp_path):
        found = [json.dumps(record) for record in listings(5)]
        found[2] = found[2][:-10]  # within the last string
        path = tmp_path / "a.json"
        path.write_text(delivered(found))
        ids, tally = read_ids(path)
        assert ids == ["event-0", "event-1", "event-3", "event-4"]
        assert tally.skipped.total() == 1

    def test_each_broken_record_is_counted(self, tmp_path):
        found = [with_value(r, "x") if i % 2 else r for i, r in enumerate(listings(21))]
        (tmp_path / "a.json").write_text(delivered(found))
        ids, tally = read_ids(tmp_path)
        assert len(ids) == 11 and tally.skipped["malformed JSON"] == 10

    def test_parsing_stops_after_a_thousand_broken_records(self, tmp_path):
        (tmp_path / "a.json").write_text('{"Records": [' + "x, {} , " * 3000)
        _, tally = read_ids(tmp_path)
        assert "stopped after" in tally.problems[-1].message or tally.skipped.total() > 1000

    def test_a_broken_record_in_a_list_of_another_key_loses_no_other(self, tmp_path):
        events = [{"EventId": r["eventID"], "CloudTrailEvent": json.dumps(r)} for r in listings(4)]
        texts = [json.dumps(event) for event in events]
        texts[1] = texts[1][:-1] + ', "bad": }'
        (tmp_path / "a.json").write_text('{"NextToken": "x", "Events": [' + ", ".join(texts) + "]}")
        ids, tally = read_ids(tmp_path)
        assert ids == ["event-0", "event-2", "event-3"] and tally.skipped.total() == 1

    @given(st.data())
    def test_a_record_cut_anywhere_loses_no_other(self, tmp_path_factory, data):
        """Any record is cut anywhere: all others are read, and the loss is reported."""
        texts = [json.dumps(record) for record in listings(6)]
        place = data.draw(st.integers(0, 5))
        cut = data.draw(st.integers(1, len(texts[place]) - 1))
        texts[place] = texts[place][:cut]
        path = tmp_path_factory.mktemp("cut") / "a.json"
        path.write_text(delivered(texts))
        ids, tally = read_ids(path)
        others = [f"event-{i}" for i in range(6) if i != place]
        assert set(others) <= set(ids) and tally.skipped.total() >= 1


class TestUnexpectedError:
    """An unexpected error of local-panther is reported; it loses a record or the rest of a file."""

    def test_an_unexpected_error_loses_one_record(self, tmp_path, monkeypatch):
        added = scan.panther_fields

        def failing(record, raw, time):
            if record["eventID"] == "event-1":
                raise RecursionError("too deep")
            return added(record, raw, time)

        monkeypatch.setattr(scan, "panther_fields", failing)
        path = tmp_path / "a.json"
        path.write_text(delivered(listings(3)))
        ids, tally = read_ids(path)
        assert ids == ["event-0", "event-2"]
        (problem,) = tally.problems
        assert problem.where == f"{path}, record 2" and "RecursionError" in problem.message

    def test_an_unexpected_error_in_an_irregular_record_loses_it_alone(self, tmp_path, monkeypatch):
        reading = scan.time_of
        failing = lambda value: 1 // 0 if value == 7 else reading(value)  # noqa: E731
        monkeypatch.setattr(scan, "time_of", failing)
        path = tmp_path / "a.jsonl"
        found = [*listings(2), call("ListRoles", eventTime=7), *listings(1, start=2)]
        write_lines(path, found)
        ids, tally = read_ids(path)
        assert ids == ["event-0", "event-1", "event-2"] and tally.records == 4
        (problem,) = tally.problems
        assert problem.where == f"{path}, line 3" and "ZeroDivisionError" in problem.message

    def test_an_unexpected_error_in_a_file_loses_no_other_file(self, tmp_path, monkeypatch):
        reading = scan.read_source

        def failing(source, skip, other):
            yield from reading(source, skip, other)
            if source.name.endswith("a.json"):
                raise KeyError("form")

        monkeypatch.setattr(scan, "read_source", failing)
        for i, name in enumerate("ab"):
            (tmp_path / f"{name}.json").write_text(delivered(listings(1, start=i)))
        ids, tally = read_ids(tmp_path)
        assert ids == ["event-0", "event-1"] and tally.skipped == {"unexpected error": 1}


class TestTime:
    @pytest.mark.parametrize(
        "time",
        [
            "9999-12-31T23:59:59Z",
            "0001-01-01T00:00:00Z",
            "2100-01-01T00:00:00Z",
            "1970-01-01T00:00Z",
        ],
    )
    def test_a_time_outside_the_supported_years_is_malformed(self, tmp_path, time):
        path = tmp_path / "a.jsonl"
        found = [*listings(2), call("ListRoles", eventTime=time, eventID="far")]
        write_lines(path, found)
        ids, tally = read_ids(path)
        assert ids == ["event-0", "event-1"]
        (problem,) = tally.problems
        assert problem.where == f"{path}, line 3" and time[:10] in problem.message

    @pytest.mark.parametrize("time", [10**400, -(10**400), 10**30, -1, float("inf"), float("nan")])
    def test_an_impossible_number_as_time_loses_one_record(self, tmp_path, time):
        path = tmp_path / "a.jsonl"
        found = [call("ListRoles", eventTime=time), *listings(2)]
        write_lines(path, found)
        ids, tally = read_ids(path)
        assert ids == ["event-0", "event-1"]
        (problem,) = tally.problems
        assert problem.where == f"{path}, line 1" and "eventTime" in problem.message

    @given(st.datetimes() | st.text(max_size=30).map(str))
    def test_every_accepted_time_can_be_moved_by_a_year_and_written(self, value):
        from local_panther.records.event_times import EARLIEST, LATEST
        from local_panther.times import iso, sql_timestamp

        time = parse_time(value if isinstance(value, str) else value.isoformat() + "Z")
        if time is not None and EARLIEST <= time < LATEST:
            for moved in (time - 366 * 86_400, time + 366 * 86_400):
                assert iso(moved) and sql_timestamp(moved)

    @pytest.mark.long
    def test_a_time_at_the_end_of_9999_does_not_stop_a_replay(self, tmp_path):
        found = [*listings(2), call("ListRoles", eventTime="9999-12-31T23:58:00Z", eventID="far")]
        path = tmp_path / "a.jsonl"
        write_lines(path, found)
        outcome = replayed(path)
        assert outcome.tally.records == 3 and outcome.tally.wanted == 2
        assert outcome.tally.skipped.total() == 1 and not outcome.errors.counts


class TestDuplicateKeys:
    """Of equal keys in an object, the last one wins, as in other parsers."""

    @pytest.mark.parametrize("lines", [True, False])
    def test_the_last_of_equal_keys_of_a_record_wins(self, tmp_path, lines):
        text = json.dumps(listings(1)[0])[:-1] + ', "awsRegion": "eu-west-1", "eventID": "second"}'
        (tmp_path / "a.json").write_text(text * 1 + "\n" if lines else f'{{"Records": [{text}]}}')
        tally = Tally()
        (record,) = Reader(frozenset(["ListRoles"]), tally).read([str(tmp_path / "a.json")])
        assert record.event()["awsRegion"] == "eu-west-1"
        assert record.event()["eventID"] == "second"

    def test_the_last_of_two_lists_of_records_wins(self, tmp_path):
        first, second = (json.dumps(listings(1, start=i)) for i in (0, 1))
        (tmp_path / "a.json").write_text(f'{{"Records": {first}, "Records": {second}}}')
        assert read_ids(tmp_path)[0] == ["event-1"]

    def test_duplicates_are_recognised_by_the_last_of_two_ids(self, tmp_path):
        text = json.dumps(listings(1)[0])[:-1]
        both = "".join(f'{text}, "eventID": "{name}"}}\n' for name in ("x", "y"))
        (tmp_path / "a.jsonl").write_text(both)
        assert read_ids(tmp_path)[0] == ["x", "y"]

    def test_the_last_of_two_times_wins(self, tmp_path):
        text = json.dumps(listings(1)[0])[:-1] + ', "eventTime": "2026-01-05T11:00:00Z"}'
        (tmp_path / "a.jsonl").write_text(text)
        (record,) = Reader(None, Tally()).read([str(tmp_path / "a.jsonl")])
        assert record.time == START + 3600

    def test_the_last_of_two_names_wins(self, tmp_path):
        text = json.dumps(call("AssumeRole"))[:-1] + ', "eventName": "ListRoles"}'
        (tmp_path / "a.jsonl").write_text(text)
        (record,) = Reader(frozenset(["AssumeRole", "ListRoles"]), Tally()).read(
            [str(tmp_path / "a.jsonl")]
        )
        assert record.name == record.event()["eventName"] == "ListRoles"


class TestFolder:
    def test_pipes_sockets_and_devices_in_a_folder_are_not_read(self, tmp_path):
        (tmp_path / "a.jsonl").write_text(json.dumps(listings(1)[0]))
        os.mkfifo(tmp_path / "pipe.json")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "socket.json"))
            (tmp_path / "null.json").symlink_to("/dev/zero")
            ids, tally = read_ids(tmp_path)
        assert ids == ["event-0"] and not tally.skipped
        assert tally.other == {"named pipes, devices and sockets": 3}

    def test_links_to_folders_are_counted_and_not_followed(self, tmp_path):
        (tmp_path / "a.jsonl").write_text(json.dumps(listings(1)[0]))
        (tmp_path / "loop").symlink_to(tmp_path)
        ids, tally = read_ids(tmp_path)
        assert ids == ["event-0"] and tally.other == {"links to folders": 1}

    def test_a_broken_link_is_reported_by_path(self, tmp_path):
        (tmp_path / "a.json").symlink_to(tmp_path / "missing")
        _, tally = read_ids(tmp_path)
        assert tally.problems[0].where == str(tmp_path / "a.json")

    def test_a_file_that_becomes_a_pipe_after_listing_does_not_block_reading(self, tmp_path):
        for name in "abc":
            (tmp_path / f"{name}.jsonl").write_text(json.dumps(listings(1, start=ord(name))[0]))
        tally = Tally()
        found = find_files([str(tmp_path)], tally)
        (tmp_path / "b.jsonl").unlink()
        os.mkfifo(tmp_path / "b.jsonl")
        ids = [record.event()["eventID"] for record in Reader(None, tally).read(found)]
        assert ids == ["event-97", "event-99"]
        (problem,) = tally.problems
        assert problem.where == str(tmp_path / "b.jsonl") and "regular file" in problem.message

    def test_a_pipe_named_as_a_path_is_read(self, tmp_path):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        content = gzip.compress(json.dumps(listings(1)[0]).encode())
        writer = threading.Thread(target=pipe.write_bytes, args=[content])
        writer.start()
        assert read_ids(pipe)[0] == ["event-0"]
        writer.join()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
    def test_a_folder_that_cannot_be_listed_is_reported(self, tmp_path):
        (tmp_path / "closed").mkdir(mode=0)
        assert "unreadable folder" in read_ids(tmp_path)[1].skipped


def bomb(size):
    """Return a gzip stream with one line of `size` bytes, which is never held in memory."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1) as file:
        file.write(json.dumps(listings(1)[0]).encode() + b"\n")
        for _ in range(size >> 20):
            file.write(b"x" * (1 << 20))
        file.write(b"\n" + json.dumps(listings(1, start=1)[0]).encode())
    return buffer.getvalue()


class TestSize:
    def test_an_oversized_line_loses_no_other(self, tmp_path, monkeypatch):
        monkeypatch.setattr(documents, "MAX_DOCUMENT_BYTES", 1 << 20)
        monkeypatch.setattr(documents, "PIECE_BYTES", 1 << 16)
        path = tmp_path / "a.jsonl.gz"
        path.write_bytes(bomb(5 << 20))
        ids, tally = read_ids(path)
        assert ids == ["event-0", "event-1"]
        (problem,) = tally.problems
        assert problem.where == f"{path}, line 2" and "a line of 5 MB" in problem.message

    def test_the_nesting_of_compression_is_limited(self, tmp_path):
        content = json.dumps(listings(1)[0]).encode()
        for _ in range(30):
            content = gzip.compress(content)
        (tmp_path / "a.json.gz").write_bytes(content)
        ids, tally = read_ids(tmp_path)
        assert not ids and "packed more than" in tally.problems[0].message

    def test_the_nesting_of_archives_is_limited(self, tmp_path):
        inner = b""
        for _ in range(20):
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr("again.zip", inner)
                archive.writestr("a.jsonl", json.dumps(listings(1)[0]))
            inner = buffer.getvalue()
        (tmp_path / "a.zip").write_bytes(inner)
        ids, tally = read_ids(tmp_path)
        assert ids == ["event-0"] and "packed more than" in tally.problems[0].message


class TestArchive:
    def zipped(self, files):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return buffer.getvalue()

    def tarred(self, files):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return buffer.getvalue()

    @pytest.mark.parametrize("pack", ["zipped", "tarred"])
    def test_a_broken_member_is_reported_and_the_others_are_read(self, tmp_path, pack):
        good = [json.dumps(record).encode() for record in listings(2)]
        files = {"a.jsonl": good[0], "b.json.gz": gzip.compress(good[1])[:-12], "c.jsonl": good[1]}
        path = tmp_path / "logs"
        path.write_bytes(getattr(self, pack)(files))
        ids, tally = read_ids(path)
        assert {"event-0", "event-1"} <= set(ids)
        assert all(p.where.startswith(f"{path}/b.json.gz") for p in tally.problems)
        assert tally.problems

    @pytest.mark.parametrize("pack", ["zipped", "tarred"])
    def test_a_truncated_archive_is_reported(self, tmp_path, pack):
        files = {f"{i}.jsonl": json.dumps(record).encode() for i, record in enumerate(listings(50))}
        path = tmp_path / "logs"
        path.write_bytes(getattr(self, pack)(files)[:-200])
        _, tally = read_ids(path)
        assert tally.problems

    @given(st.sampled_from(["zipped", "tarred"]), st.data())
    def test_changing_any_byte_of_an_archive_raises_nothing(self, tmp_path_factory, pack, data):
        files = {"a.jsonl": b"{}\n", "b.jsonl": b"[]"}
        content = bytearray(getattr(self, pack)(files))
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        path = tmp_path_factory.mktemp("fuzz") / "a"
        path.write_bytes(content)
        read_ids(path)


@given(st.lists(st.sampled_from(["{", "}", "[", "]", ",", '"', "\\", '{"eventName": "x"}', "1"])))
def test_no_sequence_of_brackets_raises(tmp_path_factory, parts):
    path = tmp_path_factory.mktemp("fuzz") / "a.json"
    path.write_text('{"Records": [' + "".join(parts))
    read_ids(path)
