"""CloudTrail in every form that people keep it in, written from the same records.

docs/inputs.md is made from this: python -m tests.builders.forms > docs/inputs.md
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
    """One form.

    Attributes:
        origin: Where it comes from.
        shape: What it looks like.
        name: The name of such a file.
        write: Makes the file's bytes from records.
    """

    origin: str
    shape: str
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
    """As Athena's console downloads it: lower case, structs in its own notation."""
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
    """As CREATE TABLE AS in Athena writes it: structs, and parameters as text."""
    known = [name for name in COLUMNS if any(record.get(name) is not None for record in records)]
    text = ("requestParameters", "responseElements", "additionalEventData")
    columns = (
        f'to_json("{n}")::VARCHAR AS {n.lower()}' if n in text else f'"{n}" AS {n.lower()}'
        for n in known
    )
    return parquet(records, f"SELECT {', '.join(columns)} FROM {{read}}")


def database_rows(records: Records) -> bytes:
    """As Snowflake writes the rows of a query."""
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
S3, LAKE, LOGS = "S3, as delivered", "CloudTrail Lake, Athena", "CloudWatch Logs"
ANY = "Packed again"

FORMS = (
    Form(S3, '`{"Records": […]}`, gzip', DELIVERED, lambda r: gzip.compress(envelope(r))),
    Form(
        S3,
        "objects one behind the other, without newlines",
        "joined.json",
        lambda r: envelope(r[::2]) + envelope(r[1::2]),
    ),
    Form(S3, "formatted", "formatted.json", lambda r: envelope(r, indent=2)),
    Form("Lines", "one record a line", "lines.jsonl", lines),
    Form("Lines", "a list of records", "list.json", lambda r: json.dumps(r).encode()),
    Form(
        "`aws cloudtrail lookup-events`",
        '`{"Events": [{"CloudTrailEvent": "…"}]}`',
        "lookup.json",
        lookup_events,
    ),
    Form("Event history", "JSON", "event_history.json", envelope),
    Form(
        LOGS,
        '`get-log-events`, `filter-log-events`: `{"events": [{"message": "…"}]}`',
        "filtered.json",
        lambda r: json.dumps({"events": log_events(r)}, indent=4).encode(),
    ),
    Form(LOGS, "subscription, by Firehose: joined messages", "firehose", subscription),
    Form(
        LOGS,
        "subscription, gzip",
        "subscription.gz",
        lambda r: gzip.compress(subscription(r)),
    ),
    Form(LOGS, "export to S3: a time, a space and the record", "000000.gz", exported),
    Form("EventBridge", '`{"detail-type": …, "detail": {…}}`', "eventbridge.jsonl", eventbridge),
    Form(LAKE, "CSV with the record in `eventData`", "lake.csv", event_data_csv),
    Form(LAKE, "CSV with a column for each field, JSON in them", "columns.csv", column_csv),
    Form(LAKE, "CSV with a column for each field, Athena's structs", "athena.csv", athena_csv),
    Form(LAKE, "parquet with the record in `eventData`", "lake.parquet", text_parquet),
    Form(LAKE, "parquet with a column for each field", "athena.parquet", column_parquet),
    Form("A data lake", "rows as JSON, names in one case", "rows.jsonl", database_rows),
    Form("Splunk", '`{"result": {"_raw": "…"}}`', "splunk.json", splunk),
    Form("Splunk", "CSV with `_raw`", "splunk.csv", splunk_csv),
    Form("Elastic", "documents with `event.original`", "elastic.ndjson", elastic),
    Form("Elastic", "the answer of a search", "elastic.json", elastic_search),
    Form(
        "Panther", "records with `p_` fields and times as an instance has", "panther.jsonl", panther
    ),
    Form(ANY, "zip", "logs.zip", zipped),
    Form(ANY, "tar, gzip", "logs.tar.gz", tarred),
    Form(ANY, "zstd", "a.json.zst", lambda r: zstandard.compress(envelope(r))),
    Form(ANY, "bzip2", "a.json.bz2", lambda r: bz2.compress(envelope(r))),
    Form(ANY, "xz", "a.json.xz", lambda r: lzma.compress(envelope(r))),
    Form(
        "PowerShell",
        "UTF-16",
        "utf-16.json",
        lambda r: lines(r).decode().encode("utf-16"),
    ),
    Form(
        "PowerShell",
        "UTF-8 with a byte order mark",
        "mark.json",
        lambda r: b"\xef\xbb\xbf" + lines(r),
    ),
)

DIGEST = {"awsAccountId": "1", "digestStartTime": "x", "digestEndTime": "y", "logFiles": []}
INSIGHT = {"eventVersion": "1.07", "eventTime": "2026-01-05T10:00:00Z", "eventCategory": "Insight"}
CONFIG = {"fileVersion": "1.0", "configSnapshotId": "x", "configurationItems": [{}]}
FLOW = "version account-id interface-id srcaddr\n2 123456789012 eni-1 192.0.2.1\n"
BALANCER = "https 2026-01-05T10:00:00.000000Z app/x 192.0.2.1:1\n"
GUARD_DUTY = {"schemaVersion": "2.0", "accountId": "1", "type": "Recon:IAMUser/x", "service": {}}

GUARD_DUTY_ROW = {"p_log_type": "AWS.GuardDuty", "p_event_time": "2026-01-05 10:00:00", "id": "1"}

# What is beside CloudTrail in buckets: the name, the content and what it is counted as.
OTHERS = (
    ("digest.json.gz", gzip.compress(json.dumps(DIGEST).encode()), "CloudTrail digests"),
    ("insight.json.gz", gzip.compress(envelope([INSIGHT])), "CloudTrail Insight events"),
    ("config.json.gz", gzip.compress(json.dumps(CONFIG).encode()), "AWS Config"),
    ("flow.log.gz", gzip.compress(FLOW.encode()), "VPC flow logs"),
    ("elb.log", BALANCER.encode(), "load balancer logs"),
    ("guardduty.jsonl", lines([GUARD_DUTY]), "JSON that is not CloudTrail"),
    ("panther.jsonl", lines([GUARD_DUTY_ROW]), "Panther's records of other log types"),
    ("README.md", b"# A folder of logs\n", "other files"),
    ("picture.png", b"\x89PNG\r\n\x1a\n\0\0", "other files"),
)

INTRODUCTION = """# Inputs

Every command that reads CloudTrail takes files, folders, `s3://bucket/prefix` and `-` for standard
input. The content decides what a file is, not its name. Every form below gives the same alerts,
named itself or found in a folder, in any mix (`tests/records/test_forms.py`; this page is made from
the forms that it tests: `python -m tests.builders.forms`).

| From | Form |
|---|---|
"""
REST = """
Any of them may be compressed (gzip, zstd, bzip2, xz) or in a zip or tar archive, in any nesting up
to five levels. A pipe is read if it is named itself: `local-panther replay <(aws s3 cp s3://… -)`.

The console's Event history as CSV has neither request parameters nor error messages: its records
are read, but rules that look at them see nothing. Download JSON instead.

## Set aside

What is not CloudTrail is counted in the summary under its own name and is not an error:

| File | Counted as |
|---|---|
"""
END = """
Hidden files, links to folders, and named pipes, devices and sockets in folders are counted too.

## Refused

Security Lake's schema (OCSF), as JSON or parquet: rules for AWS.CloudTrail read fields that it does
not have. Use the CloudTrail that the trail delivers to S3.

## S3

`local-panther replay s3://bucket/AWSLogs/` reads a bucket, a prefix or one object as it reads a
folder (`tests/cli/test_s3.py`). Credentials, region and endpoint are found as by every AWS tool:
environment, `AWS_PROFILE`, configuration files, the machine's role; `AWS_ENDPOINT_URL_S3` leads to
a store that is compatible with S3. It needs `s3:ListBucket` on the bucket, `s3:GetObject` on the
objects and, if they are encrypted so, `kms:Decrypt`. Sixteen requests run at once in each process.
A busy server and a broken connection are tried again. What is refused is named with bucket and key.
`--requester-pays` accepts the costs of buckets that ask for it.

Content that uses boto3 gets a fake AWS meanwhile, never the bucket's
(`local_panther/detection/fake_aws.py`).

## Other log types

`local-panther replay FILES --log-type Custom.Application.Audit --schema FILE` runs the streaming
rules for that type, with its data model, on JSON lines, plain or compressed
(`tests/test_other_log_types.py`). The schema is one of
[Panther's](https://docs.panther.com/data-onboarding/custom-log-types/reference); of it the replay
takes the time of an event (`isEventTime` with `rfc3339`, `unix`, `unix_ms`, `unix_us`, `unix_ns`
or a format of strftime) and the indicators, and leaves the values of all fields as they are.
Events as an instance stores them, with `p_event_time`, need none. The files are read on this
machine, so `--cluster` is refused. Signals of such rules take part in correlation; scheduled
queries read CloudTrail only.

## Limits

| What | Limit | Beyond it |
|---|---|---|
| one line, or one document over several lines | 256 MB | the line is named and skipped |
| a record within a broken document | 4 MB | reading goes on with the next record |
| eventTime | the years 1971 to 2099 | the record is named and skipped |
| a zip archive or parquet file within an archive | 4 GB, copied to disk | it is named and skipped |
| archives in archives, and compression of what is compressed | 5 levels | it is named and skipped |

Of two equal keys in an object the last one wins, as in other parsers.
"""


def page() -> str:
    """Return docs/inputs.md."""
    forms = "".join(f"| {form.origin} | {form.shape} |\n" for form in FORMS)
    others = "".join(f"| `{name}` | {kind} |\n" for name, _, kind in OTHERS)
    return INTRODUCTION + forms + REST + others + END


if __name__ == "__main__":
    print(page(), end="")
