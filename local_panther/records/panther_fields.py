"""Makes the event that a rule gets: a CloudTrail record as an instance stores it.

Times are normalised, null fields are left out, and Panther's own fields are added. The mapping from
values to indicators was inferred from records that instances enriched; `docs/fidelity.md` lists the
confidence and the differences of each. https://docs.panther.com/search/panther-fields
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from local_panther.content.log_types import CLOUDTRAIL
from local_panther.text import is_address
from local_panther.times import EPOCH

START = EPOCH.replace(tzinfo=None)  # times are written without a zone
YEAR_10000 = 253_402_300_800  # its first second, in seconds since 1970
SOURCE_ID = "00000000-0000-4000-8000-000000000000"
SOURCE_LABEL = "local-panther"

# The fields that `panther_fields` returns in addition to indicators, and the replay's p_parse_time
ADDED = {
    *("eventtime", "p_log_type", "p_event_time", "p_row_id", "p_source_id", "p_source_label"),
    *("p_schema_version", "p_parse_time"),
}

# The end of the JSON of an event's added fields: those that are the same for every record
SAME_FOR_ALL = json.dumps(
    {"p_log_type": CLOUDTRAIL, "p_source_id": SOURCE_ID, "p_source_label": SOURCE_LABEL}
).encode()[1:]

# The fields that are searched for indicators at any depth, by key
SEARCHED = ("additionalEventData", "requestParameters", "responseElements", "serviceEventDetails")

ARN_KEYS = ("arn", "ARN", "aws:SourceArn")
ARN_COLONS = 5
ADDRESS_KEYS = (
    "sourceIPAddress",
    "ipv6Addresses",
    "publicIp",
    "privateIpAddress",
    "ipAddressV4",
)
DOMAIN_KEYS = ("publicDnsName", "privateDnsName", "domain")
INSTANCE_KEYS = ("instanceId", "instance-id")
TAGS_KEY = "tags"
ACCOUNT_ID = re.compile(r"\d{12}")
INSTANCE_ARN = re.compile(r"arn:[^:]+:ec2:[^:]*:\d*:instance/(i-\w+)")

CACHED_VALUES = 20_000
MAX_CACHED_LENGTH = 256  # characters of key and value; longer ones are not cached

Indicator = tuple[str, str]  # the name of the p_any field, and the value


def panther_fields(record: Mapping[str, Any], raw: bytes, time: float) -> dict[str, Any]:
    """Return the fields that Panther adds to a record, and its normalised eventTime.

    p_parse_time is not included, as the replay decides when a record arrives.

    Args:
        record: The record as CloudTrail wrote it.
        raw: The record as JSON; its digest is the row ID.
        time: Its eventTime in seconds since 1970.
    """
    moment = normalised_time(time)
    return {
        "eventTime": moment,
        "p_log_type": CLOUDTRAIL,
        "p_event_time": moment,
        "p_row_id": hashlib.sha256(raw).hexdigest()[:32],
        "p_source_id": SOURCE_ID,
        "p_source_label": SOURCE_LABEL,
        "p_schema_version": 0,
        **indicators(record),
    }


def plain_fields(time: float) -> bytes:
    """Return, as JSON, the fields that Panther adds to any record of a given time.

    Args:
        time: The record's eventTime in seconds since 1970.
    """
    return b'{"p_event_time":"%b",%b' % (normalised_time(time).encode(), SAME_FOR_ALL)


@lru_cache(CACHED_VALUES)
def is_added(name: str) -> bool:
    """Return whether Panther can add or replace a field of this name, ignoring case."""
    return name.lower() in ADDED or name.lower().startswith("p_any_")


@lru_cache(CACHED_VALUES)
def normalised_time(time: float) -> str:
    """Write seconds since 1970 as an instance does, with nine digits after the second.

    A time after the year 9999 is written as the last second of that year.
    """
    if 0 <= time < YEAR_10000 and time % 1 == 0:  # as the times of CloudTrail
        minute, second = divmod(int(time), 60)
        return f"{_minute(minute)}:{second:02}.000000000"
    try:
        moment = START + timedelta(seconds=time)
    except OverflowError:
        moment = datetime.max
    return moment.isoformat(" ", "microseconds") + "000"


@lru_cache(CACHED_VALUES)
def _minute(number: int) -> str:
    return (START + timedelta(minutes=number)).isoformat(" ", "minutes")


def remove_nulls(record: dict[str, Any]) -> None:
    """Remove the null fields of a record at any depth, but not null entries of lists."""
    waiting: list[Any] = [record]
    for value in waiting:
        if type(value) is dict:
            for key in [key for key, inner in value.items() if inner is None]:
                del value[key]
            waiting.extend(value.values())
        elif type(value) is list:
            waiting.extend(value)


def indicators(record: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the non-empty p_any fields of a record, each sorted."""
    found: dict[str, set[str]] = {}
    for name, value in [*_named_fields(record), *_identity(record.get("userIdentity"))]:
        found.setdefault(name, set()).add(value)
    for field in SEARCHED:
        if (inner := record.get(field)) is not None:
            _search(field, inner, found)
    return {name: sorted(values) for name, values in sorted(found.items())}


def _named_fields(record: Mapping[str, Any]) -> list[Indicator]:
    found: list[Indicator] = []
    address = record.get("sourceIPAddress")
    if isinstance(address, str) and address:
        kind = "p_any_ip_addresses" if _is_address(address) else "p_any_domain_names"
        found.append((kind, address))
    found += _account(record.get("recipientAccountId"))
    resources = record.get("resources")
    for resource in resources if isinstance(resources, list) else []:
        if isinstance(resource, dict):
            found += _arn(resource.get("ARN", resource.get("arn"))) + _account(
                resource.get("accountId")
            )
    return found


def _identity(identity: Any) -> list[Indicator]:
    """Return the indicators of userIdentity, its session issuer and web identity."""
    if not isinstance(identity, dict):
        return []
    session = identity.get("sessionContext")
    session = session if isinstance(session, dict) else {}
    issuer = session.get("sessionIssuer")
    found: list[Indicator] = []
    for part in (identity, issuer) if isinstance(issuer, dict) else (identity,):
        found += _arn(part.get("arn")) + _account(part.get("accountId"))
        found += _text("p_any_usernames", part.get("userName"))
        found += _text("p_any_actor_ids", part.get("principalId"))
    found += _text("p_any_trace_ids", identity.get("accessKeyId"))
    principal = identity.get("principalId")
    if isinstance(principal, str):
        found += _text("p_any_usernames", principal.partition(":")[2])
    web = session.get("webIdFederationData")
    inner: dict[str, set[str]] = {}
    if isinstance(web, dict):
        _search("attributes", web.get("attributes"), inner)
    return found + [(name, value) for name, values in inner.items() for value in values]


def _search(key: str, value: Any, found: dict[str, set[str]]) -> None:
    """Collect the indicators in a value, at any depth, by key."""
    waiting: list[tuple[str, Any]] = [(key, value)]
    for key, value in waiting:
        kind = type(value)
        if kind is str:
            is_short = len(key) + len(value) < MAX_CACHED_LENGTH
            read = _cached_indicators_in if is_short else _indicators_in
            for name, indicator in read(key, value):
                found.setdefault(name, set()).add(indicator)
        elif kind is dict:
            if key == TAGS_KEY:
                for name, tag in _tags(value):
                    found.setdefault(name, set()).add(tag)
            waiting.extend(value.items())
        elif kind is list:
            waiting.extend((key, inner) for inner in value)


def _tags(entry: Mapping[str, Any]) -> list[Indicator]:
    """Return the tags in `{"key": …, "value": …}`, or in a mapping of keys to values."""
    named = {name.lower(): value for name, value in entry.items()}
    pairs = [(named["key"], named["value"])] if {"key", "value"} <= named.keys() else entry.items()
    return [("p_any_aws_tags", f"{tag}:{value}") for tag, value in pairs if isinstance(value, str)]


def _indicators_in(key: str, value: str) -> tuple[Indicator, ...]:
    """Return the indicators in a text of one of the searched fields, by its key."""
    found: list[Indicator] = []
    if key in ARN_KEYS or value.startswith("arn:"):
        found += _arn(value)
    elif key in ADDRESS_KEYS:
        found += [("p_any_ip_addresses", value)] if _is_address(value) else []
    elif key in DOMAIN_KEYS:
        found += _text("p_any_domain_names", value)
    elif key in INSTANCE_KEYS or key.endswith("InstanceId"):
        found += [("p_any_aws_instance_ids", value)] if value.startswith("i-") else []
    elif key in ("accountId", "account") or key.endswith("AccountId"):
        found += _account(value)
    elif key == TAGS_KEY:
        found += _text("p_any_aws_tags", value)
    return tuple(found)


_is_address = lru_cache(CACHED_VALUES)(is_address)
_cached_indicators_in = lru_cache(CACHED_VALUES)(_indicators_in)  # most values are repeated


@lru_cache(CACHED_VALUES)
def _arn_parts(value: str) -> tuple[Indicator, ...]:
    if not value.startswith("arn:") or value.count(":") < ARN_COLONS:
        return ()
    found: list[Indicator] = [("p_any_aws_arns", value), *_account(value.split(":", 5)[4])]
    if instance := INSTANCE_ARN.fullmatch(value):
        found.append(("p_any_aws_instance_ids", instance[1]))
    return tuple(found)


def _arn(value: Any) -> list[Indicator]:
    if not isinstance(value, str):
        return []
    read = _arn_parts if len(value) < MAX_CACHED_LENGTH else _arn_parts.__wrapped__
    return list(read(value))


def _account(value: Any) -> list[Indicator]:
    is_account = isinstance(value, str) and ACCOUNT_ID.fullmatch(value)
    return [("p_any_aws_account_ids", value)] if is_account else []


def _text(name: str, value: Any) -> list[Indicator]:
    return [(name, value)] if isinstance(value, str) and value else []
