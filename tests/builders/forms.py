"""CloudTrail in every form in which people keep it, written from the same records.

docs/inputs.md describes each form and names its file.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import zstandard

Records = list[dict[str, Any]]

_COLUMNS = """
eventVersion userIdentity eventTime eventSource eventName awsRegion sourceIPAddress userAgent
errorCode errorMessage requestParameters responseElements additionalEventData requestID eventID
readOnly resources eventType managementEvent recipientAccountId sharedEventID eventCategory
tlsDetails
"""
COLUMNS = _COLUMNS.split()


@dataclass(frozen=True)
class Form:
    """A form of CloudTrail records.

    Attributes:
        name: Name of such a file.
        write: Converts records to the bytes of a file.
    """

    name: str
    write: Callable[[Records], bytes]


def envelope(records: Records, **style: Any) -> bytes:
    return json.dumps({"Records": records}, **style).encode()


def lines(values: list[Any]) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def lookup_events(records: Records) -> bytes:
    events = [
        {
            "EventId": record.get("eventID"),
            "EventName": record["eventName"],
            "EventTime": record["eventTime"],
            "EventSource": record["eventSource"],
            "Resources": [],
            "CloudTrailEvent": json.dumps(record),
        }
        for record in records
    ]
    return json.dumps({"Events": events}, indent=4).encode()


def log_events(records: Records) -> list[dict[str, Any]]:
    return [{"timestamp": 1, "id": str(i), "message": json.dumps(r)} for i, r in enumerate(records)]


def subscription(records: Records) -> bytes:
    control = {"messageType": "CONTROL_MESSAGE", "logEvents": []}
    halves = records[::2], records[1::2]
    data = [{"messageType": "DATA_MESSAGE", "logEvents": log_events(half)} for half in halves]
    return "".join(json.dumps(message) for message in [control, *data]).encode()


def exported(records: Records) -> bytes:
    stamped = (f"{r['eventTime'].replace('Z', '.000Z')} {json.dumps(r)}\n" for r in records)
    return gzip.compress("".join(stamped).encode())


def eventbridge(records: Records) -> bytes:
    detail_type = "AWS API Call via CloudTrail"
    return lines([{"detail-type": detail_type, "id": "x", "detail": r} for r in records])


def csv_table(header: list[str], rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([header, *rows])
    return text.getvalue().encode()


def event_data_csv(records: Records) -> bytes:
    return csv_table(["eventID", "eventData"], [[r.get("eventID"), json.dumps(r)] for r in records])


def column_csv(records: Records) -> bytes:
    rows = [[_cell(record.get(name)) for name in COLUMNS] for record in records]
    return csv_table(COLUMNS, rows)


def athena_csv(records: Records) -> bytes:
    """Write CSV as Athena's console downloads it: lower case, structs in its own notation."""
    rows = []
    for record in records:
        row = [_cell(record.get(name)) for name in COLUMNS]
        row[COLUMNS.index("userIdentity")] = _struct(record.get("userIdentity"))
        row[COLUMNS.index("resources")] = _struct(record.get("resources"))
        rows.append(row)
    return csv_table([name.lower() for name in COLUMNS], rows)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _struct(value: Any) -> str:
    if isinstance(value, dict):
        parts = (f"{key.lower()}={_struct(entry)}" for key, entry in value.items())
        return "{" + ", ".join(parts) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_struct, value)) + "]"
    return "null" if value is None else value if isinstance(value, str) else json.dumps(value)


def parquet(records: Records, query: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.json", Path(folder) / "out.parquet"
        source.write_bytes(lines(records))
        read = f"read_json('{source}', sample_size=-1, convert_strings_to_integers=false)"
        duckdb.connect().execute(f"COPY ({query.format(read=read)}) TO '{target}' (FORMAT parquet)")
        return target.read_bytes()


def text_parquet(records: Records) -> bytes:
    data = [{"id": str(i), "record": json.dumps(r)} for i, r in enumerate(records)]
    return parquet(data, "SELECT id, record AS eventData FROM {read}")


def column_parquet(records: Records) -> bytes:
    """Write Parquet as Athena's CREATE TABLE AS does: structs, and parameters as text."""
    known = [name for name in COLUMNS if any(record.get(name) is not None for record in records)]
    text = ("requestParameters", "responseElements", "additionalEventData")
    columns = (
        f'to_json("{n}")::VARCHAR AS {n.lower()}' if n in text else f'"{n}" AS {n.lower()}'
        for n in known
    )
    return parquet(records, f"SELECT {', '.join(columns)} FROM {{read}}")


def database_rows(records: Records) -> bytes:
    """Write the records as Snowflake writes the rows of a query."""
    return lines([{key.upper(): value for key, value in record.items()} for record in records])


def splunk(records: Records) -> bytes:
    return lines([{"preview": False, "result": {"_raw": json.dumps(r)}} for r in records])


def splunk_csv(records: Records) -> bytes:
    return csv_table(["_time", "_raw"], [[r["eventTime"], json.dumps(r)] for r in records])


def elastic(records: Records) -> bytes:
    sources = [{"@timestamp": "x", "event": {"original": json.dumps(r)}} for r in records]
    return lines([{"_index": "logs", "_id": str(i), "_source": s} for i, s in enumerate(sources)])


def elastic_search(records: Records) -> bytes:
    hits = [{"_source": {"event": {"original": json.dumps(record)}}} for record in records]
    return json.dumps({"took": 1, "hits": {"total": len(hits), "hits": hits}}).encode()


def panther(records: Records) -> bytes:
    added = {"p_log_type": "AWS.CloudTrail", "p_source_label": "trail"}
    return lines(
        [
            {k: v for k, v in r.items() if v is not None}
            | {"eventTime": r["eventTime"].replace("T", " ").removesuffix("Z") + ".000000000"}
            | added
            for r in records
        ]
    )


def zipped(records: Records) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("AWSLogs/a.json.gz", gzip.compress(envelope(records[::2])))
        archive.writestr("AWSLogs/b.json", envelope(records[1::2]))
        archive.writestr("AWSLogs/README.txt", "not CloudTrail")
    return buffer.getvalue()


def tarred(records: Records) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, half in (("a.json.gz", records[::2]), ("b.json.gz", records[1::2])):
            content = gzip.compress(envelope(half))
            info = tarfile.TarInfo(f"AWSLogs/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


DELIVERED = "123456789012_CloudTrail_us-east-1_20260105T1005Z_Ab12Cd34Ef56Gh78.json.gz"

FORMS = (
    Form(DELIVERED, lambda r: gzip.compress(envelope(r))),
    Form("joined.json", lambda r: envelope(r[::2]) + envelope(r[1::2])),
    Form("formatted.json", lambda r: envelope(r, indent=2)),
    Form("lines.jsonl", lines),
    Form("list.json", lambda r: json.dumps(r).encode()),
    Form("lookup.json", lookup_events),
    Form("event_history.json", envelope),
    Form("filtered.json", lambda r: json.dumps({"events": log_events(r)}, indent=4).encode()),
    Form("firehose", subscription),
    Form("subscription.gz", lambda r: gzip.compress(subscription(r))),
    Form("000000.gz", exported),
    Form("eventbridge.jsonl", eventbridge),
    Form("lake.csv", event_data_csv),
    Form("columns.csv", column_csv),
    Form("athena.csv", athena_csv),
    Form("lake.parquet", text_parquet),
    Form("athena.parquet", column_parquet),
    Form("rows.jsonl", database_rows),
    Form("splunk.json", splunk),
    Form("splunk.csv", splunk_csv),
    Form("elastic.ndjson", elastic),
    Form("elastic.json", elastic_search),
    Form("panther.jsonl", panther),
    Form("logs.zip", zipped),
    Form("logs.tar.gz", tarred),
    Form("a.json.zst", lambda r: zstandard.compress(envelope(r))),
    Form("a.json.bz2", lambda r: bz2.compress(envelope(r))),
    Form("a.json.xz", lambda r: lzma.compress(envelope(r))),
    Form("utf-16.json", lambda r: lines(r).decode().encode("utf-16")),
    Form("mark.json", lambda r: b"\xef\xbb\xbf" + lines(r)),
)

DIGEST = {"awsAccountId": "1", "digestStartTime": "x", "digestEndTime": "y", "logFiles": []}
AGGREGATED = {
    "eventVersion": "1.0",
    "eventCategory": "Aggregated",
    "eventType": "AwsAggregatedEvent",
    "eventSource": "s3.amazonaws.com",
    "timeWindow": {"windowStart": "2026-01-05T10:00:00Z", "windowEnd": "2026-01-05T10:05:00Z"},
}
NETWORK = {
    "eventVersion": "1.09",
    "userIdentity": {"type": "AWSAccount", "accountId": "123456789012"},
    "eventTime": "2026-01-05T10:00:00Z",
    "eventSource": "s3.amazonaws.com",
    "eventName": "GetObject",
    "eventType": "AwsVpceEvent",
    "eventCategory": "NetworkActivity",
}
NOTIFICATION = {
    "eventVersion": "2.1",
    "eventSource": "aws:s3",
    "eventTime": "2026-01-05T10:00:00.000Z",
    "eventName": "ObjectCreated:Put",
    "userIdentity": {"principalId": "AWS:AROAEXAMPLE:x"},
}
INSIGHT = {"eventVersion": "1.07", "eventTime": "2026-01-05T10:00:00Z", "eventCategory": "Insight"}
CONFIG = {"fileVersion": "1.0", "configSnapshotId": "x", "configurationItems": [{}]}
FLOW = "version account-id interface-id srcaddr\n2 123456789012 eni-1 192.0.2.1\n"
BALANCER = "https 2026-01-05T10:00:00.000000Z app/x 192.0.2.1:1\n"
GUARD_DUTY = {"schemaVersion": "2.0", "accountId": "1", "type": "Recon:IAMUser/x", "service": {}}

GUARD_DUTY_ROW = {"p_log_type": "AWS.GuardDuty", "p_event_time": "2026-01-05 10:00:00", "id": "1"}

# Other files in buckets with CloudTrail: name, content, and the name under which they are counted.
OTHERS = (
    ("digest.json.gz", gzip.compress(json.dumps(DIGEST).encode()), "CloudTrail digests"),
    ("insight.json.gz", gzip.compress(envelope([INSIGHT])), "CloudTrail Insight events"),
    (
        "aggregated.json.gz",
        gzip.compress(envelope([AGGREGATED])),
        "CloudTrail aggregated events",
    ),
    (
        "network.json.gz",
        gzip.compress(envelope([NETWORK])),
        "CloudTrail network activity events",
    ),
    ("notification.json", envelope([NOTIFICATION]), "JSON that is not CloudTrail"),
    ("config.json.gz", gzip.compress(json.dumps(CONFIG).encode()), "AWS Config"),
    ("flow.log.gz", gzip.compress(FLOW.encode()), "VPC flow logs"),
    ("elb.log", BALANCER.encode(), "load balancer logs"),
    ("guardduty.jsonl", lines([GUARD_DUTY]), "JSON that is not CloudTrail"),
    ("panther.jsonl", lines([GUARD_DUTY_ROW]), "Panther's records of other log types"),
    ("README.md", b"# A folder of logs\n", "other files"),
    ("BADGE.md", b"[![build](https://ci.example/badge.svg)]\n", "other files"),
    ("app.log", b"[2026-01-05 10:00:00] INFO started\n", "other files"),
    ("__init__.py", b"", "other files"),
    ("picture.png", b"\x89PNG\r\n\x1a\n\0\0", "other files"),
)
