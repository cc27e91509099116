"""The reference attack, as query engines and exports change it, gives three alerts or is refused.

Names are folded, objects flattened or written as text, and records wrapped, in fixed and random
combinations. The files of `../shared/cases/inputs` are tested as well, if that folder exists.
"""

import base64
import contextlib
import gzip
import json

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_panther.records.event_times import time_of
from local_panther.records.files import find_files
from local_panther.records.forms.columns import Columns, path_of
from local_panther.records.forms.notation import NotationError, parsed
from local_panther.records.model import Tally
from local_panther.records.reader import Reader
from local_panther.records.trail import Trail
from tests.builders.events import REPO, START, call, denied, role_arn
from tests.builders.forms import csv_table, lines, parquet
from tests.builders.replays import replayed

CASES = REPO.parent / "shared" / "cases" / "inputs"
ALERTS = ["CRITICAL", "HIGH", "HIGH"]
OBJECTS = ("userIdentity", "requestParameters", "responseElements", "additionalEventData")


def assumed(name, time, **fields):
    arn = role_arn(name)
    credentials = {"accessKeyId": f"ASIAEXAMPLE{name.upper()}", "sessionToken": "x"}
    return call(
        "AssumeRole",
        time=time,
        requestParameters={"roleArn": arn, "roleSessionName": "work"},
        responseElements={
            "credentials": credentials,
            "assumedRoleUser": {"arn": f"arn:aws:sts::123456789012:assumed-role/{name}/work"},
        },
        resources=[{"ARN": arn, "accountId": "123456789012", "type": "AWS::IAM::Role"}],
        **fields,
    )


def reference():
    """Return an attack with three alerts.

    Twelve roles deny, then one of them and a blocklisted role are assumed.
    """
    found = [
        call("ListRoles", time=START + 60),
        *(denied(role_arn(f"Role{i:02}"), time=START + 120 + 10 * i) for i in range(12)),
        assumed("Role03", START + 420),
        assumed("FullAdminRole", START + 480),
    ]
    return [r | {"eventID": f"00000000-0000-0000-0000-{i:012}"} for i, r in enumerate(found)]


def folded(value, case):
    if isinstance(value, dict):
        return {case(key): folded(entry, case) for key, entry in value.items()}
    return [folded(entry, case) for entry in value] if isinstance(value, list) else value


def flattened(record, separator):
    found = {}
    waiting = [((key,), value) for key, value in record.items()]
    while waiting:
        path, value = waiting.pop(0)
        if isinstance(value, dict):
            waiting += [((*path, key), entry) for key, entry in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, str(i)), entry) for i, entry in enumerate(value)]
        else:
            found[separator.join(path)] = value
    return found


def table(rows):
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    return csv_table(names, cells)


def _cell(value):
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def snake(name):
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).replace("i_d", "id")


def stringified(record):
    return {k: json.dumps(v) if isinstance(v, (dict, list)) else v for k, v in record.items()}


def packed(records):
    data = gzip.compress(
        json.dumps({"logEvents": [{"message": json.dumps(r)} for r in records]}).encode()
    )
    return {"awslogs": {"data": base64.b64encode(data).decode()}}


NAMES = list(dict.fromkeys(name for record in reference() for name in record))


def encoded(data):
    return base64.b64encode(data).decode()


def json_of(value):
    return json.dumps(value).encode()


CHANGES = {
    "lower case": lambda found: lines([folded(r, str.lower) for r in found]),
    "upper case": lambda found: lines([folded(r, str.upper) for r in found]),
    "words with underscores": lambda found: lines([folded(r, snake) for r in found]),
    "dotted JSON": lambda found: lines([flattened(r, ".") for r in found]),
    "dotted CSV": lambda found: table([flattened(r, ".") for r in found]),
    "underscored CSV": lambda found: table([flattened(folded(r, str.lower), "_") for r in found]),
    "underscored words": lambda found: lines([flattened(folded(r, snake), "_") for r in found]),
    "objects as text": lambda found: lines([stringified(r) for r in found]),
    "folded objects as text": lambda found: table(
        [stringified(folded(r, str.lower)) for r in found]
    ),
    "Python's notation": lambda found: table(
        [{k: str(v) if isinstance(v, dict) else v for k, v in r.items()} for r in found]
    ),
    "alerts of Wazuh": lambda found: lines(
        [
            {"rule": {"id": "80202"}, "data": {"aws": {"source": "cloudtrail", **record}}}
            for record in found
        ]
    ),
    "a prefix before every name": lambda found: table(
        [{f"detail.{k}": v for k, v in flattened(r, ".").items()} for r in found]
    ),
    "fields and values": lambda found: json.dumps(
        {
            "results": [
                [{"field": k, "value": v} for k, v in flattened(r, ".").items()] for r in found
            ]
        }
    ).encode(),
    "Lake's rows": lambda found: json.dumps(
        {"QueryResultRows": [[{k: _cell(v)} for k, v in r.items()] for r in found]}
    ).encode(),
    "columns and rows": lambda found: json.dumps(
        {"columns": NAMES, "data": [[r.get(name) for name in NAMES] for r in found]}
    ).encode(),
    "typed columns and rows": lambda found: json.dumps(
        {
            "resultSetMetaData": {"rowType": [{"name": k.upper(), "type": "text"} for k in NAMES]},
            "data": [[_cell(r.get(k)) for k in NAMES] for r in found],
        }
    ).encode(),
    "columns of values": lambda found: json.dumps(
        {k: {str(i): r.get(k) for i, r in enumerate(found)} for k in NAMES}
    ).encode(),
    "a subscription in base64": lambda found: json.dumps(packed(found)).encode(),
    "base64 alone": lambda found: base64.b64encode(gzip.compress(lines(found))),
    "Kinesis": lambda found: json.dumps(
        {
            "Records": [
                {"kinesis": {"data": base64.b64encode(json.dumps(r).encode()).decode()}}
                for r in found
            ]
        }
    ).encode(),
    "syslog": lambda found: b"".join(
        b"Jan  5 10:00:00 host trail: " + json.dumps(r).encode() + b"\n" for r in found
    ),
    "a list of texts": lambda found: json.dumps([json.dumps(r) for r in found]).encode(),
    "texts of lines": lambda found: lines([json.dumps(r) for r in found]),
    "Loki": lambda found: json.dumps(
        {
            "streams": [
                {"stream": {}, "values": [["1767607260000000000", json.dumps(r)] for r in found]}
            ]
        }
    ).encode(),
    "a column of any name": lambda found: csv_table(
        ["offset", "payload"], [["1", json.dumps(r)] for r in found]
    ),
    "a delimiter for spreadsheets": lambda found: (
        b"sep=,\r\n" + table([stringified(r) for r in found])
    ),
    "accounts as numbers": lambda found: lines(
        [stringified(r) | {"recipientAccountId": 123456789012} for r in found]
    ),
    "the whole record beside its columns": lambda found: table([beside(r) for r in found]),
    "a map with JSON in it": lambda found: table([athena(r) for r in found]),
    "parquet of folded structs": lambda found: parquet(
        [folded(r, str.lower) for r in found], "SELECT * FROM {read}"
    ),
    "parquet with milliseconds": lambda found: parquet(
        found, "SELECT * REPLACE (epoch_ms(eventTime::TIMESTAMP) AS eventTime) FROM {read}"
    ),
}


def pairs(row):
    return [{"field": name, "value": value} for name, value in row.items()]


def beside(record):
    shown = {name: record[name] for name in ("eventName", "eventTime")}
    return {**shown, "requestParameters": "{}", "eventJson": json.dumps(record)}


def athena(record):
    """Return a row of CloudTrail Lake as Athena shows it: maps of texts, some of them JSON."""
    row = {key.lower(): value for key, value in record.items()}
    for name in ("requestParameters", "responseElements"):
        if value := record.get(name):
            pairs = [f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in value.items()]
            tags = ['tags=[{"key":"a","value":"b, c=d"}]', "x-amz-acl=private"]
            row[name.lower()] = "{" + ", ".join([*tags, *pairs]) + "}"
    return row


def severities(path):
    outcome = replayed(path, include_disabled=True)
    assert outcome.complete, [*map(str, outcome.tally.problems), *outcome.errors.examples]
    return sorted(alert.severity for alert in outcome.alerts)


def events(content, folder):
    path = folder / "trail"
    path.write_bytes(content)
    tally = Tally()
    found = list(Reader(None, tally).read(find_files([str(path)], tally)))
    return [record.event() for record in found], tally


def essence(event):
    """Return the fields that rules and the verdict read from an event about roles."""
    names = ("eventID", "eventName", "eventSource", "eventTime", "errorCode", "errorMessage")
    identity = event["userIdentity"]
    response = event.get("responseElements") or {}
    return (
        *(event.get(name) for name in names),
        identity["arn"],
        identity["type"],
        identity["accountId"],
        (event.get("requestParameters") or {}).get("roleArn"),
        response.get("credentials", {}).get("accessKeyId"),
        response.get("assumedRoleUser", {}).get("arn"),
    )


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_attack_has_the_records_of_the_attack(tmp_path, change):
    expected, _ = events(lines(reference()), tmp_path)
    found, tally = events(CHANGES[change](reference()), tmp_path)
    assert not tally.problems and not tally.other
    assert tally.records == len(expected) == 15
    assert [essence(event) for event in found] == [essence(event) for event in expected]


@pytest.mark.long
@pytest.mark.parametrize("change", ["lower case", "dotted CSV", "objects as text"])
def test_a_changed_attack_gives_three_alerts(tmp_path, change):
    path = tmp_path / "trail"
    path.write_bytes(CHANGES[change](reference()))
    assert severities(path) == ALERTS


WRAPPERS = {
    "object": lambda value: {"any": {"thing": value}},
    "list": lambda value: [value],
    "text": lambda value: {"log": json.dumps(value)},
    "bare text": lambda value: json.dumps(value),
    "base64": lambda value: {"data": base64.b64encode(json.dumps([value]).encode()).decode()},
    "notification": lambda value: {"Type": "Notification", "Message": json.dumps(value)},
}
RECORD_CHANGES = {
    "none": lambda record: record,
    "lower": lambda record: folded(record, str.lower),
    "upper": lambda record: folded(record, str.upper),
    "snake": lambda record: folded(record, snake),
    "dotted": lambda record: flattened(record, "."),
    "stringified": stringified,
    "lower, stringified": lambda record: stringified(folded(record, str.lower)),
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    change=st.sampled_from(sorted(RECORD_CHANGES)),
    wrappers=st.lists(st.sampled_from(sorted(WRAPPERS)), max_size=7),
)
def test_any_change_in_any_wrapper_is_read_or_refused(tmp_path_factory, change, wrappers):
    folder = tmp_path_factory.mktemp("wrapped")
    expected, _ = events(lines(reference()), folder)
    value = [RECORD_CHANGES[change](record) for record in reference()]
    for name in wrappers:
        value = WRAPPERS[name](value)
    found, tally = events(json.dumps(value).encode(), folder)
    if tally.problems:
        assert len(wrappers) > 2  # a wrapper has at most two layers, and eight are read
        assert "within more than 8" in tally.problems[0].message
    else:
        assert [essence(event) for event in found] == [essence(event) for event in expected]


def lookup_entries():
    """Return the answer of `aws cloudtrail lookup-events` with its keys in the API's order."""
    return [
        {
            "EventId": record["eventID"],
            "EventName": record["eventName"],
            "Username": "alice",
            "CloudTrailEvent": json.dumps(record),
        }
        for record in reference()
    ]


ISSUER = ("userIdentity", "sessionContext", "sessionIssuer", "arn")


class TestColumns:
    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("eventname", ("eventName",)),
            ("Event name", ("eventName",)),
            (
                "userIdentity.sessionContext.attributes.mfaAuthenticated",
                ("userIdentity", "sessionContext", "attributes", "mfaAuthenticated"),
            ),
            (
                "useridentity_sessioncontext_sessionissuer_arn",
                ("userIdentity", "sessionContext", "sessionIssuer", "arn"),
            ),
            (
                "user_identity_session_context_session_issuer_user_name",
                ("userIdentity", "sessionContext", "sessionIssuer", "userName"),
            ),
            ("request_parameters_role_arn", ("requestParameters", "roleArn")),
            ("resources[0].ARN", ("resources", "0", "ARN")),
            ("resources{}.ARN", ("resources", "0", "ARN")),
            ("region", None),
        ],
    )
    def test_a_column_name_maps_to_the_path_of_its_field(self, name, path):
        assert path_of(name) == path

    def test_columns_of_another_products_schema_are_refused(self):
        assert "Sentinel" in Columns(["EventName", "UserIdentityType", "EventTypeName"]).refused
        assert "Elastic" in Columns(["@timestamp", "aws.cloudtrail.event_version"]).refused

    def test_parameters_get_their_names_from_the_model_of_the_api(self, tmp_path):
        record = call("StopInstances", eventSource="ec2.amazonaws.com")
        record["requestParameters"] = {"skipOsShutdown": True, "hibernate": False}
        ((event,), _) = events(lines([folded(record, str.lower)]), tmp_path)
        assert event["requestParameters"] == record["requestParameters"]

    def test_a_policy_stays_a_text(self, tmp_path):
        policy = json.dumps({"Version": "2012-10-17", "Statement": []})
        record = call("UpdateAssumeRolePolicy")
        record["requestParameters"] = {"roleName": "Role0", "policyDocument": policy}
        ((event,), _) = events(table([athena(record)]), tmp_path)
        assert event["requestParameters"]["policyDocument"] == policy
        assert event["requestParameters"]["roleName"] == "Role0"


class TestNotation:
    @pytest.mark.parametrize("text", ["{IAMUser, AIDAEXAMPLE}", "{a", "[{a=b", "{'a': "])
    def test_an_unknown_notation_is_an_error(self, text):
        with pytest.raises(NotationError, match="unknown"):
            parsed(text)

    def test_the_error_of_an_unknown_notation_names_row_and_field(self, tmp_path):
        rows = [stringified(record) for record in reference()[:2]]
        rows[1]["userIdentity"] = "{IAMUser, AIDAEXAMPLE}"
        found, tally = events(table(rows), tmp_path)
        assert len(found) == 1
        assert tally.problems[0].where.endswith("row 2")
        assert "userIdentity is in an unknown notation" in tally.problems[0].message

    @given(st.text(alphabet="{}[]=, abc\"'\\", max_size=40))
    def test_any_text_is_parsed_or_refused(self, text):
        with contextlib.suppress(NotationError):
            parsed(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-05T10:00:00Z",
        "2026-01-05 10:00:00.000 UTC",
        "2026-01-05 10:00:00.000000000",
        "2026-01-05 10:00:00 +0000 UTC",
        "2026-01-05 05:00:00.000 America/New_York",
        "2026-01-05T11:00:00.000+0100",
        "20260105T100000Z",
        "1767607200",
        "1767607200000",
        "1767607200000000",
        "1.7676072E9",
        1767607200,
        1767607200.0,
        "Mon, 05 Jan 2026 10:00:00 +0000",
        "January 05, 2026, 11:00:00 (UTC+01:00)",
        "05/Jan/2026:10:00:00 +0000",
        "/Date(1767607200000)/",
        {"$date": "2026-01-05T10:00:00Z"},
    ],
    ids=str,
)
def test_times_are_read_in_the_formats_of_query_engines(text):
    assert time_of(text) == START


@pytest.mark.parametrize(
    "text", ["01/05/2026 10:00:00", "1/5/2026 10:00:00 AM", "2026-01-05", "", 7]
)
def test_ambiguous_times_are_not_read(text):
    assert time_of(text) is None


@pytest.mark.parametrize(
    "text",
    [
        yaml.safe_dump({"Events": lookup_entries()}, sort_keys=False),
        yaml.safe_dump({"Events": lookup_entries()}),
        yaml.safe_dump([entry["CloudTrailEvent"] for entry in lookup_entries()]),
        "".join("\t".join(["EVENTS", *entry.values()]) + "\n" for entry in lookup_entries()),
    ],
)
def test_output_of_the_aws_cli_other_than_json_is_refused_with_advice(tmp_path, text):
    found, tally = events(text.encode(), tmp_path)
    assert not found
    (problem,) = tally.problems
    assert "use --output json" in problem.message


def test_records_without_a_caller_are_an_error(tmp_path):
    bare = [{k: v for k, v in r.items() if k != "userIdentity"} for r in reference()]
    found, tally = events(lines(bare), tmp_path)
    assert len(found) == 15
    (problem,) = tally.problems
    assert "records without a caller" in problem.message


def test_addenda_and_network_events_of_a_call_are_not_counted_again(tmp_path):
    found = reference()
    addendum = {"reason": "UPDATED_DATA"}
    copies = [
        {**r, "eventID": f"copy-{i}", "addendum": {**addendum, "originalEventID": r["eventID"]}}
        for i, r in enumerate(found)
    ]
    network = [r | {"eventCategory": "NetworkActivity", "eventType": "AwsVpceEvent"} for r in found]
    _, tally = events(lines([*found, *copies, *network]), tmp_path)
    assert tally.wanted == 15 and tally.duplicates == 15
    assert tally.other == {"CloudTrail network activity events": 15}


THREE_ALERTS = (
    "reference.jsonl",
    "flat-columns.csv",
    "nested-as-text.jsonl",
    "lowercase-nested.jsonl",
    "uppercase-nested.jsonl",
    "lookup-events-query.json",
    "logs-insights-cli.json",
    "lake-get-query-results.json",
    "athena-get-query-results.json",
    "logstash-codec.jsonl",
    "export-csv-type-line.csv",
    "athena-utc-times.csv",
    "epoch-milliseconds.csv",
)
SET_ASIDE = {
    "aggregated-events.json": {"CloudTrail aggregated events": 2},
    "badge-README.md": {"other files": 1},
    "app.log": {"other files": 1},
    "dynamodb-stream.json": {"JSON that is not CloudTrail": 1},
    "kinesis.json": {"JSON that is not CloudTrail": 1},
    "s3-notification.json": {"JSON that is not CloudTrail": 1},
}


def case(name):
    path = CASES / name
    if not path.exists():
        pytest.skip(f"{path} is missing: the shared cases are not part of the repository")
    return path


@pytest.mark.long
@pytest.mark.parametrize("name", THREE_ALERTS)
def test_a_shared_case_gives_the_three_alerts(name):
    assert severities(case(name)) == ALERTS


@pytest.mark.parametrize("name", SET_ASIDE)
def test_a_shared_case_is_set_aside_by_kind(name):
    tally = Tally()
    assert not list(Reader(None, tally).read(find_files([str(case(name))], tally)))
    assert tally.other == SET_ASIDE[name] and not tally.problems and not tally.records


def test_the_shared_case_of_another_schema_is_refused_by_name():
    outcome = replayed(case("ecs-without-original.ndjson"))
    assert not outcome.complete and not outcome.tally.records
    assert "Elastic's schema (ECS) without event.original" in str(outcome.tally.problems[0])


def test_the_shared_case_of_copies_counts_each_call_once():
    from local_panther.roles.settings import shipped_settings
    from local_panther.roles.summary import summarised

    trail = str(case("network-activity-copies.jsonl"))
    (alice,) = summarised(Trail([trail]), shipped_settings()).principals
    assert (alice.failures.total(), alice.successes.total()) == (12, 2)
