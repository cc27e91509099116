"""Several processes that scan files find the same records as one process."""

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
def one_batch_for_each_file(monkeypatch):
    monkeypatch.setattr(workers, "BATCH_BYTES", 1)


@pytest.fixture
def folder(tmp_path):
    """Return a folder of valid and broken files of several kinds, with some duplicate records."""
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
    @pytest.mark.parametrize("batch_bytes", [1, 3000, 1_000_000])
    def test_workers_find_the_same_records_as_one_process(
        self, folder, monkeypatch, count, batch_bytes
    ):
        monkeypatch.setattr(workers, "BATCH_BYTES", batch_bytes)
        assert read(folder, count) == read(folder, 1)

    def test_the_files_have_records_duplicates_and_problems(self, folder):
        found, tally = read(folder, 2)
        assert len(found) == tally.wanted > 300 and tally.duplicates and tally.first and tally.last
        assert len({problem.message.split(":")[0] for problem in tally.problems}) == 5

    def test_workers_find_all_records_if_no_rule_has_a_filter(self, folder):
        assert read(folder, 2, wanted=None) == read(folder, 1, wanted=None)

    def test_large_files_are_read_by_the_main_process(self, folder, monkeypatch):
        expected = read(folder, 1)
        monkeypatch.setattr(pool, "LARGE_FILE_BYTES", -1)
        monkeypatch.setattr(pool, "look_through", None)  # workers must not be asked
        assert read(folder, 2) == expected

    def test_no_worker_is_started_for_a_single_batch(self, folder, monkeypatch):
        expected = read(folder, 1)
        monkeypatch.setattr(workers, "BATCH_BYTES", 1_000_000)
        monkeypatch.setattr(pool, "_Pool", None)
        assert read(folder, 2) == expected

    @needs_fork
    def test_batches_with_too_large_results_are_read_by_the_main_process(self, folder, monkeypatch):
        monkeypatch.setattr(documents, "PIECE_BYTES", 1000)  # so that a file has several chunks
        monkeypatch.setattr(looking, "MAX_RESULT_BYTES", 2000)
        assert read(folder, 2) == read(folder, 1)

    @needs_fork
    def test_workers_that_exit_lose_nothing(self, folder, monkeypatch):
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
    def test_workers_killed_while_they_write_lose_nothing(self, folder, monkeypatch, deadly):
        """With one pipe for all workers, the reader would wait for a message's rest for ever."""
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


def test_alerts_do_not_depend_on_the_number_of_workers(tmp_path):
    trail = simulated(tmp_path / "t", roles=40, succeed=2, shuffle=True, duplicates=0.3, retries=20)
    (trail / "more.json").write_text(json.dumps([denied(role_arn("A"), time=START)] * 3))
    one, two = (replayed(trail, workers=count) for count in (1, 2))
    assert one.alerts == two.alerts and len(one.alerts) >= 2
    assert (one.tally, one.signals) == (two.tally, two.signals)
