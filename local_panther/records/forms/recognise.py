"""Recognises CloudTrail records in JSON by their structure, whatever surrounds them.

A record is recognised by the eventSource of an AWS service, an eventName, a time and a caller. Any
other value is searched to a limited depth: objects, lists, tables, and texts that are JSON or
base64. Values without a record are counted by kind.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import simdjson

from local_panther.records.forms import schemas
from local_panther.records.forms.api import AWS_ENDINGS
from local_panther.records.forms.columns import TIME_COLUMNS, WHOLE, Columns, own_form
from local_panther.records.forms.names import folded
from local_panther.records.forms.payloads import json_within, may_hold
from local_panther.records.forms.tables import (
    is_list,
    is_object,
    plain,
    row_of_fields,
    rows_of_columns,
    rows_of_table,
)

CLOUDTRAIL_LOG_TYPE = "AWS.CloudTrail"  # the p_log_type of Panther's exports
NOT_CLOUDTRAIL = "JSON that is not CloudTrail"
NOT_RECORDS = "log messages that are not CloudTrail"
LOOK_DEPTH = 32  # depth to which records are searched for

# CloudTrail's other kinds of events, which have other fields or are copies
OTHER_CATEGORIES = {
    "Insight": "CloudTrail Insight events",
    "Aggregated": "CloudTrail aggregated events",
    "NetworkActivity": "CloudTrail network activity events",
}
OTHER_TYPES = {
    "AwsCloudTrailInsight": OTHER_CATEGORIES["Insight"],
    "AwsAggregatedEvent": OTHER_CATEGORIES["Aggregated"],
    "AwsVpceEvent": OTHER_CATEGORIES["NetworkActivity"],
}
# Documents recognised by a key that nothing else has. They are large and never searched.
OTHER_KINDS = {
    "digestStartTime": "CloudTrail digests",
    "configurationItems": "AWS Config",
    "configSnapshotId": "AWS Config",
    "configurationItemDiff": "AWS Config",
    "firewall_name": "Network Firewall logs",
    "webaclId": "WAF logs",
    "query_timestamp": "Route 53 query logs",
}
# Envelopes without a record, recognised by a key
EMPTY_KINDS = {
    "detail-type": "EventBridge events of other kinds",
    "logEvents": NOT_RECORDS,
    "timestamp": NOT_RECORDS,
    "ingestionTime": NOT_RECORDS,
}


@dataclass(frozen=True)
class Holding:
    """The contents of a JSON value that is not itself a record.

    Attributes:
        items: Values to search next.
        texts: JSON values as text, to parse and search next.
        other: The kind of data that is not CloudTrail; "" if there are items or texts.
        refused: For a form that cannot be read, advice on what to use instead; "" otherwise.
        is_list: True if the items are numbered entries of a list.
        is_leaf: True if the value is not an object, which is an error among records.
    """

    items: list[Any] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    other: str = ""
    refused: str = ""
    is_list: bool = False
    is_leaf: bool = False


def holding(value: Any) -> Holding | None:
    """Return the contents of a value; None for a record.

    Raises:
        NotationError: A record has an object as text in an unknown notation.
    """
    if is_object(value):
        return _object(value)
    if is_list(value):
        return _list(value)
    text = json_within(value) if isinstance(value, str) else ""
    return Holding(texts=[text]) if text else Holding(other=NOT_CLOUDTRAIL, is_leaf=True)


def is_record(value: Any) -> bool:
    """Return whether an object is a CloudTrail record, with names in their own case.

    It must have three of these: an AWS service as its eventSource, an eventName, a time and a
    caller. An object with another eventSource, such as aws:s3, is not a record.
    """
    source, name = value.get("eventSource"), value.get("eventName")
    has_source = isinstance(source, str) and source != ""
    if has_source and not (str(source).endswith(AWS_ENDINGS) or _has_aws_type(value)):
        return False
    said = has_source + isinstance(name, str)
    if said == 0:
        return False
    said += value.get("eventTime") is not None or _has_other_time(value)
    return said > 2 or (said == 2 and has_caller(value))


def has_caller(record: Any) -> bool:
    """Return whether a record names its caller, or is of a type that has none."""
    identity = record.get("userIdentity")
    if identity is not None and (not hasattr(identity, "__len__") or len(identity)):
        return True
    if record.get("eventType") == "AwsServiceEvent":
        return True
    return any(folded(key).startswith("useridentity") and key != "userIdentity" for key in record)


def other_kind(record: Any) -> str:
    """Return the kind of CloudTrail's other events, such as Insight; "" for an ordinary record."""
    kind = record.get("eventType")
    if isinstance(kind, str):  # all records have a type, and most have a category
        return OTHER_TYPES.get(kind, "")
    category = record.get("eventCategory")
    return OTHER_CATEGORIES.get(category, "") if isinstance(category, str) else ""


def is_envelope(value: Any) -> bool:
    """Return whether a value is AWS' envelope, `{"Records": […]}`."""
    if not is_object(value) or value.get("eventName") is not None:
        return False
    records = value.get("Records")
    return is_list(records) and not (len(records) and is_list(records[0]))


def records_in(envelope: Any) -> list[Any]:
    """Return the records of an envelope; if its key is repeated, those of the last list."""
    is_repeated = not isinstance(envelope, dict) and list(envelope).count("Records") > 1
    return list((plain(envelope) if is_repeated else envelope)["Records"])


def _has_aws_type(value: Any) -> bool:
    kind = value.get("eventType")
    return isinstance(kind, str) and kind.startswith("Aws")


def _object(value: Any) -> Holding | None:
    if kind := other_kind(value) or _other_log_type(value) or _other_document(value):
        return Holding(other=kind)
    if is_record(value):
        is_moved = value.get("eventTime") is None and _has_other_time(value)
        return Holding(items=[own_form(plain(value))]) if is_moved else None
    if isinstance(value, simdjson.Object) and not may_hold(cast("bytes", value.mini)):
        return Holding(other=_name_of(value))
    if _has_columns(value) and (rows := rows_of_columns(plain(value))):
        return Holding(items=rows, is_list=True)
    if value.get("eventName") is None and (row := _row(value)):
        return row
    return _held(value) or Holding(other=_name_of(value), refused=_refusal(value))


def _has_columns(value: Any) -> bool:
    """Return whether the eventName of an object is a column of names instead of a name."""
    name = value.get("eventName")
    return is_list(name) or is_object(name)


def _other_log_type(value: Any) -> str:
    log_type = value.get("p_log_type")
    is_other = isinstance(log_type, str) and log_type != CLOUDTRAIL_LOG_TYPE
    return "Panther's records of other log types" if is_other else ""


def _other_document(value: Any) -> str:
    if value.get("eventName") is not None:
        return ""
    return next((kind for name, kind in OTHER_KINDS.items() if value.get(name) is not None), "")


def _has_other_time(value: Any) -> bool:
    return any(folded(key) in TIME_COLUMNS for key in value)


def _row(value: Any) -> Holding | None:
    """Return the record of an object whose names were folded, flattened or prefixed."""
    names = list(value)
    if not any(folded(name).endswith("eventname") for name in names):
        return None
    columns = Columns(names)
    if columns.refused:
        return Holding(refused=columns.refused)
    if not columns.is_cloudtrail:
        return None
    row = plain(value)
    if rows := rows_of_columns(row):
        return Holding(items=rows, is_list=True)
    record = columns.record(row)
    return None if record == row else Holding(items=[record])


def _held(value: Any) -> Holding | None:
    """Return the parts of an object that contain records: a table, lists, a text, or objects.

    Of several texts only one is returned, as the others repeat the same record.
    """
    if rows := rows_of_table(value):
        return Holding(items=list(rows), is_list=True)
    texts: list[tuple[str, str]] = []
    lists: list[Any] = []
    objects: list[Any] = []
    for name, inner in value.items():
        if isinstance(inner, str):
            if text := json_within(inner):
                texts.append((folded(name), text))
        elif has_record(inner):
            (lists if is_list(inner) else objects).append(inner)
    if lists:
        return _list(lists[0]) if len(lists) == 1 else Holding(items=lists)
    if texts:
        return Holding(texts=[min(texts, key=lambda text: text[0] not in WHOLE)[1]])
    return Holding(items=objects) if objects else None


def _list(value: Any) -> Holding:
    entries = list(value)
    row = row_of_fields(entries)
    if row and (Columns(row).is_cloudtrail or any(map(_holds, row.values()))):
        return Holding(items=[dict(row)])
    if not any(is_object(entry) or is_list(entry) for entry in entries):
        found = [entry for entry in entries if _holds(entry)]
        return Holding(items=found, is_list=True) if found else _leaf()
    if has_record(value):
        return Holding(items=entries, is_list=True)
    return Holding(items=entries, is_list=True) if any(map(is_object, entries)) else _leaf()


def _leaf() -> Holding:
    return Holding(other=NOT_CLOUDTRAIL, is_leaf=True)


def _holds(value: Any) -> bool:
    return isinstance(value, str) and bool(json_within(value))


def has_record(value: Any, depth: int = LOOK_DEPTH) -> bool:
    """Return whether a value is or contains a CloudTrail record or another CloudTrail event."""
    if isinstance(value, str):
        return _holds(value)
    if not depth:
        return False
    if is_list(value):
        return _any_has_record(value, depth) or bool(
            (row := row_of_fields(list(value))) and Columns(row).is_cloudtrail
        )
    if not is_object(value):
        return False
    if is_record(value) or other_kind(value) or _row_names(value) or _refusal(value):
        return True
    return _any_has_record(value.values(), depth) or bool(rows_of_table(value))


def _any_has_record(values: Iterable[Any], depth: int) -> bool:
    return any(has_record(inner, depth - 1) for inner in values)


def _row_names(value: Any) -> bool:
    if value.get("eventName") is not None:
        return _has_columns(value) and bool(rows_of_columns(plain(value)))
    names = list(value)
    is_likely = any(folded(name).endswith("eventname") for name in names)
    return is_likely and Columns(names).is_cloudtrail


def _name_of(value: Any) -> str:
    if value.get("messageType") == "CONTROL_MESSAGE":
        return "CloudWatch control messages"
    kinds = (kind for name, kind in EMPTY_KINDS.items() if value.get(name) is not None)
    if kind := next(kinds, ""):
        return kind
    events = value.get("events")
    has_entries = is_list(events) and len(events) > 0 and is_object(events[0])
    return _name_of(events[0]) if has_entries else NOT_CLOUDTRAIL


def _refusal(value: Any) -> str:
    """Return what to use instead of another product's schema; "" for objects of no such schema."""
    names = {folded(key) for key in value}
    for key in ("aws", "_source", "event"):
        if is_object(inner := value.get(key)):
            names |= {folded(f"{key}{name}") for name in inner}
    if value.get("class_uid") is not None and value.get("metadata") is None:
        return ""
    return schemas.refusal(names)
