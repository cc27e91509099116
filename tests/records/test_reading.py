"""Reading CloudTrail from valid and broken files."""

import functools
import gzip
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_panther.records.files import find_files
from local_panther.records.forms import documents
from local_panther.records.model import Tally
from local_panther.records.order import RecentIds, in_time_order
from local_panther.records.reader import Reader
from tests.builders.events import START, call
from tests.builders.forms import envelope, lines
from tests.builders.reading import listings, read


def ids(found):
    return [json.loads(record.raw)["eventID"] for record in found]


SOUND = {
    "envelope.json": envelope(listings(3)),
    "formatted.json": envelope(listings(3), indent=2),
    "lines.jsonl": lines(listings(3)),
    "lines-as.json": lines(listings(3)),
    "lines.ndjson": lines(listings(3)).rstrip(b"\n"),
    "blank-lines.jsonl": b"\n\n" + lines(listings(3)).replace(b"\n", b"\r\n\r\n"),
    "array.json": json.dumps(listings(3)).encode(),
    "envelopes.jsonl": envelope(listings(2)) + b"\n" + envelope(listings(1, start=2)),
}


class TestForms:
    @pytest.mark.parametrize("name", SOUND)
    @pytest.mark.parametrize("packed", [False, True])
    def test_every_form_is_read(self, tmp_path, name, packed):
        path = tmp_path / (name + ".gz" * packed)
        path.write_bytes(gzip.compress(SOUND[name]) if packed else SOUND[name])
        found, tally = read(tmp_path)
        assert ids(found) == ["event-0", "event-1", "event-2"]
        assert (tally.files, tally.records, tally.problems) == (1, 3, [])

    def test_a_single_record_is_read(self, tmp_path):
        (tmp_path / "one.json").write_text(json.dumps(listings(1)[0], indent=1))
        assert ids(read(tmp_path)[0]) == ["event-0"]

    def test_standard_input_is_read(self, monkeypatch):
        buffer = io.BufferedReader(io.BytesIO(gzip.compress(lines(listings(2)))))
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=buffer))
        assert ids(read("-")[0]) == ["event-0", "event-1"]

    def test_gzip_is_recognised_by_content_not_name(self, tmp_path):
        (tmp_path / "named.json").write_bytes(gzip.compress(lines(listings(2))))
        (tmp_path / "named.json.gz").write_bytes(lines(listings(1, start=2)))
        assert sorted(ids(read(tmp_path)[0])) == ["event-0", "event-1", "event-2"]

    def test_gzip_files_of_several_members_are_read_whole(self, tmp_path):
        members = [gzip.compress(lines(listings(1, start=i))) for i in range(3)]
        (tmp_path / "joined.jsonl.gz").write_bytes(b"".join(members))
        assert ids(read(tmp_path)[0]) == ["event-0", "event-1", "event-2"]

    @pytest.mark.parametrize("size", [1, 7, 64, 1000])
    def test_lines_do_not_depend_on_the_size_of_a_chunk(self, tmp_path, monkeypatch, size):
        monkeypatch.setattr(documents, "PIECE_BYTES", size)
        (tmp_path / "a.jsonl").write_bytes(lines(listings(20)))
        (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines(listings(20, start=20))))
        assert ids(read(tmp_path)[0]) == [f"event-{i}" for i in range(40)]

    def test_folders_are_searched_and_other_files_set_aside(self, tmp_path):
        deep = tmp_path / "AWSLogs" / "123456789012" / "CloudTrail"
        deep.mkdir(parents=True)
        (deep / "a.json.gz").write_bytes(gzip.compress(envelope(listings(1))))
        (deep / "README.md").write_text("not CloudTrail")
        (deep / ".hidden.json").write_text("{")
        (tmp_path / "loop").symlink_to(tmp_path)
        found, tally = read(tmp_path)
        assert ids(found) == ["event-0"] and tally.files == 1

    def test_files_are_sorted_by_delivery_time(self, tmp_path):
        names = [
            "eu-west-1/123456789012_CloudTrail_eu-west-1_20260105T1010Z_a.json",
            "us-east-1/123456789012_CloudTrail_us-east-1_20260105T1005Z_b.json",
            "eu-west-1/123456789012_CloudTrail_eu-west-1_20260105T1000Z_c.json",
        ]
        for name in names:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("{}")
        assert [Path(f).name[-6:] for f in find_files([str(tmp_path)], Tally())] == [
            "c.json",
            "b.json",
            "a.json",
        ]


class TestBroken:
    """Unreadable data is reported with its file and record, and the rest is read."""

    def check(self, path, expected_ids, reason, where):
        found, tally = read(path)
        assert ids(found) == expected_ids
        (problem,) = tally.problems
        assert reason in problem.message
        assert problem.where == where
        assert tally.skipped.total() == 1

    def test_truncated_gzip_is_read_up_to_the_end(self, tmp_path):
        path = tmp_path / "a.jsonl.gz"
        whole = gzip.compress(lines(listings(2000)), compresslevel=1)
        path.write_bytes(whole[: len(whole) // 2])
        found, tally = read(path)
        assert len(found) > 500
        assert ids(found) == [f"event-{i}" for i in range(len(found))]
        assert any("broken gzip" in problem.message for problem in tally.problems)

    def test_a_truncated_envelope_in_gzip_is_read_up_to_the_end(self, tmp_path):
        path = tmp_path / "a.json.gz"
        whole = gzip.compress(envelope(listings(2000)), compresslevel=1)
        path.write_bytes(whole[: len(whole) // 2])
        found, tally = read(path)
        assert len(found) > 500
        assert {problem.message.split(":")[0] for problem in tally.problems} == {
            "malformed JSON",
            "truncated or oversized file",
        }

    def test_the_whole_records_of_a_truncated_envelope_are_read(self, tmp_path):
        path = tmp_path / "a.json"
        path.write_bytes(envelope(listings(3))[:-40])
        self.check(path, ["event-0", "event-1"], "malformed JSON", f"{path}, record 3")

    def test_a_broken_line_loses_no_other(self, tmp_path):
        path = tmp_path / "a.jsonl"
        path.write_bytes(lines(listings(1)) + b'{"eventName": \n' + lines(listings(1, start=1)))
        self.check(path, ["event-0", "event-1"], "malformed JSON", f"{path}, line 2")

    def test_a_broken_last_line_of_a_long_file_is_reported(self, tmp_path, monkeypatch):
        monkeypatch.setattr(documents, "PIECE_BYTES", 500)
        path = tmp_path / "a.jsonl"
        path.write_bytes(lines(listings(3)) + b'{"eventName": ')
        self.check(path, [f"event-{i}" for i in range(3)], "malformed JSON", f"{path}, line 4")

    def test_the_whole_records_of_a_truncated_indented_list_are_read(self, tmp_path):
        path = tmp_path / "a.json"
        path.write_bytes(envelope(listings(3), indent=3)[:-60])
        self.check(path, ["event-0", "event-1"], "malformed JSON", f"{path}, record 3")

    def test_text_that_is_not_json_is_reported(self, tmp_path):
        path = tmp_path / "a.json"
        path.write_text("hello")
        self.check(path, [], "malformed JSON", str(path))

    @pytest.mark.parametrize("intruder", [7, "text", None, True, [1]])
    def test_a_record_that_is_not_an_object_is_reported(self, tmp_path, intruder):
        path = tmp_path / "a.json"
        path.write_bytes(envelope([*listings(1), intruder, *listings(1, start=1)]))
        self.check(path, ["event-0", "event-1"], "not an object", f"{path}, record 2")

    @pytest.mark.parametrize(
        "time", [None, "", "soon", 7, "2026-01-05", "2026-13-05T0:0Z", "01/05/2026 10:00:00"]
    )
    def test_a_missing_or_malformed_time_is_reported(self, tmp_path, time):
        path = tmp_path / "a.jsonl"
        bad = call("ListRoles", eventTime=time)
        path.write_bytes(lines([*listings(1), bad]))
        self.check(path, ["event-0"], "eventTime", f"{path}, line 2")

    def test_a_malformed_time_of_a_record_that_no_rule_wants_is_reported(self, tmp_path):
        path = tmp_path / "a.jsonl"
        path.write_bytes(lines([call("DescribeInstances", eventTime="soon")]))
        _, tally = read(path, wanted=frozenset())
        assert "eventTime" in tally.problems[0].message

    @pytest.mark.parametrize("content", [b"", b" \n\n", gzip.compress(b"")])
    def test_an_empty_file_is_reported(self, tmp_path, content):
        path = tmp_path / "a.json"
        path.write_bytes(content)
        self.check(path, [], "empty file", str(path))

    def test_a_missing_path_is_reported(self, tmp_path):
        path = tmp_path / "missing"
        self.check(path, [], "no such file", str(path))

    def test_a_folder_without_cloudtrail_is_reported(self, tmp_path):
        self.check(tmp_path, [], "folder without CloudTrail", str(tmp_path))

    def test_an_oversized_document_is_reported(self, tmp_path, monkeypatch):
        monkeypatch.setattr(documents, "MAX_DOCUMENT_BYTES", 1000)
        monkeypatch.setattr(documents, "PIECE_BYTES", 100)
        path = tmp_path / "a.jsonl"
        path.write_bytes(b'{"eventName": "' + b"x" * 5000)
        self.check(path, [], "oversized line", f"{path}, line 1")

    def test_numbers_too_large_for_simdjson_are_read(self, tmp_path):
        path = tmp_path / "a.json"
        path.write_bytes(envelope([listings(1)[0] | {"big": 10**30}, *listings(1, start=1)]))
        found, tally = read(path)
        assert ids(found) == ["event-0", "event-1"] and not tally.problems

    @pytest.mark.parametrize(
        "content",
        [
            b'{"Records": ' + b"[" * 200_000,
            b'{"a": ' * 100_000,
            functools.reduce(lambda content, _: gzip.compress(content), range(6), b"{}"),
            gzip.compress(b'{"Records": []}') + b"rubbish behind it",
            b'{"eventName": "\xff\xfe", "eventTime": "2026-01-05T10:00:00Z"',
            b'{"n": 1' + b"0" * 5000 + b"}",
            b"\x00" * 1000,
            b"\xef\xbb\xbf{",
        ],
    )
    def test_hostile_content_is_reported_and_the_next_file_is_read(self, tmp_path, content):
        (tmp_path / "a.json").write_bytes(content)
        (tmp_path / "b.jsonl").write_bytes(lines(listings(2)))
        found, tally = read(tmp_path)
        assert ids(found) == ["event-0", "event-1"]
        assert tally.problems and all("a.json" in problem.where for problem in tally.problems)

    def test_deeply_nested_records_are_read(self, tmp_path):
        deep = "[" * 900 + "]" * 900
        line = json.dumps(listings(1)[0])[:-1] + f', "deep": {deep}}}\n'
        (tmp_path / "a.jsonl").write_text(line + lines(listings(1, start=1)).decode())
        assert ids(read(tmp_path)[0]) == ["event-0", "event-1"]

    def test_a_file_may_shrink_while_it_is_read(self, tmp_path, monkeypatch):
        monkeypatch.setattr(documents, "PIECE_BYTES", 1000)
        path = tmp_path / "a.jsonl"
        path.write_bytes(lines(listings(50)))
        tally = Tally()
        reading = Reader(None, tally).read([str(path)])
        first = next(reading)
        path.write_bytes(b"")
        assert ids([first, *reading])[0] == "event-0"

    @given(st.binary(max_size=300))
    def test_no_sequence_of_bytes_raises(self, tmp_path_factory, content):
        path = tmp_path_factory.mktemp("fuzz") / "a.json"
        path.write_bytes(content)
        read(path)


class TestDuplicates:
    def test_duplicates_are_dropped_and_counted(self, tmp_path):
        (tmp_path / "a.jsonl").write_bytes(lines(listings(3)))
        (tmp_path / "b.jsonl").write_bytes(lines(listings(4)))
        found, tally = read(tmp_path, tmp_path)
        assert ids(found) == ["event-0", "event-1", "event-2", "event-3"]
        assert (tally.records, tally.duplicates) == (14, 10)

    def test_duplicates_of_unwanted_records_are_not_counted(self, tmp_path):
        (tmp_path / "a.jsonl").write_bytes(lines(listings(3)) * 2)
        _, tally = read(tmp_path, wanted=frozenset())
        assert (tally.records, tally.duplicates, tally.wanted) == (6, 0, 0)

    def test_records_without_an_id_are_never_duplicates(self, tmp_path):
        (tmp_path / "a.jsonl").write_bytes(lines([call("ListRoles")] * 2))
        assert len(read(tmp_path)[0]) == 2

    @given(st.lists(st.integers(0, 9)), st.integers(1, 5))
    def test_duplicates_are_recognised_within_the_capacity(self, numbers, capacity):
        recent = RecentIds(capacity)
        for i, number in enumerate(numbers):
            repeated = recent.is_repeated(str(number))
            assert not repeated or number in numbers[:i]
            if number in numbers[max(0, i - capacity) : i]:
                assert repeated


class TestOrder:
    def stream(self, tmp_path, times):
        found = [call("ListRoles", time=START + t, eventID=f"{i}") for i, t in enumerate(times)]
        (tmp_path / "a.jsonl").write_bytes(lines(found))
        return read(tmp_path)

    def test_records_are_sorted_by_time_within_the_buffer(self, tmp_path):
        found, tally = self.stream(tmp_path, [5, 3, 9, 1, 7])
        assert [r.time - START for r in in_time_order(found, tally)] == [1, 3, 5, 7, 9]
        assert tally.late == 0

    def test_records_of_equal_time_stay_in_order_of_reading(self, tmp_path):
        found, tally = self.stream(tmp_path, [1, 1, 1])
        assert ids(in_time_order(found, tally)) == ["0", "1", "2"]

    def test_late_records_are_counted_and_not_lost(self, tmp_path):
        found, tally = self.stream(tmp_path, [5, 6, 7, 1])
        ordered = [r.time - START for r in in_time_order(found, tally, size=1)]
        assert ordered == [5, 6, 1, 7] and tally.late == 1

    def test_the_tally_has_the_first_and_last_time(self, tmp_path):
        _, tally = self.stream(tmp_path, [5, 3, 9])
        assert (tally.first, tally.last) == (START + 3, START + 9)
