"""Records as an instance sees them: with the fields that Panther adds."""

from tests.builders.events import call, read_record, role_arn


def built(record):
    return read_record(record).event()


def test_events_keep_the_record_and_say_what_they_are():
    record = call("ListRoles")
    event = built(record)
    assert {key: event[key] for key in record} == record
    assert event["p_log_type"] == "AWS.CloudTrail"
    assert event["p_event_time"] == "2026-01-05 10:00:00.000000"
    assert event["p_row_id"] == built(record)["p_row_id"] != built(call("ListUsers"))["p_row_id"]


def test_indicators_are_taken_from_the_whole_record():
    record = call(
        "AssumeRole",
        requestParameters={"roleArn": role_arn("A", "111122223333"), "hosts": ["192.0.2.7"]},
        resources=[{"ARN": "arn:aws:s3:::bucket", "accountId": "444455556666"}],
        additionalEventData={"ipv6": "2001:db8::1", "note": "not an arn:aws:iam::x"},
    )
    event = built(record)
    assert event["p_any_aws_arns"] == [
        "arn:aws:iam::111122223333:role/A",
        "arn:aws:iam::123456789012:user/alice",
        "arn:aws:s3:::bucket",
    ]
    assert event["p_any_aws_account_ids"] == ["111122223333", "123456789012", "444455556666"]
    assert event["p_any_ip_addresses"] == ["192.0.2.7", "2001:db8::1", "203.0.113.10"]
    assert event["p_any_usernames"] == ["alice"]


def test_indicators_that_are_not_there_are_left_out():
    event = built({"eventName": "x", "sourceIPAddress": "lambda.amazonaws.com", "t": "1:2:3"})
    assert not [name for name in event if name.startswith("p_any")]


def test_deep_records_are_no_trouble():
    deep = call("ListRoles")
    for _ in range(900):
        deep = {"eventName": "ListRoles", "in": deep}
    assert built(deep)["p_any_usernames"] == ["alice"]
