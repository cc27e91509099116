"""Tests that start a program belong to the second tier, or fail in the first."""

import os
import subprocess
import sys

import pytest

from tests.builders.events import REPO

pytestmark = pytest.mark.process

PLUGIN = """
from tests.tiers import Tiers

def pytest_configure(config):
    config.addinivalue_line("markers", "process: starts programs")
    config.pluginmanager.register(Tiers())
"""
TESTS = """
import subprocess
import pytest

def start():
    subprocess.run(["true"], check=True)

@pytest.fixture
def started():
    start()

@pytest.mark.process
def test_marked():
    start()

def test_unmarked():
    start()

def test_by_a_fixture(started):
    pass

def test_within_its_process():
    pass
"""


@pytest.mark.parametrize(
    ("scale", "outcome"),
    [("quick", "1 failed, 1 passed, 1 deselected, 1 error"), ("", "3 passed, 1 deselected")],
)
def test_only_the_quick_tier_fails_unmarked_tests_that_start_a_program(tmp_path, scale, outcome):
    (tmp_path / "conftest.py").write_text(PLUGIN)
    (tmp_path / "test_some.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not process"],
        cwd=tmp_path,
        env=os.environ | {"TEST_SCALE": scale, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
    )
    assert outcome in done.stdout, done.stdout + done.stderr
    assert ("starts a program, and is not marked `process`" in done.stdout) == bool(scale)
    assert "most expensive files" in done.stdout and "test_some.py" in done.stdout
