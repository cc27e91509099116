"""Stands in for the key-value store of an instance, a DynamoDB table, inside this process.

With the clock of a replay, it uses event time: `caching` decides by it what has expired and when
items will expire, and the table deletes items 48 hours after expiry, the latest that DynamoDB may.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import ModuleType
from typing import Any

from local_panther.detection.clock import EventClock
from local_panther.detection.fake_aws import TABLE, fake_aws
from local_panther.detection.table import Table
from local_panther.imports import deferred, once_imported
from local_panther.patching import replaced

with deferred("datadog", "boto3", "boto3.dynamodb.conditions", "botocore.exceptions"):
    from panther_detection_helpers import caching


class _NeverRaised(Exception):
    """A stand-in for ClientError, which nothing can raise before it is imported."""


if not isinstance(vars(caching)["ClientError"], type):
    vars(caching)["ClientError"] = _NeverRaised


def _use_errors(module: ModuleType) -> None:
    vars(caching)["ClientError"] = module.ClientError


@contextmanager
def key_value_store(clock: EventClock | None = None) -> Iterator[Table]:
    """Give `panther_detection_helpers.caching` an empty table inside the context, and yield it.

    Inside the context, requests that content makes with boto3 do not leave this process.

    Args:
        clock: The clock of the store; by default this machine's.
    """
    clock = clock or EventClock()
    with (
        fake_aws(),
        once_imported("botocore.exceptions", _use_errors),
        closing(Table(_made_table, clock)) as table,
        replaced(caching, "_KV_TABLE", table),
        clock.seen_by([caching]),
    ):
        yield table


@contextmanager
def ordinary_table() -> Iterator[Any]:
    """Give `caching` a table of boto3 itself, emulated by moto through all layers of HTTP."""
    with (
        fake_aws(),
        once_imported("botocore.exceptions", _use_errors),
        replaced(caching, "_KV_TABLE", _made_table()) as table,
    ):
        yield table


def _made_table() -> Any:
    """Create the table that `caching.kv_table` looks up."""
    import boto3

    resource: Any = boto3.resource
    return resource("dynamodb").create_table(
        TableName=TABLE,
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
