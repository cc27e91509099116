"""The key-value store of an instance: a DynamoDB table that lives in this process.

Its time is event time where a replay hands over its clock: `caching` decides by it what has
expired and when an item will, and the table deletes items 48 hours after they expired, as late as
DynamoDB may.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from unittest.mock import patch

from moto import mock_aws
from panther_detection_helpers import caching

from local_panther.detection.clock import EventClock
from local_panther.detection.table import Table

TABLE = "panther-kv-store"
REGION = "us-east-1"


@contextmanager
def key_value_store(clock: EventClock | None = None) -> Iterator[None]:
    """Give `panther_detection_helpers.caching` an empty table while the context lasts.

    Until then, nothing that a rule does with boto3 leaves this process.

    Args:
        clock: What the store sees as the present; this machine's time if omitted.
    """
    clock = clock or EventClock()
    with (
        ordinary_table() as ordinary,
        closing(Table(ordinary, clock)) as table,
        patch.object(caching, "_KV_TABLE", table),
        clock.seen_by([caching]),
    ):
        yield


@contextmanager
def ordinary_table() -> Iterator[Any]:
    """Give `caching` boto3's own table, emulated by moto behind all layers of HTTP."""
    settings = {
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "KV_STORE_TABLE_NAME": TABLE,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    with patch.dict(os.environ, settings), mock_aws(), patch.object(caching, "_KV_TABLE", None):
        # With the helpers' own client: to make another takes longer than everything else here.
        table: Any = caching.kv_table()
        table.meta.client.create_table(
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield table
