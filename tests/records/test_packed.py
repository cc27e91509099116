"""Compressed files, as other tools write and truncate them, lose nothing silently."""

import bz2
import gzip
import json
import lzma

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from local_panther.records.files import find_files
from local_panther.records.model import Tally
from local_panther.records.reader import Reader
from tests.builders.forms import lines, parquet
from tests.builders.reading import listings, read_ids

pytestmark = pytest.mark.attack("records")

COMPRESSED = {
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00\x10\x00\x00\x00"  # pzstd writes these first


def expected(count):
    return [f"event-{i}" for i in range(count)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trail"


@pytest.mark.parametrize("name", COMPRESSED)
class TestMembers:
    def test_concatenated_members_are_all_read(self, path, name):
        pack = COMPRESSED[name]
        path.write_bytes(b"".join(pack(lines(listings(5, start=i * 5))) for i in range(4)))
        ids, tally = read_ids(path)
        assert ids == expected(20) and not tally.problems

    @pytest.mark.parametrize("padding", [b"\n", b"\r\n", b"\0" * 600])
    def test_padding_after_the_last_member_is_ignored(self, path, name, padding):
        path.write_bytes(COMPRESSED[name](lines(listings(40))) + padding)
        ids, tally = read_ids(path)
        assert ids == expected(40) and not tally.problems

    def test_other_data_after_the_last_member_is_reported_and_loses_no_record(self, path, name):
        path.write_bytes(COMPRESSED[name](lines(listings(40))) + b"something else")
        ids, tally = read_ids(path)
        assert ids == expected(40)
        assert f"broken {name}" in tally.problems[0].message

    def test_an_almost_empty_first_member_does_not_hide_the_others(self, path, name):
        pack = COMPRESSED[name]
        path.write_bytes(pack(b"\n") + pack(b"") + pack(lines(listings(3))))
        ids, tally = read_ids(path)
        assert ids == expected(3) and not tally.problems

    def test_a_truncated_second_member_is_an_error_and_the_first_is_read(self, path, name):
        pack = COMPRESSED[name]
        second = pack(lines(listings(20, start=20)))
        path.write_bytes(pack(lines(listings(20))) + second[: len(second) // 2])
        ids, tally = read_ids(path)
        assert ids[:20] == expected(20)
        assert any(f"broken {name}" in problem.message for problem in tally.problems)

    @given(data=st.data())
    def test_a_truncated_member_is_an_error(self, tmp_path_factory, name, data):
        whole = COMPRESSED[name](lines(listings(6)))
        cut = data.draw(st.integers(6, len(whole) - 1))  # after the longest magic number
        path = tmp_path_factory.mktemp("cut") / "trail.jsonl"
        path.write_bytes(whole[:cut])
        ids, tally = read_ids(path)
        assert tally.skipped and ids == expected(len(ids))


class TestZstd:
    def test_a_frame_truncated_after_a_flush_is_an_error(self, path):
        packer = zstandard.ZstdCompressor().compressobj()
        flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        whole = b"".join(
            packer.compress(lines([record])) + packer.flush(flush) for record in listings(40)
        )
        path.write_bytes(whole[: len(whole) // 2])
        ids, tally = read_ids(path)
        assert 0 < len(ids) < 40 and ids == expected(len(ids))
        assert "broken zstd" in tally.problems[-1].message

    def test_skippable_frames_are_skipped(self, path):
        packed = zstandard.compress(lines(listings(3)))
        path.write_bytes(SKIPPABLE + packed + SKIPPABLE)
        ids, tally = read_ids(path)
        assert ids == expected(3) and not tally.problems


class TestDamagedGzip:
    def test_a_wrong_checksum_is_reported_and_the_records_are_read(self, path):
        packed = bytearray(gzip.compress(lines(listings(200))))
        packed[-6] ^= 1
        path.write_bytes(packed)
        ids, tally = read_ids(path)
        assert ids == expected(len(ids)) and len(ids) > 150
        assert "broken gzip" in tally.problems[-1].message


class TestParquet:
    def test_byte_arrays_without_an_annotation_are_text(self, path):
        found = [
            record | {"userIdentity": json.dumps(record["userIdentity"])} for record in listings(3)
        ]
        names = ("eventTime", "eventSource", "eventName", "eventID", "userIdentity")
        columns = ", ".join(f"encode({name}::VARCHAR) AS {name.lower()}" for name in names)
        path.write_bytes(parquet(found, f"SELECT {columns} FROM {{read}}"))
        tally = Tally()
        got = list(Reader(None, tally).read(find_files([str(path)], tally)))
        assert [r.event()["userIdentity"]["type"] for r in got] == ["IAMUser"] * 3
