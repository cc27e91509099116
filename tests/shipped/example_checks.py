"""Checks of content that follows an example of a setting."""

import subprocess
import sys
from pathlib import Path

from local_panther.content.agreements import check_agreements
from local_panther.content.filter_checks import check_filters
from tests.builders.configurations import shipped
from tests.builders.examples import Example

BIN = Path(sys.executable).parent


def assert_its_tests_pass(content: Path) -> None:
    """Assert that content passes its own tests, without and with an instance."""
    for tool in ("panther_analysis_tool", "local-panther"):
        command = [BIN / tool, "test", "--show-failures-only"]
        done = subprocess.run(command, cwd=content, capture_output=True, text=True)
        assert done.returncode == 0 and "Failed: 0" in done.stdout, done.stdout + done.stderr


def assert_can_be_followed(example: Example, content: Path) -> None:
    """Assert that the shipped content passes its checks and tests with an example applied."""
    shipped(content)
    example.apply(content)
    assert check_agreements(content) == check_filters(content) == []
    assert_its_tests_pass(content)
