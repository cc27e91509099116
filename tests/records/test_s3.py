"""Listing and fetching objects in S3."""

import gzip
import json
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from local_panther.records import s3 as s3_module
from local_panther.records.files import OTHER_TIMES, find_files
from local_panther.records.model import Tally
from local_panther.records.s3 import S3, S3Error, is_s3
from local_panther.times import ALWAYS, Period, parse_time

pytestmark = pytest.mark.process

LOGS = "AWSLogs/123456789012/CloudTrail"


def put(client, *keys):
    for key in keys:
        body = gzip.compress(json.dumps({"Records": [{"key": key}]}).encode())
        client.put_object(Bucket="trail", Key=key, Body=body)


def keys(found):
    return sorted(url.removeprefix("s3://trail/") for url in found)


def day(date, region="eu-west-1", name="a.json.gz"):
    return f"{LOGS}/{region}/{date}/{name}"


def test_lists_the_objects_under_a_prefix_with_sizes(bucket):
    put(bucket, "a/1.json.gz", "a/b/2.json.gz", "c.json.gz")
    s3 = S3()
    found = list(s3.objects("s3://trail/a/"))
    assert keys(found) == ["a/1.json.gz", "a/b/2.json.gz"] and all(map(s3.size, found))
    assert keys(S3().objects("s3://trail")) == ["a/1.json.gz", "a/b/2.json.gz", "c.json.gz"]


def test_the_scheme_may_be_in_any_case(bucket):
    put(bucket, "a/1.json.gz")
    assert is_s3("S3://trail/a/") and keys(S3().objects("S3://trail/a/")) == ["a/1.json.gz"]


def test_lists_more_than_a_page(bucket):
    put(bucket, *(f"many/{number}.json" for number in range(1_005)))
    assert len(list(S3().objects("s3://trail/many/"))) == 1_005


def period(start="", end=""):
    """Return the period between two times; an empty one leaves that end open."""
    first, last = (parse_time(f"2026-01-{text}:00Z") if text else None for text in (start, end))
    return Period(ALWAYS.start if first is None else first, ALWAYS.end if last is None else last)


def test_skips_days_outside_the_period_without_listing_them(bucket, monkeypatch):
    wanted = [day("2026/01/05"), day("2026/01/06", "us-east-1"), "elsewhere/any.json.gz"]
    put(bucket, *wanted, day("2025/12/31"), day("2026/02/01"), day("2026/01/04"), day("2026/01/07"))
    listed = []
    page = S3._page
    monkeypatch.setattr(S3, "_page", lambda self, b, p, o: listed.append(p) or page(self, b, p, o))
    found = S3().objects("s3://trail", period("05T10:00", "06T10:00"))
    assert keys(found) == sorted(wanted)
    assert not [folder for folder in listed if "2025" in folder or folder.endswith("01/04/")]


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (period("05T10:00"), 3),
        (period("", "05T10:00"), 2),
        (period("", "05T23:00"), 3),  # delivery can be on the next day
        (period("06T00:05"), 3),
        (ALWAYS, 4),
    ],
)
def test_a_period_may_be_open_at_either_end(bucket, wanted, count):
    put(bucket, *map(day, ("2025/12/31", "2026/01/05", "2026/01/06", "2026/02/01")))
    assert len(keys(S3().objects("s3://trail", wanted))) == count


def delivered(stamp):
    return f"123456789012_CloudTrail_eu-west-1_{stamp}_Ab12.json.gz"


STAMPS = ("20260105T0930Z", "20260105T1005Z", "20260105T1355Z", "20260105T1405Z")


def test_files_outside_the_period_by_their_names_are_counted_and_not_read(bucket, tmp_path):
    names = [day("2026/01/05", name=delivered(stamp)) for stamp in STAMPS]
    put(bucket, *names)
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"{}")
    for path in ("s3://trail", str(tmp_path)):
        tally = Tally()
        found = find_files([path], tally, period=period("05T10:00", "05T11:00"))
        assert [name[-27:-13] for name in found] == list(STAMPS[1:3])
        assert tally.other == {OTHER_TIMES: 2} and not tally.skipped


@pytest.mark.parametrize(
    ("prefix", "count"),
    [
        ("table/year=2026/month=01/day=05/hour=08/", 0),
        ("table/year=2026/month=01/day=05/hour=11/", 1),
        ("firehose/2026/01/05/08/", 0),
        ("firehose/2026/01/05/11/", 1),
        ("reports/2024/", 1),  # a folder by this name may hold anything
    ],
)
def test_the_dated_folders_of_tables_and_firehose_are_recognised(bucket, prefix, count):
    put(bucket, f"{prefix}a.json.gz")
    assert len(keys(S3().objects("s3://trail", period("05T10:00", "05T10:30")))) == count


def test_a_key_may_hold_any_character(bucket):
    key = "odd/a b#c?d=e%20f+g.json.gz"
    put(bucket, key)
    s3 = S3()
    (url,) = s3.objects("s3://trail/odd/")
    with s3.opened(url) as file:
        assert json.loads(gzip.decompress(file.read())) == {"Records": [{"key": key}]}


def test_fetches_objects_ahead_and_each_once(bucket):
    put(bucket, *(f"{number}.json.gz" for number in range(40)))
    s3 = S3()
    urls = list(s3.objects("s3://trail"))
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
def test_a_missing_bucket_or_object_is_named(bucket, url, reason):
    with pytest.raises(S3Error) as caught:
        S3().opened(url)
    assert reason in caught.value.strerror and url in str(caught.value)


def test_missing_credentials_are_named(bucket, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(S3Error, match="credentials"):
        list(S3().objects("s3://trail"))


def test_an_endpoint_that_does_not_answer_is_named(bucket, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(s3_module, "ATTEMPTS", 1)
    with pytest.raises(S3Error, match="Could not connect"):
        list(S3().objects("s3://trail"))


class Answers(BaseHTTPRequestHandler):
    """A server that gives prepared answers, one after the other."""

    protocol_version = "HTTP/1.1"
    left: ClassVar[list] = []
    seen: ClassVar[list] = []

    def do_GET(self):
        self.seen.append(self.headers.get("x-amz-request-payer"))
        status, size, body = self.left.pop(0)
        self.send_response(status)
        self.send_header("Content-Length", str(size or len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def answers(bucket, monkeypatch):
    Answers.left, Answers.seen = [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
        yield Answers
        server.shutdown()
        thread.join()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.meta.endpoint_url)


def refusal(code):
    return f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()


def test_a_busy_server_and_a_broken_connection_are_retried(answers):
    answers.left = [(503, 0, refusal("SlowDown")), (200, 100, b"half"), (200, 0, b"all of it")]
    with S3().opened("s3://trail/key") as file:
        assert file.read() == b"all of it" and not answers.left


def test_a_refusal_names_bucket_and_key_and_gives_advice(answers):
    answers.left = [(403, 0, refusal("AccessDenied"))] * 2
    with pytest.raises(S3Error, match=r"s3://trail/a/key: access denied.*--requester-pays"):
        S3().opened("s3://trail/a/key")
    with pytest.raises(S3Error, match=r"s3://trail/a/key: access denied$"):
        S3(requester_pays=True).opened("s3://trail/a/key")
    assert answers.seen == [None, "requester"]


def test_a_profile_that_does_not_exist_is_named(bucket, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(S3Error, match="nobody"):
        list(S3().objects("s3://trail"))
    monkeypatch.delenv("AWS_PROFILE")
