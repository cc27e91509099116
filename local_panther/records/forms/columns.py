"""Rows of tables as CloudTrail records: Athena, CloudTrail Lake, the console's Event history.

A table has the whole record as JSON in one column, or a column for each field, with nested ones as
JSON or as Athena writes them, `{type=IAMUser, arn=…}`. Names are matched whatever their case and
spaces: Athena's are in lower case, the console's are words.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from local_panther.times import event_time, parse_time

# Of a record, and of the objects in it.
FIELDS = """
eventVersion userIdentity eventTime eventSource eventName awsRegion sourceIPAddress userAgent
errorCode errorMessage requestParameters responseElements additionalEventData requestID eventID
eventType apiVersion managementEvent readOnly resources recipientAccountId serviceEventDetails
sharedEventID vpcEndpointId vpcEndpointAccountId eventCategory addendum sessionCredentialFromConsole
edgeDeviceDetails tlsDetails
type principalId arn accountId accessKeyId userName invokedBy sessionContext attributes
mfaAuthenticated creationDate sessionIssuer webIdFederationData federatedProvider identityProvider
sourceIdentity ec2RoleDelivery onBehalfOf userId identityStoreArn credentialId
tlsVersion cipherSuite clientProvidedHostHeader
"""
TEXT_COLUMNS = ("eventdata", "eventjson", "cloudtrailevent", "raw", "message", "record", "event")
NESTED = {
    "userIdentity",
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "resources",
    "serviceEventDetails",
    "addendum",
    "edgeDeviceDetails",
    "tlsDetails",
}
BOOLEAN = {"managementEvent", "readOnly"}
CONSOLE = {"username": "userName", "awsaccesskey": "accessKeyId", "accesskey": "accessKeyId"}
STRUCT_TEXT = re.compile(r"(.*?)(?=, \w+=|\}(?:[,}\]]|$)|\](?:[,}\]]|$)|$)", re.DOTALL)
STRUCT_KEY = re.compile(r"(\w+)=")


def normalised(name: str) -> str:
    """Return a column's name in lower case, without spaces and signs."""
    return re.sub(r"[\W_]", "", name).lower()


NAMES = {normalised(name): name for name in FIELDS.split()}
TOP_LEVEL = {normalised(name) for name in FIELDS.partition("\ntype ")[0].split()}


class Columns:
    """The columns of one table.

    Attributes:
        text: The column with the whole record; None if there is a column for each field.
        is_cloudtrail: True if the columns are those of CloudTrail.
        is_ocsf: True if they are Security Lake's.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Take the names of the columns."""
        self._names = {name: normalised(name) for name in names}
        present = set(self._names.values())
        has_fields = {"eventname", "eventtime"} <= present
        self.text = None
        if not has_fields or "cloudtrailevent" in present:
            wanted = (n for text in TEXT_COLUMNS for n, name in self._names.items() if name == text)
            self.text = next(wanted, None)
        self.is_cloudtrail = has_fields or self.text is not None
        self.is_ocsf = "classuid" in present and "eventname" not in present

    def record(self, row: Mapping[str, Any]) -> Any:
        """Return the record of a row, or the value that holds it."""
        if self.text is not None:
            value = row.get(self.text)
            return {"CloudTrailEvent": value} if isinstance(value, str) else value
        record: dict[str, Any] = {}
        who: dict[str, Any] = {}
        for name, value in row.items():
            short = self._names.get(name, "")
            if value is None or value == "" or value == "-":
                continue
            if short in TOP_LEVEL:
                record[NAMES[short]] = _field(NAMES[short], value)
            elif short in CONSOLE:
                who[CONSOLE[short]] = value
        if who:
            record.setdefault("userIdentity", who)
        return record


def _field(name: str, value: Any) -> Any:
    if name == "eventTime" and isinstance(value, str):
        time = parse_time(value)  # a table has it in a form of its own
        return value if time is None else event_time(time)
    if name in BOOLEAN and isinstance(value, str):
        return value.lower() == "true"
    if name in NESTED:
        return _nested(name, value)
    return value


def _nested(name: str, value: Any) -> Any:
    if isinstance(value, str):
        if value[:1] not in ("{", "["):
            return None if value == "null" else value
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value, _ = _struct(value, 0)
    return _named(value, in_resources=name == "resources")


def _named(value: Any, *, in_resources: bool) -> Any:
    """Give the keys of CloudTrail's own objects their case, and leave out nulls of a struct."""
    if isinstance(value, list):
        return [_named(entry, in_resources=in_resources) for entry in value]
    if not isinstance(value, Mapping):
        return value
    named = {}
    for key, entry in value.items():
        if entry is None:
            continue
        is_arn = in_resources and key == "arn"
        own = "ARN" if is_arn else NAMES.get(key, key) if key.islower() else key
        named[own] = _named(entry, in_resources=in_resources)
    return named


def _struct(text: str, position: int) -> tuple[Any, int]:
    """Parse a struct, a list or a text as Athena writes it; return it and where it ends."""
    opening = text[position : position + 1]
    if opening == "{":
        fields: dict[str, Any] = {}
        position += 1
        while key := STRUCT_KEY.match(text, position):
            fields[key[1]], position = _struct(text, key.end())
            position += 2 if text.startswith(", ", position) else 0
        return fields, position + 1
    if opening == "[":
        entries: list[Any] = []
        position += 1
        while position < len(text) and text[position] != "]":
            before = position
            entry, position = _struct(text, position)
            entries.append(entry)
            position += 2 if text.startswith(", ", position) else 0
            if position == before:
                break
        return entries, position + 1
    found = STRUCT_TEXT.match(text, position)
    end = found.end() if found else len(text)
    value = text[position:end]
    return (None if value == "null" else value), end
