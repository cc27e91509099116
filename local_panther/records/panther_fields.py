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
ADDRESS_START = frozenset("0123456789abcdefABCDEF:.")
ACCOUNT_ID = re.compile(r"\d{12}")
ACCOUNT_FIELDS = ("accountid", "recipientaccountid", "account")
USER_FIELDS = ("username",)


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
        **{name: sorted(found) for name, found in _indicators(record).items() if found},
    }


def _indicators(record: Mapping[str, Any]) -> dict[str, set[str]]:
    arns, accounts, addresses, users = set(), set(), set(), set()
    levels: list[Iterable[tuple[str, Any]]] = [record.items()]
    for level in levels:
        for field, value in level:
            kind = type(value)
            if kind is dict:
                levels.append(value.items())
            elif kind is list:
                levels.append([(field, inner) for inner in value])
            if kind is not str or not value:
                continue
            if value.startswith("arn:"):
                if arn := ARN.fullmatch(value):
                    arns.add(value)
                    accounts.update(filter(None, [arn[1]]))
            elif value[0] in ADDRESS_START and ADDRESS_LIKE.fullmatch(value):
                if _is_address(value):
                    addresses.add(value)
                elif field.lower() in ACCOUNT_FIELDS and ACCOUNT_ID.fullmatch(value):
                    accounts.add(value)
            if field.lower() in USER_FIELDS:
                users.add(value)
    return {
        "p_any_aws_arns": arns,
        "p_any_aws_account_ids": accounts,
        "p_any_ip_addresses": addresses,
        "p_any_usernames": users,
    }


@lru_cache(10_000)
def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
