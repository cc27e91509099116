"""Files looked through by several processes: what is found is what one process finds."""

import gzip
import json
import multiprocessing
import os
import pickle
import signal
import struct
from multiprocessing.connection import Connection
from random import Random

import pytest

from local_panther.records import looking, pool, workers
from local_panther.records.files import find_files
from local_panther.records.forms import documents
from local_panther.records.model import Tally
from local_panther.records.reader import Reader
from local_panther.records.scan import Scanner
from tests.builders.events import START, call, denied, role_arn
from tests.builders.replays import replayed, simulated

FORKS = multiprocessing.get_start_method() == "fork"
needs_fork = pytest.mark.skipif(not FORKS, reason="reaches into the workers, which needs fork")


def read(folder, count, wanted=frozenset({"AssumeRole", "ListRoles"})):
    tally = Tally()
    files = find_files([str(folder), str(folder / "missing.json")], tally)
    return list(Reader(wanted, tally, count).read(files)), tally


@pytest.fixture(autouse=True)
def a_load_for_each_file(monkeypatch):
    monkeypatch.setattr(workers, "BATCH_BYTES", 1)


@pytest.fixture
def folder(tmp_path):
    """Files of all kinds, sound and broken, whose records come twice here and there."""
    random = Random(1)
    names = ("AssumeRole", "ListRoles", "DescribeInstances")
    found = [
        call(random.choice(names), time=START + random.randrange(9000), eventID=f"event-{i % 600}")
        for i in range(900)
    ]
    for number, start in enumerate(range(0, len(found), 30)):
        text = json.dumps({"Records": found[start : start + 30]}).encode()
        broken = text[: len(text) // 2] if number % 7 == 3 else text
        (tmp_path / f"{number:02}.json.gz").write_bytes(gzip.compress(broken))
    (tmp_path / "empty.json").write_bytes(b"")
    (tmp_path / "cut.json.gz").write_bytes(gzip.compress(os.urandom(5000))[:-100])
    (tmp_path / "lines.jsonl").write_text("\n".join([*map(json.dumps, found[:50]), "[1]", "{"]))
    return tmp_path


class TestWorkers:
    @pytest.mark.parametrize("count", [2, 3])
    @pytest.mark.parametrize("load_bytes", [1, 3000, 1_000_000])
    def test_find_what_one_process_finds(self, folder, monkeypatch, count, load_bytes):
        monkeypatch.setattr(workers, "BATCH_BYTES", load_bytes)
        assert read(folder, count) == read(folder, 1)

    def test_find_something_at_all(self, folder):
        found, tally = read(folder, 2)
        assert len(found) == tally.wanted > 300 and tally.duplicates and tally.first and tally.last
        assert len({problem.message.split(":")[0] for problem in tally.problems}) == 5

    def test_take_every_record_where_no_rule_has_a_filter(self, folder):
        assert read(folder, 2, wanted=None) == read(folder, 1, wanted=None)

    def test_leave_large_files_to_the_main_process(self, folder, monkeypatch):
        expected = read(folder, 1)
        monkeypatch.setattr(pool, "LARGE_FILE_BYTES", -1)
        monkeypatch.setattr(pool, "look_through", None)  # nothing is left for it
        assert read(folder, 2) == expected

    def test_are_not_started_for_what_one_load_holds(self, folder, monkeypatch):
        expected = read(folder, 1)
        monkeypatch.setattr(workers, "BATCH_BYTES", 1_000_000)
        monkeypatch.setattr(pool, "_Pool", None)
        assert read(folder, 2) == expected

    @needs_fork
    def test_hand_back_what_is_too_much_at_once(self, folder, monkeypatch):
        monkeypatch.setattr(documents, "PIECE_BYTES", 1000)  # so that a file has several
        monkeypatch.setattr(looking, "MAX_RESULT_BYTES", 2000)
        assert read(folder, 2) == read(folder, 1)

    @needs_fork
    def test_that_die_lose_nothing(self, folder, monkeypatch):
        expected = read(folder, 1)
        main, scan = os.getpid(), Scanner.scan

        def deadly(scanner, path):
            if os.getpid() != main and "05" in path:
                os._exit(9)
            return scan(scanner, path)

        monkeypatch.setattr(Scanner, "scan", deadly)
        assert read(folder, 2) == expected

    @needs_fork
    @pytest.mark.parametrize("deadly", [["05"], ["05", "20"]])
    def test_that_are_killed_amid_what_they_write_lose_nothing(self, folder, monkeypatch, deadly):
        """Who reads from a pipe that others can write to, too, would wait for the rest for ever."""
        expected = read(folder, 1)
        main, send = os.getpid(), Connection.send

        def cut(connection, message):
            data = pickle.dumps(message)
            if os.getpid() == main or not any(f"/{name}.json" in str(message) for name in deadly):
                send(connection, message)
                return
            os.write(connection.fileno(), struct.pack("!i", len(data)) + data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)

        monkeypatch.setattr(Connection, "send", cut)
        assert read(folder, 2) == expected


def test_the_alerts_are_the_same(tmp_path):
    trail = simulated(tmp_path / "t", roles=40, succeed=2, shuffle=True, duplicates=0.3, retries=20)
    (trail / "more.json").write_text(json.dumps([denied(role_arn("A"), time=START)] * 3))
    one, two = (replayed(trail, workers=count) for count in (1, 2))
    assert one.alerts == two.alerts and len(one.alerts) >= 2
    assert (one.tally, one.signals) == (two.tally, two.signals)
