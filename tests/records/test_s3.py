"""S3, by moto's server in a process of its own."""

import gzip
import json
import re
import socket
import subprocess
import sys
import time

import boto3
import pytest

from local_panther.records import s3 as s3_module
from local_panther.records.s3 import S3, Period, S3Error

SERVER = "from moto.server import main; import sys; main(sys.argv[1:])"
LOGS = "AWSLogs/123456789012/CloudTrail"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    """The address of a running S3."""
    log = tmp_path_factory.mktemp("s3") / "log"  # not a pipe, which would fill up
    command = [sys.executable, "-c", SERVER, "-H", "127.0.0.1", "-p", "0"]
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield found[0]
        process.kill()


@pytest.fixture
def bucket(endpoint, monkeypatch):
    """A client for S3 with an empty bucket `trail`, and the environment that leads there."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "example")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3_module._client.cache_clear()
    client = boto3.session.Session().client("s3")
    client.create_bucket(Bucket="trail")
    yield client
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="trail"):
        for found in page.get("Contents", ()):
            client.delete_object(Bucket="trail", Key=found["Key"])
    client.delete_bucket(Bucket="trail")
    s3_module._client.cache_clear()


def put(client, *keys):
    for key in keys:
        body = gzip.compress(json.dumps({"Records": [{"key": key}]}).encode())
        client.put_object(Bucket="trail", Key=key, Body=body)


def keys(found):
    return sorted(item.url.removeprefix("s3://trail/") for item in found)


def day(date, region="eu-west-1", name="a.json.gz"):
    return f"{LOGS}/{region}/{date}/{name}"


def test_lists_what_is_under_a_prefix_with_sizes(bucket):
    put(bucket, "a/1.json.gz", "a/b/2.json.gz", "c.json.gz")
    found = list(S3().objects("s3://trail/a/"))
    assert keys(found) == ["a/1.json.gz", "a/b/2.json.gz"] and all(item.size for item in found)
    assert keys(S3().objects("s3://trail")) == ["a/1.json.gz", "a/b/2.json.gz", "c.json.gz"]


def test_lists_more_than_a_page(bucket):
    put(bucket, *(f"many/{number}.json" for number in range(1_005)))
    assert len(list(S3().objects("s3://trail/many/"))) == 1_005


def test_skips_days_outside_the_period_without_listing_them(bucket, monkeypatch):
    wanted = [day("2026/01/05"), day("2026/01/06", "us-east-1"), "elsewhere/any.json.gz"]
    put(bucket, *wanted, day("2025/12/31"), day("2026/02/01"), day("2026/01/04"), day("2026/01/07"))
    listed = []
    page = S3._page
    monkeypatch.setattr(S3, "_page", lambda self, b, p, o: listed.append(p) or page(self, b, p, o))
    found = S3().objects("s3://trail", Period("20260105", "20260106"))
    assert keys(found) == sorted(wanted)
    assert not [folder for folder in listed if "2025" in folder or folder.endswith("01/04/")]


@pytest.mark.parametrize(
    ("period", "count"), [(Period("20260105"), 3), (Period("", "20260105"), 2), (Period(), 4)]
)
def test_a_period_may_be_open_at_either_end(bucket, period, count):
    put(bucket, *map(day, ("2025/12/31", "2026/01/05", "2026/01/06", "2026/02/01")))
    assert len(keys(S3().objects("s3://trail", period))) == count


def test_a_key_may_hold_any_character(bucket):
    key = "odd/a b#c?d=e%20f+g.json.gz"
    put(bucket, key)
    s3 = S3()
    (found,) = s3.objects("s3://trail/odd/")
    with s3.opened(found.url) as file:
        assert json.loads(gzip.decompress(file.read())) == {"Records": [{"key": key}]}


def test_fetches_many_objects_ahead_and_each_once(bucket):
    put(bucket, *(f"{number}.json.gz" for number in range(40)))
    s3 = S3()
    urls = [item.url for item in s3.objects("s3://trail")]
    s3.start_fetching(urls)
    for url in urls:
        with s3.opened(url) as file:
            assert file.peek(2)[:2] == b"\x1f\x8b"
            assert url.endswith(json.loads(gzip.decompress(file.read()))["Records"][0]["key"])
    assert not s3._fetching


def test_an_object_larger_than_memory_allows_is_fetched(bucket, monkeypatch):
    monkeypatch.setattr(s3_module, "IN_MEMORY_BYTES", 1000)
    bucket.put_object(Bucket="trail", Key="large", Body=b"x" * 3_000_000)
    with S3().opened("s3://trail/large") as file:
        assert file.read() == b"x" * 3_000_000


@pytest.mark.parametrize(
    ("url", "reason"),
    [("s3://no-such-bucket/x", "no such bucket"), ("s3://trail/missing", "no such object")],
)
def test_what_is_missing_is_named(bucket, url, reason):
    with pytest.raises(S3Error) as caught:
        S3().opened(url)
    assert reason in caught.value.strerror and url in str(caught.value)


def test_missing_credentials_are_named(bucket, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    s3_module._client.cache_clear()
    with pytest.raises(S3Error, match="credentials"):
        list(S3().objects("s3://trail"))


def test_an_endpoint_that_does_not_answer_is_named(bucket, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(s3_module, "ATTEMPTS", 1)
    s3_module._client.cache_clear()
    with pytest.raises(S3Error, match="Could not connect"):
        list(S3().objects("s3://trail"))
