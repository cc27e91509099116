"""The number of random examples that tests try: a sample, very many, or a few for a quick run."""

import os

import pytest

FULL = os.environ.get("TEST_SCALE") == "full"  # make test-full
QUICK = os.environ.get("TEST_SCALE") == "quick"  # make test
MUTATION = os.environ.get("TEST_SCALE") == "mutation"  # make mutants


def examples(sample: int, full: int) -> int:
    """Return the number of random examples to try."""
    if FULL:
        return full
    if QUICK:
        return max(sample // 10, min(sample, 3))
    return max(sample // 4, 10) if MUTATION else sample


slow = pytest.mark.skipif(not FULL, reason="takes long: make test-full runs it")
