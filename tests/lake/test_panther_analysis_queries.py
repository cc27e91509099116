"""Tests of Panther's own queries over CloudTrail, unchanged, with expected rows written by hand.

Each query has records that match it. `PANTHER_ANALYSIS` names a checkout of
https://github.com/panther-labs/panther-analysis at commit daa10c8.
"""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from local_panther.content.left_out import Reason
from local_panther.content.load import checked_content, loaded_content
from local_panther.content.sql import parse_sql, reads_only_cloudtrail
from local_panther.content.sql_text import QueryTexts
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.lake import Lake
from local_panther.lake.preparing import empty_lake
from local_panther.records.trail import Trail
from local_panther.replay import replay
from tests.builders.content import write_lines
from tests.builders.events import START, call, read_record, role_arn

ACCOUNT = "123456789012"
MINUTE = 60
RUN = START + 30 * MINUTE


def user(name, **fields):
    arn = f"arn:aws:iam::{ACCOUNT}:user/{name}"
    return {"type": "IAMUser", "arn": arn, "userName": name, "principalId": f"AIDA{name}", **fields}


ALICE, BOB = user("alice"), user("bob")
SERVICE = {"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}
INSTANCE = {
    "type": "AssumedRole",
    "principalId": "AROAEXAMPLE:i-0123456789abcdef0",
    "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/web/i-0123456789abcdef0",
}
EC2 = {"eventSource": "ec2.amazonaws.com"}
ROLE = role_arn("build")


def failed(name, who, at):
    return call(name, who, at, errorCode="AccessDenied")


def assumed(who, agent="cli", role=ROLE, at=START):
    return call("AssumeRole", who, at, requestParameters={"roleArn": role}, userAgent=agent)


def download(size, key, at=RUN - 300, who=ALICE):
    return call(
        "GetObject",
        who,
        at,
        eventSource="s3.amazonaws.com",
        requestParameters={"bucketName": "reports", "key": key},
        additionalEventData={"bytesTransferredOut": size},
    )


def session(target, who=ALICE, at=RUN - 600):
    return call("StartSession", who, at, requestParameters={"target": target})


def failed_login(name, at=RUN - 600, result="Failure"):
    who = {"type": "IAMUser", "userName": name}
    fields = {"eventType": "AwsConsoleSignIn", "responseElements": {"ConsoleLogin": result}}
    return call("ConsoleLogin", who, at, **fields)


CASES = {
    "anomalous_access_denied_query": (
        [failed(f"List{i}", ALICE, START + i) for i in range(11)]
        + [failed(f"List{i}", BOB, START + i) for i in range(10)]
        + [call(f"Get{i}", BOB, START + i) for i in range(10)],
        [{"arn": ALICE["arn"], "distinctEventNames": 11}],
    ),
    "anomalous_role_assume_query": (
        [
            *(assumed(ALICE, agent) for agent in ("cli", "console", "cli")),
            assumed(BOB, "cli"),
            assumed(BOB, "AWS Internal"),
            call("AssumeRole", ALICE, userAgent="other"),
        ],
        [{"roleArn": ROLE, "principalId": "AIDAalice", "distinctUserAgents": 2}],
    ),
    "aws_potentially_compromised_service_role_query": (
        [
            assumed(SERVICE),
            assumed(ALICE),
            assumed(ALICE),
            assumed(SERVICE, role=role_arn("other")),
        ],
        [{"role": ROLE, "users": ["AIDAalice"], "types": ["AWSService", "IAMUser"]}],
    ),
    "aws_s3_large_download_specific_bucket_query": (
        [
            download(5368709120.0, "a"),
            download(243, "b", RUN - 200),
            download(10**9, "c", RUN - 700),
            download(10**9, "d", who=SERVICE),
            download(1000, "e", who=BOB),
        ],
        [
            {
                "user_arn": ALICE["arn"],
                "user_name": "alice",
                "user_type": "IAMUser",
                "bucket_name": "reports",
                "source_ip": "203.0.113.10",
                "user_agent": "generated for a test",
                "total_bytes_downloaded": 5368709363,
                "object_count": 2,
                "first_download_time": "2026-01-05 10:25:00.000",
                "last_download_time": "2026-01-05 10:26:40.000",
                "sample_objects": ["a", "b"],
            }
        ],
    ),
    "aws_ssm_multiple_sessions_query": (
        [
            *(session(f"i-{n}", at=RUN - 60 * n) for n in (3, 2, 1)),
            *(session(f"i-{n}", BOB) for n in (1, 2, 2)),
        ],
        [
            {
                "eventName": "StartSession",
                "userIdentity": ALICE,
                "requestParameters": {"target": f"i-{n}"},
                "p_any_usernames": ["alice"],
                "p_event_time": f"2026-01-05 10:{30 - n}:00.000",
            }
            for n in (3, 2, 1)
        ],
    ),
    "cloudtrail_2_minute_count_query": (
        [*[call("ListUsers", ALICE, RUN - 60)] * 3, call("ListUsers", ALICE, RUN - 600)],
        [{"num_logs": 3, "p_log_type": "AWS.CloudTrail"}],
    ),
    "cloudtrail_password_spraying_query": (
        [failed_login(f"user{n % 6}", RUN - 600 + n) for n in range(11)]
        + [failed_login("other", result="Success"), failed_login("late", RUN - 7200)],
        [
            {
                "region": "us-east-1",
                "accountid": ACCOUNT,
                "distinctUserNames": 6,
                "failures": 11,
                "first_attempt": "2026-01-05 10:20:00.000",
                "last_attempt": "2026-01-05 10:20:10.000",
            }
        ],
    ),
    "ec2_crud_activity_by_role_query": (
        [
            *[call("CreateImage", ALICE, **EC2)] * 2,
            call("DeregisterImage", BOB, **EC2),
            call("DescribeImages", ALICE, **EC2),
            call("CreateImage", ALICE),
        ],
        [
            {
                "num_logs": count,
                "recipientAccountId": ACCOUNT,
                "arn": who["arn"],
                "eventName": name,
                "eventSource": "ec2.amazonaws.com",
            }
            for count, who, name in ((1, BOB, "DeregisterImage"), (2, ALICE, "CreateImage"))
        ],
    ),
    "ec2_crud_activity_by_useragent_query": (
        [
            call("CreateImage", ALICE, userAgent="terraform", **EC2),
            *[call("CreateImage", BOB, userAgent="cli", **EC2)] * 2,
        ],
        [
            {
                "num_logs": count,
                "recipientAccountId": ACCOUNT,
                "userAgent": agent,
                "eventName": "CreateImage",
                "eventSource": "ec2.amazonaws.com",
            }
            for count, agent in ((1, "terraform"), (2, "cli"))
        ],
    ),
    "ec2_discovery_commands_query": (
        [
            *(call(name, INSTANCE) for name in ("ListRoles", "ListUsers", "ListBuckets")),
            *(call(name, ALICE) for name in ("ListRoles", "ListUsers", "ListBuckets")),
            call("RunInstances", INSTANCE),
        ],
        [
            {"eventName": name, "userIdentity": INSTANCE, "nActions": 3}
            for name in ("ListBuckets", "ListRoles", "ListUsers")
        ],
    ),
}


@pytest.fixture(scope="module")
def panther_analysis() -> Path:
    """Return the folder of a checkout of panther-analysis."""
    folder = Path(os.environ.get("PANTHER_ANALYSIS", ""))
    if not (folder / "queries" / "aws_queries").is_dir():
        pytest.skip("PANTHER_ANALYSIS does not name a checkout of panther-analysis")
    return folder


def specs_of(folder: Path) -> dict[str, dict]:
    files = [*folder.glob("queries/**/*.yml"), *folder.glob("queries/**/*.yaml")]
    return {path.stem: yaml.safe_load(path.read_text()) for path in files}


def text_of(spec: dict) -> str | None:
    return spec.get("SnowflakeQuery") or spec.get("Query")


@pytest.mark.parametrize("name", CASES)
def test_a_query_returns_the_rows_that_an_instance_would_return(panther_analysis, name):
    records, expected = CASES[name]
    query = parse_sql(text_of(specs_of(panther_analysis)[name]))
    with Lake() as lake:
        for number, record in enumerate(records):
            lake.add(read_record({"eventID": str(number), **record}))
        rows = lake.query(transpile_sql(query), RUN)
    if "ORDER BY" not in text_of(specs_of(panther_analysis)[name]).upper():
        rows.sort(key=lambda row: str((row.get("p_event_time"), row.get("eventName"))))
    assert len(rows) == len(expected)
    for row, wanted in zip(rows, expected, strict=True):
        assert {key: row[key] for key in wanted} == wanted
        assert set(row) == set(wanted) or "p_event_time" in row  # SELECT * has all columns


def test_every_query_over_cloudtrail_has_a_case_here(panther_analysis):
    """Queries over other tables are left out, with a reason."""
    specs = specs_of(panther_analysis)
    texts = QueryTexts({s["QueryName"]: text_of(s) for s in specs.values() if text_of(s)})
    over_cloudtrail = {
        name
        for name, spec in specs.items()
        if (text := text_of(spec)) and "aws_cloudtrail" in text.lower()
        if reads_only_cloudtrail(parse_sql(texts.rendered(text)))
    }
    assert over_cloudtrail == set(CASES)


def test_all_queries_load_or_are_left_out_with_a_reason(panther_analysis, tmp_path):
    folder = tmp_path / "content"
    for name in ("queries", "global_helpers"):
        shutil.copytree(panther_analysis / name, folder / name)
    (folder / "rules").mkdir()
    for path in folder.glob("queries/**/*.yml"):  # a customer would enable them
        path.write_text(path.read_text().replace("Enabled: false", "Enabled: true"))
    assert checked_content(folder, empty_lake).problems == []
    scheduled = [s for s in specs_of(folder).values() if s["AnalysisType"] == "scheduled_query"]
    with loaded_content(folder, strict=False, checks=empty_lake) as content:
        left_out = set(content.ids_left_out(Reason.TABLES, Reason.LANGUAGE))
        assert {s["QueryName"] for s in scheduled} == left_out | set(content.queries)


def test_rules_alert_on_the_rows_of_their_queries(panther_analysis, tmp_path):
    """Once, four of these five raised errors, and one alerted as UnknownUser."""
    content = tmp_path / "content"
    shutil.copytree(panther_analysis / "global_helpers", content / "global_helpers")
    queries = content / "queries"
    queries.mkdir(parents=True)
    names = {
        "aws_potentially_compromised_service_role": "Stolen Service Role",
        "aws_s3_large_download_specific_bucket": "alice",
        "aws_ssm_multiple_sessions": "alice",
        "cloudtrail_password_spraying": "",
        "ec2_discovery_commands": "i-0123456789abcdef0",
    }
    for name in names:
        for path in panther_analysis.glob(f"queries/aws_queries/{name}*.*"):
            text = path.read_text().replace("Enabled: false", "Enabled: true")
            text = text.replace("CreateAlert: false", "CreateAlert: true")
            (queries / path.name).write_text(text)
    records = [record for name in names for record in CASES[f"{name}_query"][0]]
    records = [{"eventID": str(n), **record} for n, record in enumerate(records)]
    records.sort(key=lambda record: record["eventTime"])
    trail = write_lines(tmp_path / "trail.jsonl", records)
    outcome = replay(Trail([str(trail)]), content, include_disabled=True)  # one is deprecated
    assert not outcome.errors.counts, outcome.errors.examples
    rule_ids = {
        name: yaml.safe_load((queries / f"{name}.yml").read_text())["RuleID"] for name in names
    }
    for name, expected in names.items():
        alerts = [a for a in outcome.alerts if a.metadata.rule_id == rule_ids[name]]
        assert alerts, name
        shown = json.dumps([alerts[0].title, *alerts[0].contexts])
        assert expected in shown and "_error" not in shown and "Unknown" not in shown
