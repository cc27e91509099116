"""Records as an instance sees them."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import simdjson

from local_panther.records.model import Record
from local_panther.records.reader import REFUSED

LOG_TYPE = "AWS.CloudTrail"

_parser = simdjson.Parser()


def build(record: Record) -> dict[str, Any]:
    """Build the event that rules get from a record, with the fields that Panther adds.

    https://docs.panther.com/data-onboarding/supported-logs/standard-fields
    """
    event = _parsed(record.raw)
    moment = datetime.fromtimestamp(record.time, UTC)
    event["p_log_type"] = LOG_TYPE
    event["p_event_time"] = moment.strftime("%Y-%m-%d %H:%M:%S.%f")
    event["p_row_id"] = hashlib.sha256(record.raw).hexdigest()[:32]
    return event


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        return _parser.parse(raw, recursive=True)
    except REFUSED:
        return json.loads(raw)  # numbers of many digits, lone surrogates
