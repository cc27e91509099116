"""Records of the usual form are copied without being parsed, with the same result."""

import gzip
import json
import pickle
import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from local_panther.records import scan
from local_panther.records.s3 import S3
from local_panther.records.scan import Scanner
from tests.builders.events import START, call
from tests.scale import examples

# Fields that make a record unusual, or that have to be read in a special way
CHANGES = (
    {"errorCode": "AccessDenied"},
    {"errorMessage": "Rate exceeded"},
    {"errorCode": None, "requestParameters": None},
    {"userIdentity": {"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}},
    {"userIdentity": {"arn": "arn:aws:iam::123456789012:user/mallory"}},
    {"userIdentity": {"type": 1, "arn": None}},
    {"userIdentity": json.dumps({"type": "IAMUser"})},
    {"userIdentity": None},
    {"userIdentity": {"useridentity.arn": "arn:aws:iam::123456789012:user/mallory"}},
    {"requestParameters": json.dumps({"roleArn": "arn:aws:iam::123456789012:role/Admin"})},
    {"requestParameters": {"roleSessionName": "null"}},
    {"addendum": {"reason": "UPDATED_DATA", "originalEventID": "original"}},
    {"eventID": None},
    {"eventID": 7},
    {"eventSource": "aws:s3"},
    {"eventType": "AwsCloudTrailInsight"},
    {"eventName": 7},
    {"eventTime": "2026-01-05T10:00:00.250Z"},
    {"eventTime": "2026-02-30T10:00:00Z"},
    {"eventTime": START},
    {"errorcode": "AccessDenied"},
    {"newField": [1.0, 10**20, "ä\ud83d\ude00", {"a": None}]},
    {},
)
REPEATED = (  # a text to replace, and one that repeats a name
    (r'"type":"[A-Za-z]+"', '"type":"AWSService","type":"IAMUser"'),
    (r'"eventID":"', '"eventID":"first","eventID":"'),
)


def usual(name, time, event_id):
    record = call(name, time=time, eventID=event_id, eventType="AwsApiCall")
    return {field: value for field, value in record.items() if value is not None}


NO_CALLER = usual("AssumeRole", START, "2") | {"userIdentity": None}
records = st.lists(
    st.builds(
        lambda name, changes, seconds: [
            usual(name, START + seconds, f"{name}-{seconds}"),
            *changes,
        ],
        st.sampled_from(["AssumeRole", "ListRoles", "Decrypt"]),
        st.lists(st.sampled_from(CHANGES), max_size=2),
        st.integers(0, 86_400 * 40),
    ).map(lambda parts: dict(entry for part in parts for entry in part.items())),
    min_size=1,
    max_size=12,
)


def scanned(path, *, short):
    """Return what a scan finds, with or without the short way for usual records."""
    with pytest.MonkeyPatch.context() as patch:
        if not short:
            patch.setattr(scan, "usual_records", lambda *_, **__: [])
        scanner = Scanner(frozenset({"AssumeRole", "ListRoles"}), S3(), with_added=False)
        return list(scanner.scan(str(path)))


@settings(max_examples=examples(200, 3000), suppress_health_check=list(HealthCheck))
@given(records, st.sampled_from([None, *REPEATED]))
@example([usual("AssumeRole", START, "1"), NO_CALLER], None)
def test_records_of_any_form_are_the_same_however_they_are_copied(tmp_path, found, repeated):
    text = json.dumps({"Records": found}, separators=(",", ":"))
    if repeated:
        text = re.sub(*repeated, text, count=2)
    path = tmp_path / "trail.json.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert scanned(path, short=True) == scanned(path, short=False)


@settings(max_examples=examples(50, 500), suppress_health_check=list(HealthCheck))
@given(records)
def test_what_a_worker_sends_is_what_it_found(tmp_path, found):
    path = tmp_path / "trail.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in found))
    scans = scanned(path, short=True)
    assert pickle.loads(pickle.dumps(scans)) == scans


def test_most_records_of_the_usual_form_are_not_parsed(tmp_path, monkeypatch):
    path = tmp_path / "trail.json"
    found = [usual("AssumeRole", START + n, str(n)) for n in range(10)]
    found[4]["requestParameters"] = None
    path.write_text(json.dumps({"Records": found}))
    parsed = []
    collect = Scanner._collect_wanted
    monkeypatch.setattr(
        Scanner, "_collect_wanted", lambda *args: (parsed.append(args), collect(*args))
    )
    (only,) = scanned(path, short=True)
    assert len(only.records) == 10 and len(parsed) == 1


def test_recorded_records_are_the_same_however_they_are_copied(recorded_file):
    assert scanned(recorded_file, short=True) == scanned(recorded_file, short=False)
