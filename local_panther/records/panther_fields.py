"""The fields that Panther adds to a record."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

LOG_TYPE = "AWS.CloudTrail"

ARN = re.compile(r"arn:[a-z0-9-]+:[a-z0-9-]+:[^:\s]*:(\d{12})?:\S+")
ADDRESS_LIKE = re.compile(r"[0-9a-fA-F:.]{3,45}")  # of account IDs too
ACCOUNT_ID = re.compile(r"\d{12}")
ACCOUNT_FIELDS = ("accountid", "recipientaccountid", "account")
USER_FIELDS = ("username",)

CACHED_VALUES = 20_000
MAX_CACHED_LENGTH = 256  # characters of name and value; longer ones are not remembered


def panther_fields(record: Mapping[str, Any], raw: bytes, time: float) -> dict[str, Any]:
    """Return the fields that Panther adds to a record.

    The p_any fields are taken from the whole record: every value that is an ARN, the accounts in
    ARNs and in account fields, every value that is an address, and values of userName fields.
    Panther's own list of fields is not documented to the letter (low confidence).
    https://docs.panther.com/search/panther-fields

    Args:
        record: As CloudTrail wrote it.
        raw: The same as JSON, which tells records without an eventID apart.
        time: Its eventTime in seconds since 1970.
    """
    moment = datetime.fromtimestamp(time, UTC).replace(tzinfo=None)
    return {
        "p_log_type": LOG_TYPE,
        "p_event_time": moment.isoformat(" ", "microseconds"),
        "p_row_id": hashlib.sha256(raw).hexdigest()[:32],
        **{name: sorted(found) for name, found in _indicators(record).items()},
    }


def _indicators(record: Mapping[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    levels: list[Iterable[tuple[str, Any]]] = [record.items()]
    for level in levels:
        for field, value in level:
            kind = type(value)
            if kind is str:
                is_short = len(field) + len(value) < MAX_CACHED_LENGTH
                read = _cached_indicators_in if is_short else _indicators_in
                for name, indicator in read(field, value):
                    found.setdefault(name, set()).add(indicator)
            elif kind is dict:
                levels.append(value.items())
            elif kind is list:
                levels.append([(field, inner) for inner in value])
    return found


def _indicators_in(field: str, value: str) -> list[tuple[str, str]]:
    """Return what a value indicates, by the name of the p_any field."""
    found = []
    if value.startswith("arn:"):
        if arn := ARN.fullmatch(value):
            found.append(("p_any_aws_arns", value))
            found += [("p_any_aws_account_ids", arn[1])] if arn[1] else []
    elif ADDRESS_LIKE.fullmatch(value):
        if _is_address(value):
            found.append(("p_any_ip_addresses", value))
        elif field.lower() in ACCOUNT_FIELDS and ACCOUNT_ID.fullmatch(value):
            found.append(("p_any_aws_account_ids", value))
    if value and field.lower() in USER_FIELDS:
        found.append(("p_any_usernames", value))
    return found


_cached_indicators_in = lru_cache(CACHED_VALUES)(_indicators_in)  # most values come again and again


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
