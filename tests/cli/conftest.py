"""Fixtures shared by the tests of commands."""

from pathlib import Path

import pytest

from tests.builders.replays import simulated
from tests.builders.unlisted import copy_content


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the shipped content for tests of one module, which must not change it."""
    return copy_content(tmp_path_factory.mktemp("content") / "content")


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a trail with a simulated attack for tests of one module."""
    return simulated(tmp_path_factory.mktemp("trail") / "trail.jsonl")
