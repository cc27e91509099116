"""The key-value store of an instance: a DynamoDB table, emulated by moto in this process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from moto import mock_aws
from panther_detection_helpers import caching

TABLE = "panther-kv-store"
REGION = "us-east-1"


@contextmanager
def key_value_store() -> Iterator[None]:
    """Give `panther_detection_helpers.caching` an empty table while the context lasts.

    Until then, nothing that a rule does with boto3 leaves this process.
    """
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
        yield
