"""One of several processes that share a key-value store. It imports only what it needs."""

import os
import sys
from pathlib import Path

HELPERS = Path(__file__).parents[2] / "global_helpers"
TABLE = "panther-kv-store"
WINDOW, THRESHOLD = 3600, 10


def worker(address, subject, sightings, barrier, results):
    """Record a share of the stream with the real helper, as a process of an instance does."""
    os.environ |= {
        "AWS_ENDPOINT_URL_DYNAMODB": address,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "KV_STORE_TABLE_NAME": TABLE,
    }
    sys.path.insert(0, str(HELPERS))
    from distinct_window_helpers import Sighting, fullest_window, record

    barrier.wait()
    hits = 0
    for when, value in sightings:
        seen = record(subject, Sighting(when, value), WINDOW, THRESHOLD)
        found = fullest_window(seen, when, WINDOW)
        hits += len({s.value for s in found}) >= THRESHOLD
    results.put(hits)
