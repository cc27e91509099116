"""Reading with a cluster: a real Dask scheduler and workers on this machine, and moto as S3."""

import contextlib
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

pytest.importorskip("distributed", reason="needs the extra `cluster`")

from local_panther.errors import UnusableCluster
from local_panther.records import cluster, workers
from local_panther.records.files import find_files
from local_panther.records.model import Tally
from local_panther.records.reader import Reader
from local_panther.records.s3 import S3
from local_panther.records.trail import Trail
from local_panther.replay import replay
from tests.builders.events import REPO, START, call
from tests.builders.replays import replayed, simulated
from tests.builders.s3 import s3_environment, upload
from tests.scale import slow

pytestmark = pytest.mark.process

WANTED = frozenset({"AssumeRole", "ListRoles"})
FILES = 60


@contextlib.contextmanager
def _scheduler(folder):
    """Run a scheduler and yield the file by which workers and clients find it."""
    with _scheduler_process(folder) as (file, _):
        yield file


@contextlib.contextmanager
def _scheduler_process(folder):
    file = folder / "scheduler.json"
    command = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    with _dask(*command, "--scheduler-file", file) as process:
        while not file.exists():
            time.sleep(0.1)
        yield file, process


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    with _scheduler(tmp_path_factory.mktemp("scheduler")) as file:
        yield file


@contextlib.contextmanager
def _dask(*arguments, environment=(), folder=None):
    command = [sys.executable, "-m", "dask", *map(str, arguments)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    variables = {**os.environ, "PYTHONPATH": str(REPO), **dict(environment)}
    process = subprocess.Popen(command, env=variables, cwd=folder or "/", **quiet)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _worker(scheduler, name, **options):
    """Run a worker; at the end, wait until the scheduler has removed it."""
    with _started_worker(scheduler, name, **options) as process:
        yield process
    while name in _names(scheduler):
        time.sleep(0.1)


@contextlib.contextmanager
def _started_worker(scheduler, name, **options):
    """Run a worker without a nanny, which would restart it if it is killed."""
    arguments = ["worker", "--scheduler-file", scheduler, "--no-nanny", "--nthreads", "1"]
    with _dask(*arguments, "--no-dashboard", "--name", name, **options) as process:
        while name not in _names(scheduler):
            assert process.poll() is None
            time.sleep(0.1)
        yield process


def _names(scheduler):
    from distributed import Client

    with Client(scheduler_file=str(scheduler), set_as_default=False) as client:
        found = client.scheduler_info(n_workers=-1)["workers"].values()
        return {worker["name"] for worker in found}


def _address(scheduler):
    return json.loads(scheduler.read_text())["address"]


@pytest.fixture(scope="module")
def address(s3_endpoint, tmp_path_factory):
    """Yield the address of a scheduler with two workers that have their own AWS configuration."""
    environment = s3_environment(s3_endpoint)
    with (
        _scheduler(tmp_path_factory.mktemp("two")) as scheduler,
        _worker(scheduler, "one", environment=environment),
        _worker(scheduler, "two", environment=environment),
    ):
        yield _address(scheduler)


@pytest.fixture(autouse=True)
def one_batch_for_each_file(monkeypatch):
    for name in ("BATCH_BYTES", "S3_BATCH_BYTES"):
        monkeypatch.setattr(workers, name, 1)


@pytest.fixture
def folder(tmp_path):
    """Return a folder of files with some duplicate records, some broken files and a README."""
    random = Random(1)
    names = ("AssumeRole", "ListRoles", "DescribeInstances")
    for number in range(FILES):
        found = [
            call(random.choice(names), time=START + 60 * number, eventID=f"{random.random():.3f}")
            for _ in range(30)
        ]
        text = gzip.compress(json.dumps({"Records": found}).encode())
        (tmp_path / f"{number:02}.json.gz").write_bytes(text[: -20 if number % 9 == 3 else None])
    (tmp_path / "README.md").write_text("no record")
    return tmp_path


def read(path, **options):
    tally = Tally()
    s3 = S3()
    files = find_files([str(path)], tally, s3)
    return list(Reader(WANTED, tally, s3=s3, **options).read(files)), tally


def test_a_cluster_finds_the_same_records_as_this_process(address, bucket, folder):
    for path in (folder, upload(bucket, folder)):
        expected = read(path)
        assert len(expected[0]) > 300 and expected[1].skipped and expected[1].duplicates
        assert read(path, cluster=address) == expected


def test_paths_are_relative_to_the_folder_of_the_command(address, folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert read(".", cluster=address) == read(".")


def test_workers_send_wanted_records_only(address, folder, monkeypatch):
    travelled = []
    result = cluster._Batches.result

    def measured(self, future):
        travelled.append(result(self, future))
        return travelled[-1]

    monkeypatch.setattr(cluster._Batches, "result", measured)
    found, tally = read(folder, cluster=address)
    arrived = [record for scans in travelled for scan in scans for record in scan.records]
    assert len(travelled) > FILES and {record.name for record in arrived} == WANTED
    assert len(arrived) == len(found) + tally.duplicates < tally.records


def test_a_cluster_gives_the_same_alerts(address, bucket, tmp_path):
    trail = simulated(tmp_path / "trail", roles=12, shuffle=True, duplicates=0.2)
    url = upload(bucket, trail)
    expected, outcome = replayed(trail), replay(Trail([url], cluster=address), REPO)
    assert outcome.complete and len(expected.alerts) >= 1
    assert [a.title for a in outcome.alerts] == [a.title for a in expected.alerts]
    assert outcome.signals == expected.signals


@pytest.mark.parametrize("kill_both", [pytest.param(False, marks=slow), True])
def test_a_worker_that_is_killed_loses_no_record(
    scheduler, bucket, folder, monkeypatch, caplog, kill_both
):
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0.5)
    url = upload(bucket, folder)
    expected = read(url)
    tally, s3, found = Tally(), S3(), []
    files = find_files([url], tally, s3)
    with _worker(scheduler, "one") as one, _worker(scheduler, "two") as two:
        for record in Reader(WANTED, tally, s3=s3, cluster=_address(scheduler)).read(files):
            if len(found) == 100:
                for process in (one, two) if kill_both else (one,):
                    process.send_signal(signal.SIGKILL)
            found.append(record)
    assert (found, tally) == expected
    assert ("no worker is left" in caplog.text) == kill_both


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_a_scheduler_that_dies_or_hangs_loses_no_record(
    folder, tmp_path_factory, monkeypatch, caplog, sent
):
    for limit in ("POLL_SECONDS", "ANSWER_SECONDS", "CLOSE_SECONDS"):
        monkeypatch.setattr(cluster, limit, 0.5)
    expected = read(folder)
    tally, s3, found = Tally(), S3(), []
    files = find_files([str(folder)], tally, s3)
    with (
        _scheduler_process(tmp_path_factory.mktemp("ends")) as (scheduler, process),
        _started_worker(scheduler, "one"),
    ):
        for record in Reader(WANTED, tally, s3=s3, cluster=_address(scheduler)).read(files):
            if len(found) == 100:
                process.send_signal(sent)
            found.append(record)
    assert (found, tally) == expected
    assert "this machine reads the remaining files" in caplog.text


@slow
def test_unusable_workers_are_reported_and_not_used(
    scheduler, bucket, folder, tmp_path_factory, caplog
):
    address = _address(scheduler)
    url = upload(bucket, folder)
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(REPO / "local_panther", other / "local_panther")
    with (other / "local_panther" / "records" / "scan.py").open("a") as file:
        file.write("\n# another version\n")
    older = tmp_path_factory.mktemp("older")
    shutil.copytree(REPO / "local_panther", older / "local_panther")
    (older / "local_panther" / "records" / "looking.py").unlink()
    no_access = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}
    with (
        _worker(scheduler, "other", environment={"PYTHONPATH": str(other)}),
        _worker(scheduler, "older", environment={"PYTHONPATH": str(older)}),
        _worker(scheduler, "no access", environment=no_access),
    ):
        with pytest.raises(UnusableCluster, match="no usable worker"):
            read(url, cluster=address)
        with _worker(scheduler, "good"):
            caplog.clear()
            assert read(url, cluster=address) == read(url)
    for reason in ("another version", "does not have this version", "cannot read s3://trail/"):
        assert caplog.text.count(reason) == 1


def test_files_missing_on_the_workers_are_read_by_this_process(address, folder):
    """Workers are checked with two sample files beforehand, so they can lack a later one."""
    link = folder / "zz.json"
    link.symlink_to("/proc/self/cwd/only-here.json")
    here = Path.cwd() / "only-here.json"
    here.write_text(json.dumps([call("ListRoles", time=START, eventID="here")]))
    try:
        found, tally = read(folder, cluster=address)
        assert (found, tally) == read(folder)
        assert any(b'"here"' in record.raw for record in found)
    finally:
        here.unlink()


@pytest.mark.parametrize(
    "command", ["replay", *(pytest.param(name, marks=slow) for name in ("tune", "summary"))]
)
def test_an_unreachable_cluster_is_an_error_of_the_command(folder, command, monkeypatch):
    result = subprocess.run(
        [sys.executable, "-c", QUICK, command, folder, "--cluster", "tcp://127.0.0.1:1"],
        capture_output=True,
        text=True,
        cwd=REPO,
        check=False,
    )
    assert result.returncode == 2
    assert "--cluster tcp://127.0.0.1:1: cannot be reached" in result.stderr


QUICK = """
from local_panther.records import cluster, workers
cluster.CONNECT_SECONDS, workers.BATCH_BYTES = 1, 1
from local_panther.cli import main
main()
"""
