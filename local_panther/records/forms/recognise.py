"""Recognises JSON that is not itself a CloudTrail record, and returns what it holds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import simdjson

from local_panther.records.forms.columns import Columns

RECORD_FIELDS = ("eventName", "eventTime", "eventVersion", "eventID", "userIdentity", "p_log_type")
CLOUDTRAIL_LOG_TYPE = "AWS.CloudTrail"  # in what Panther exports
NOT_CLOUDTRAIL = "JSON that is not CloudTrail"


@dataclass(frozen=True)
class Holding:
    """What a JSON object holds in place of a record.

    Attributes:
        items: Values to look into in turn.
        texts: JSON as text, each a value of its own.
        other: The kind of what is not CloudTrail; "" if there are items or texts.
        refused: What to use instead of a form that cannot be read; "" for all others.
        is_list: True if the items are numbered entries of a list.
    """

    items: list[Any] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    other: str = ""
    refused: str = ""
    is_list: bool = False


def holding(value: Any) -> Holding | None:
    """Return what an object holds; None for a record, and for what is not an object."""
    if not is_object(value):
        return None
    found = next((found for form in FORMS if (found := form(value))), None)
    if found or any(value.get(name) is not None for name in RECORD_FIELDS):
        return found
    return Holding(other=NOT_CLOUDTRAIL)


def is_object(value: Any) -> bool:
    """Return whether a value is a JSON object, in either parser's form."""
    return isinstance(value, (dict, simdjson.Object))


def is_envelope(value: Any) -> bool:
    """Return whether a value is what AWS delivers: `{"Records": […]}`."""
    if not is_object(value) or value.get("eventName") is not None:
        return False
    return _is_list(value.get("Records"))


def records_in(envelope: Any) -> list[Any]:
    """Return the records of an envelope; the last list of two that have the same key."""
    is_repeated = isinstance(envelope, simdjson.Object) and list(envelope).count("Records") > 1
    values = cast("Mapping[str, Any]", plain(envelope) if is_repeated else envelope)
    return list(values["Records"])


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, simdjson.Array))


def _listed(value: Any) -> Holding:
    return Holding(items=list(value), is_list=True)


def _text_or_item(value: Any) -> Holding | None:
    if isinstance(value, str):
        return Holding(texts=[value])
    return Holding(items=[value]) if is_object(value) else None


def _insight(value: Any) -> Holding | None:
    is_insight = value.get("eventCategory") == "Insight"
    is_insight = is_insight or value.get("eventType") == "AwsCloudTrailInsight"
    return Holding(other="CloudTrail Insight events") if is_insight else None


def _envelope(value: Any) -> Holding | None:
    if not is_envelope(value):
        return None
    return Holding(items=records_in(value), is_list=True)


def _lookup_events(value: Any) -> Holding | None:
    """`aws cloudtrail lookup-events`, and each of its entries."""
    if isinstance(text := value.get("CloudTrailEvent"), str):
        return Holding(texts=[text])
    events = value.get("Events")
    return _listed(events) if _is_list(events) and value.get("eventName") is None else None


def _cloudwatch(value: Any) -> Holding | None:
    """`get-log-events`, `filter-log-events`, a subscription, and each of their entries."""
    if value.get("messageType") == "CONTROL_MESSAGE":
        return Holding(other="CloudWatch control messages")
    for name in ("logEvents", "events"):
        if _is_list(entries := value.get(name)):
            return _listed(entries)
    is_entry = value.get("timestamp") is not None or value.get("ingestionTime") is not None
    return _text_or_item(value.get("message")) if is_entry else None


def _eventbridge(value: Any) -> Holding | None:
    detail = value.get("detail")
    if value.get("detail-type") is None or not is_object(detail):
        return None
    if detail.get("eventName") is None:
        return Holding(other="EventBridge events of other kinds")
    return Holding(items=[detail])


def _splunk(value: Any) -> Holding | None:
    if _is_list(results := value.get("results")):
        return _listed(results)
    if is_object(result := value.get("result")):
        return Holding(items=[result])
    return _text_or_item(value.get("_raw"))


def _elastic(value: Any) -> Holding | None:
    """A search's answer, one of its hits, and a document with the original text."""
    if is_object(hits := value.get("hits")) and _is_list(hits.get("hits")):
        return _listed(hits["hits"])
    if is_object(source := value.get("_source")):
        return Holding(items=[source])
    event = value.get("event")
    original = event.get("original") if is_object(event) else value.get("event.original")
    if isinstance(original, list) and original:
        original = original[0]
    return _text_or_item(original) or (
        _text_or_item(value.get("message")) if value.get("@timestamp") is not None else None
    )


def _lake(value: Any) -> Holding | None:
    """CloudTrail Lake, with the whole event in one field."""
    if value.get("eventName") is not None:
        return None
    return next(
        (found for name in ("eventData", "eventJson") if (found := _text_or_item(value.get(name)))),
        None,
    )


def _notification(value: Any) -> Holding | None:
    """An SNS notification, as queues and subscribers keep it."""
    is_one = value.get("Type") == "Notification" and value.get("TopicArn") is not None
    return _text_or_item(value.get("Message")) if is_one else None


def _panther(value: Any) -> Holding | None:
    log_type = value.get("p_log_type")
    is_other = isinstance(log_type, str) and log_type != CLOUDTRAIL_LOG_TYPE
    return Holding(other="Panther's records of other log types") if is_other else None


def _row(value: Any) -> Holding | None:
    """A row of a table, with names as databases write them: `eventname`, `EVENTNAME`."""
    if value.get("eventName") is not None or len(value) < len(ROW_FIELDS):
        return None
    if not {key.lower() for key in value} >= ROW_FIELDS:
        return None
    row = cast("Mapping[str, Any]", plain(value))
    return Holding(items=[Columns(row).record(row)])


def _ocsf(value: Any) -> Holding | None:
    is_one = value.get("class_uid") is not None and value.get("metadata") is not None
    return Holding(refused=OCSF) if is_one else None


def _other_aws(value: Any) -> Holding | None:
    for name, kind in OTHER_KINDS.items():
        if value.get(name) is not None and value.get("eventName") is None:
            return Holding(other=kind)
    return None


OCSF = (
    "Security Lake's schema (OCSF), which lacks what rules for AWS.CloudTrail read; use the "
    "CloudTrail that the trail delivers to S3"
)
OTHER_KINDS = {
    "digestStartTime": "CloudTrail digests",
    "configurationItems": "AWS Config",
    "configSnapshotId": "AWS Config",
    "configurationItemDiff": "AWS Config",
    "firewall_name": "Network Firewall logs",
    "webaclId": "WAF logs",
    "query_timestamp": "Route 53 query logs",
}
ROW_FIELDS = {"eventname", "eventtime"}
FORMS: tuple[Callable[[Any], Holding | None], ...] = (
    _insight,
    _envelope,
    _lookup_events,
    _cloudwatch,
    _eventbridge,
    _splunk,
    _elastic,
    _lake,
    _notification,
    _panther,
    _row,
    _ocsf,
    _other_aws,
)


def plain(value: Any) -> Any:
    """Return a value of the fast parser as plain Python."""
    if isinstance(value, simdjson.Array):
        return value.as_list()
    if isinstance(value, simdjson.Object):
        return cast("Mapping[str, Any]", value.as_dict())
    return value
