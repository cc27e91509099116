"""Records as an instance stores them: times, nulls, and the fields that Panther adds."""

import json
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from local_panther.content.log_schema import INDICATORS, LogSchema
from local_panther.records.json_lines import JsonLines
from local_panther.records.model import Tally
from local_panther.records.panther_fields import (
    indicators,
    is_added,
    normalised_time,
    panther_fields,
    plain_fields,
    remove_nulls,
)
from local_panther.records.s3 import S3
from local_panther.times import ALWAYS
from tests.builders.events import call, read_record, role_arn
from tests.conftest import RECORDED

ENRICHED = RECORDED / "panther-enriched-records.jsonl"

# The remaining differences from records of instances, by field and line, with the reason
SINCE_2024 = "instances before 2024 did not add the field"
EDITED = "the record's identifiers were replaced by hand after the instance had enriched it"
REMOVED = "the indicator's source fields were removed from the record by hand"
DIFFERENCES = {
    **{("p_any_actor_ids", line): SINCE_2024 for line in (1, 2, 6, *range(8, 12), *range(13, 21))},
    **{("p_any_usernames", line): SINCE_2024 for line in (1, 2, 6, *range(13, 21))},
    **{("p_any_aws_arns", line): EDITED for line in (5, 8, 9, 10, 11)},
    **{("p_any_aws_account_ids", line): EDITED for line in (8, 12, 21)},
    **{("p_any_aws_instance_ids", line): EDITED for line in (7, 12)},
    **{(f"p_any_{name}", 18): REMOVED for name in ("domain_names", "trace_ids")},
    **{(f"p_any_{name}", 4): REMOVED for name in ("aws_arns", "trace_ids")},
    ("p_any_actor_ids", 4): REMOVED,
    ("p_any_ip_addresses", 22): REMOVED,
}


def built(record):
    return read_record(record).event()


def enriched() -> list[dict]:
    if not ENRICHED.exists():
        pytest.skip(f"no {ENRICHED}")
    return [json.loads(line) for line in ENRICHED.open()]


def test_indicators_equal_those_of_instances_except_listed_differences():
    found = set()
    for line, record in enumerate(enriched(), 1):
        mine = indicators({k: v for k, v in record.items() if not k.startswith("p_")})
        names = mine.keys() | {name for name in record if name.startswith("p_any_")}
        found |= {(n, line) for n in names if set(record.get(n, ())) != set(mine.get(n, ()))}
    assert found == DIFFERENCES.keys()


def test_times_are_written_like_those_of_recent_instances():
    times = [r["eventTime"] for r in enriched() if "p_schema_version" in r]
    assert times
    for time in times:
        record = call("ListRoles", eventTime=time.replace(" ", "T").split(".")[0] + "Z")
        assert built(record)["eventTime"] == built(record)["p_event_time"] == time


def test_every_added_field_is_known_as_added(tmp_path):
    """`detection.decisions` reads all other fields from the record, without making the event."""
    line = tmp_path / "t.jsonl"
    line.write_text(json.dumps({"p_event_time": "2026-01-05T10:00:00Z"}))
    lines = JsonLines(LogSchema("Custom.Log"), Tally(), S3(), ALWAYS, keep_repeated=False)
    parameters = {"tags": {"a": "b"}, "instanceId": "i-0123456789abcdef0", "domain": "example.com"}
    records = [*lines.read([str(line)]), read_record(call("X", requestParameters=parameters))]
    added = {name for record in records for name in json.loads(record.added)}
    assert len(added) > 10 and all(map(is_added, added | set(INDICATORS.values())))
    assert is_added("P_Parse_Time") and not is_added("p_enrichment") and not is_added("eventName")


def test_events_keep_the_record_and_name_their_log_type():
    record = call("ListRoles", requestParameters={"a": None, "b": [None, {"c": None}]})
    event = built(record)
    assert event["eventTime"] == event["p_event_time"] == "2026-01-05 10:00:00.000000000"
    assert event["requestParameters"] == {"b": [None, {}]}
    assert "responseElements" not in event
    changed = ("eventTime", "requestParameters", "responseElements")
    kept = {key: value for key, value in record.items() if key not in changed}
    assert {key: event[key] for key in kept} == kept
    assert event["p_log_type"] == "AWS.CloudTrail"
    assert event["p_row_id"] == built(record)["p_row_id"] != built(call("ListUsers"))["p_row_id"]
    assert event["p_source_label"] and event["p_source_id"] and event["p_schema_version"] == 0


def test_plain_fields_are_those_that_every_record_gets():
    added = panther_fields({"eventName": "GetUser"}, b"{}", 1_767_607_200)
    plain = json.loads(plain_fields(1_767_607_200))
    assert plain.items() <= added.items()
    assert {*added} - {*plain} == {"eventTime", "p_row_id", "p_schema_version"}


def test_indicators_are_found_by_key():
    record = call(
        "AssumeRole",
        requestParameters={
            "roleArn": role_arn("A", "111122223333"),
            "hosts": ["192.0.2.7"],
            "publicIp": "192.0.2.8",
            "note": "not an arn:aws:iam::x",
            "ownerAccountId": "222233334444",
            "count": "333344445555",
            "tags": [{"key": "Name", "value": "web"}, "plain"],
            "instanceId": "i-0abc",
        },
        resources=[{"ARN": "arn:aws:s3:::bucket", "accountId": "444455556666"}],
        additionalEventData={"x": {"ipv6Addresses": ["2001:db8::1", "none"]}},
        tlsDetails={"clientProvidedHostHeader": "sts.amazonaws.com", "publicIp": "192.0.2.9"},
    )
    event = built(record)
    assert event["p_any_aws_arns"] == [
        "arn:aws:iam::111122223333:role/A",
        "arn:aws:iam::123456789012:user/alice",
        "arn:aws:s3:::bucket",
    ]
    assert event["p_any_aws_account_ids"] == [
        *("111122223333", "123456789012", "222233334444", "444455556666")
    ]
    assert event["p_any_ip_addresses"] == ["192.0.2.8", "2001:db8::1", "203.0.113.10"]
    assert event["p_any_usernames"] == ["alice"]
    assert event["p_any_aws_tags"] == ["Name:web", "plain"]
    assert event["p_any_aws_instance_ids"] == ["i-0abc"]
    assert event["p_any_trace_ids"] == [record["userIdentity"]["accessKeyId"]]
    assert event["p_any_actor_ids"] == [record["userIdentity"]["principalId"]]


def test_a_source_other_than_an_address_is_a_domain_name():
    event = built({"eventName": "x", "sourceIPAddress": "lambda.amazonaws.com", "t": "1:2:3"})
    found = {name: value for name, value in event.items() if name.startswith("p_any")}
    assert found == {"p_any_domain_names": ["lambda.amazonaws.com"]}


def test_deeply_nested_records_are_enriched():
    deep = call("ListRoles")
    for _ in range(900):
        deep = call("ListRoles", requestParameters={"in": deep["requestParameters"]})
    assert built(deep)["p_any_usernames"] == ["alice"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["arn", "tags", "accountId", "instanceId", "publicIp", "x"]),
            inner,
            max_size=3,
        )
    ),
)


@given(st.dictionaries(st.sampled_from([*call("x"), "resources"]), json_values))
def test_indicators_of_any_record_are_sorted_and_not_empty(record):
    remove_nulls(record)
    for values in indicators(record).values():
        assert values == sorted(set(values)) and all(values)


@given(st.floats(min_value=-62e9, max_value=1e13))
def test_every_time_can_be_written(time):
    assert len(normalised_time(time)) == 29


@given(st.integers(-62_000_000_000, 253_402_300_799))
@example(0)
@example(-1)
@example(253_402_300_799)  # the last second of the year 9999
def test_whole_seconds_are_written_like_all_other_times(seconds):
    moment = datetime(1970, 1, 1) + timedelta(seconds=seconds)
    assert normalised_time(float(seconds)) == f"{moment}.000000000"
