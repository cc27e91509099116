"""How long the random tests run: a fast sample, or everything with `make test-full`."""

import os

FULL = os.environ.get("TEST_SCALE") == "full"


def examples(sample: int, full: int) -> int:
    """Return the number of random examples to try."""
    return full if FULL else sample
