"""Eight processes that share a stream, on another DynamoDB than moto's: dynalite, from npm."""

import json
import multiprocessing
import shutil
import socket
import subprocess
import time
from random import Random

import boto3
import pytest

from tests.builders.events import ACCOUNT, REPO, START
from tests.builders.sharing import TABLE, THRESHOLD, WINDOW, worker
from tests.shipped.test_distinct_window import reaches

DYNALITE = "dynalite@4.0.0"
NODE_FOLDER = REPO / "build" / "node"
WORKERS = 8


@pytest.fixture(scope="module")
def dynalite():
    """Start dynalite with the table and yield its address."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not installed: dynalite cannot run")
    server = NODE_FOLDER / "node_modules" / "dynalite" / "cli.js"
    if not server.exists():
        NODE_FOLDER.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", "."]
        done = subprocess.run([*command, DYNALITE], cwd=NODE_FOLDER, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"dynalite cannot be installed: {done.stderr.strip()[:200]}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--host", "127.0.0.1", "--createTableMs", "0"]
    process = subprocess.Popen(["node", server, *options], stdout=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        _create_table(address)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=10)


def _client(address):
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    return boto3.client("dynamodb", endpoint_url=address, region_name="us-east-1", **keys)


def _create_table(address):
    for _ in range(100):
        try:
            _client(address).create_table(
                TableName=TABLE,
                AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
                BillingMode="PAY_PER_REQUEST",
            )
        except Exception:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("dynalite did not start")


def share(address, subject, stream):
    """Split a stream among workers, start them at the same moment, and return the hits of each."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(WORKERS), context.Queue()
    shares = [stream[i::WORKERS] for i in range(WORKERS)]
    processes = [
        context.Process(target=worker, args=(address, subject, part, barrier, results))
        for part in shares
    ]
    for process in processes:
        process.start()
    hits = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(timeout=30)
        assert process.exitcode == 0
    return hits


def attempts(roles, retries, spread, seed):
    random = Random(seed)
    stream = [
        (START + random.randrange(spread), f"{ACCOUNT}:role/R{i % roles}")
        for i in range(roles * retries)
    ]
    random.shuffle(stream)
    return stream


@pytest.mark.process
@pytest.mark.parametrize(
    "roles, retries, spread, expected",
    [
        (10, 12, 1800, True),
        (9, 20, 3 * 3600, False),
        (40, 3, 1800, True),
        (14, 1, 4 * 3600, None),
    ],
)
def test_no_attempt_is_lost_and_the_verdict_is_exact(dynalite, roles, retries, spread, expected):
    from distinct_window_helpers import Sighting

    stream = attempts(roles, retries, spread, seed=roles)
    truth = reaches([Sighting(*entry) for entry in stream], WINDOW, THRESHOLD)
    assert expected in (truth, None)
    subject = json.dumps([roles, retries, spread])
    assert any(share(dynalite, subject, stream)) == truth


@pytest.mark.process
def test_each_of_eight_first_attempts_is_kept(dynalite):
    """All workers write a new item at the same moment."""
    stream = [(START + i, f"{ACCOUNT}:role/R{i}") for i in range(WORKERS)]
    share(dynalite, "first", stream)
    item = _client(dynalite).get_item(TableName=TABLE, Key={"key": {"S": "first"}})["Item"]
    assert len(item["stringSet"]["SS"]) == WORKERS
